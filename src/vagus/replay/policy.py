"""Policy that plays a recorded episode: its chunk for step k holds the recorded actions from step k on."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.errors import PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.recording.episode import RecordedEpisode
from vagus.replay.options import ReplayOptions
from vagus.replay.path import RecordedPath
from vagus.replay.place import parse_place
from vagus.replay.sources import load_steps
from vagus.specs import ActionFeature, CameraSpec, PolicySpec
from vagus.types import ActionArray, ActionChunk, Observation

__all__ = ["PlaybackState", "ReplayPolicy", "make_replay_policy"]

DEFAULT_HORIZON = 50
"""Actions in a chunk where the recording does not say how many there were."""
GREY = 128
MAX_TOLD = 4
"""Largest number of joints that a refusal names."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PlaybackState:
    """How far one robot has come.

    Attributes:
        base: policy step at which the approach begins, or row 0 without one; None: nothing was played yet.
        approach: actions of the approach, (n, action_dim); None: none is needed.
        is_over: the end was told.
    """

    base: int | None = None
    approach: ActionArray | None = None
    is_over: bool = False


class ReplayPolicy:
    """Plays the actions of a recorded episode, whatever the robot sees. Any number of robots may ask.

    A request is answered from where it is in the recording, so a chunk that is lost costs nothing. A robot
    that is not where the recorded one was is refused: it would have to jump. With `approach_s` it is brought
    to the beginning first. At the end it stays.

    Args:
        episode: one row per policy step.
        options: settings.
    """

    serving_mode = ServingMode.SHARED
    options_type = ReplayOptions

    def __init__(self, episode: RecordedEpisode, options: ReplayOptions | None = None) -> None:
        self._options = options = options or ReplayOptions()
        self._episode = episode
        self._path = RecordedPath(episode, share=options.path_share, tolerance=options.path_tolerance)
        self._approach_steps = math.ceil(options.approach_s * episode.rate_hz)
        self.spec = PolicySpec(
            policy_type="replay",
            actions=tuple(_plain(feature) for feature in episode.action_features),
            state=episode.state_features,
            cameras=tuple(
                CameraSpec(camera.name, camera.height, camera.width, is_required=False)
                for camera in episode.cameras
            ),
            horizon=options.horizon or episode.horizon or DEFAULT_HORIZON,
            model_dim=len(episode.action_features),
            rate_hz=episode.rate_hz,
            default_instruction=episode.instruction,
        )
        self.model_hash = self._digest()

    def sample(self) -> Observation:
        """Return an observation of the beginning, because elsewhere a robot is refused."""
        state = np.nan_to_num(self._episode.states[0].astype(np.float32))
        cameras = self.spec.cameras
        images = {c.name: np.full((c.height, c.width, 3), GREY, np.uint8) for c in cameras}
        return Observation(state, images, "", 0)

    def open_session(self) -> PlaybackState:
        """Return a robot's place before the beginning."""
        return PlaybackState()

    def begin_episode(self, session: PlaybackState) -> None:
        """Go back to the beginning."""
        session.base, session.approach, session.is_over = None, None, False

    def infer(self, batch: Sequence[Row[PlaybackState]]) -> list[ActionChunk | PolicyError]:
        """Return the recorded actions for each row, or why it must not have them."""
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        """Nothing to free."""

    # -- parts ------------------------------------------------------------------------------------------

    def _answer(self, row: Row[PlaybackState]) -> ActionChunk | PolicyError:
        refusal = self._refusal(row)
        if refusal:
            return PolicyError(refusal)
        actions = self._actions(row.session, row.step)
        if actions is None:
            return PolicyError(f"{self._episode.name} is over, and an effort cannot be held")
        floats = actions.astype(np.float32)
        return ActionChunk(row.step, floats, floats)

    def _refusal(self, row: Row[PlaybackState]) -> str:
        """Return why a robot must not be driven from where it is, "" if it may; begin its approach."""
        path, options, session = self._path, self._options, row.session
        if path.unmeasured and not options.trust_path:
            return (
                f"nothing measures {path.unmeasured}, so nobody knows whether the robot is where it was "
                "recorded; --options trust_path true plays it all the same"
            )
        measured = path.measured(row.observation.state)
        if self._is_approaching(session, row.step) and not self._approach_goes_on(
            session, row.step, measured
        ):
            session.base = row.step
            session.approach = path.approach(measured, self._approach_steps)
        if session.base is None:
            session.base = 0
        place = self._row(session, row.step)
        strays = [] if place < 0 else path.strays(measured, place)
        if not strays:
            return ""
        more = f"; and {len(strays) - MAX_TOLD} more" if len(strays) > MAX_TOLD else ""
        return (
            f"the robot is not where {self._episode.name} is at its step {place}: "
            f"{'; '.join(strays[:MAX_TOLD])}{more}; bring it there, or begin an episode with "
            "--options approach_s SECONDS"
        )

    def _is_approaching(self, session: PlaybackState, step: int) -> bool:
        return bool(self._approach_steps) and (session.base is None or self._row(session, step) < 0)

    def _approach_goes_on(self, session: PlaybackState, step: int, measured: ActionArray) -> bool:
        """Whether the robot still is where its approach wants it; it may have been pushed, or never moved."""
        if session.base is None or session.approach is None:
            return False
        index = step - session.base
        is_within = 0 < index <= len(session.approach)
        return is_within and not self._path.strays_from(measured, session.approach[index - 1])

    def _row(self, session: PlaybackState, step: int) -> int:
        """Return the row of a step; below 0 in the approach."""
        ahead = 0 if session.approach is None else len(session.approach)
        return step - (session.base or 0) - ahead

    def _actions(self, session: PlaybackState, step: int) -> ActionArray | None:
        """Return the actions from a step on, (horizon, action_dim); None: there are none any more."""
        count, first = self.spec.horizon, self._row(session, step)
        self._tell_end(session, first)
        if not self._path.can_rest:
            count = min(count, len(self._path) - first)
        if count <= 0:
            return None
        if first >= 0 or session.approach is None:
            return self._path.actions(first, count)
        ahead = session.approach[first:][:count]
        return np.concatenate([ahead, self._path.actions(0, count - len(ahead))])

    def _tell_end(self, session: PlaybackState, row: int) -> None:
        if row >= len(self._path) and not session.is_over:
            session.is_over = True
            logger.info("%s is over; its robot stays where it is", self._episode.name)

    def _digest(self) -> str:
        digest = hashlib.sha256(repr((self.spec, self._options)).encode())
        digest.update(np.ascontiguousarray(self._episode.actions, "<f8").tobytes())
        digest.update(np.ascontiguousarray(self._episode.states, "<f8").tobytes())
        return digest.hexdigest()


def _plain(feature: ActionFeature) -> ActionFeature:
    """Return what a policy says of an action: no limits and no feedback, which a robot has."""
    return ActionFeature(feature.name, feature.unit, feature.kind, encoding=feature.encoding)


def make_replay_policy(place: str, options: ReplayOptions) -> ReplayPolicy:
    """Return the policy that plays what is recorded at a place: PATH, or PATH#episode=3.

    Raises:
        ConfigError: nothing that can be played is there.
    """
    return ReplayPolicy(load_steps(parse_place(place)), options)
