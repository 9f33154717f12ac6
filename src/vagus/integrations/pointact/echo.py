"""The policy `pointact-echo` keeps an arm where it is: to try a robot program without a model."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from vagus.errors import ConfigError, PolicyError
from vagus.gateways.foreign_identity import model_hash_of
from vagus.gateways.profile import Profile
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.pointact.dialect import PROTOCOL
from vagus.integrations.pointact.echo_options import EchoOptions
from vagus.policies.policy import Row, ServingMode
from vagus.specs import PolicySpec
from vagus.types import ActionChunk

__all__ = ["EchoPolicy"]

NAME = "pointact-echo"


class EchoPolicy:
    """Answers each robot with the state that it has sent, as often as the profile's horizon says.

    Args:
        options: settings.

    Raises:
        ConfigError: no such profile, or one with an action that is no state of the same name and unit.
    """

    serving_mode = ServingMode.SHARED
    options_type = EchoOptions

    def __init__(self, *, options: EchoOptions | None = None) -> None:
        options = options or EchoOptions()
        profile = load_profile(options.profile, PROTOCOL)
        self.spec: PolicySpec = WireMapping(profile).policy_spec(policy_type=NAME)
        self.model_hash = model_hash_of(profile, NAME, "")
        self._inference_ns = round(options.inference_ms * NS_PER_MS)
        self._places = _places_of(self.spec, profile)

    def open_session(self) -> None:
        """Return nothing: each answer is of its request alone."""

    def begin_episode(self, session: None) -> None:
        """Do nothing."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row that keeps its state."""
        begun_ns = monotonic_ns()
        chunks: list[ActionChunk | PolicyError] = []
        for row in batch:
            actions = np.tile(row.observation.state[self._places], (self.spec.horizon, 1))
            chunks.append(ActionChunk(row.step, actions, actions))
        left_ns = begun_ns + self._inference_ns - monotonic_ns()
        time.sleep(max(left_ns, 0) / NS_PER_S)
        return chunks

    def close(self) -> None:
        """Do nothing."""


def _places_of(spec: PolicySpec, profile: Profile) -> list[int]:
    """Return the place of each action in the state."""
    places = {(feature.name, feature.unit): at for at, feature in enumerate(spec.state)}
    lacking = [feature.name for feature in spec.actions if (feature.name, feature.unit) not in places]
    if lacking:
        raise ConfigError(
            f"profile {profile.name}",
            wanted="each action also as a state, in the same unit: it is kept where it is",
            got=f"none for {', '.join(lacking)}",
        )
    return [places[feature.name, feature.unit] for feature in spec.actions]
