"""The embedded policy `gates`: passes walls that each have two gaps. Numpy only; no camera.

Its expert takes a side at random, so chunks of two moments may lead to different gaps: a robot that only
switches from one to the other hits the wall between them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from vagus.demo.flow_net import SCHEDULES, Floats32, layers_of, prefix_weights
from vagus.demo.gates_net import HORIZON, Continuation, GatesNet, condition
from vagus.demo.gates_options import GatesOptions
from vagus.demo.gates_world import DT_S, TOP_SPEED_M_S
from vagus.errors import ConfigError, PolicyError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import ActionFeature, ActionKind, Limits, PolicySpec, RtcSpec, StateFeature
from vagus.types import ActionChunk

__all__ = ["GATES_ACTIONS", "GATES_STATE", "GatesPolicy"]

WEIGHTS = "gates_weights.npz"
CODE = ("flow_net.py", "gates_net.py", "gates_world.py", "gates.py")
"""What an output depends on besides them."""
WANTED = "a file that scripts/train_gates.py has written"
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile)
"""What numpy raises on bytes that are no file of arrays, or not of these."""
FLOW_STEPS = 5
MODEL_DIM = 2
"""An action and the noise it came from: both come back with the plan, and nothing is kept per robot."""
PREFIX_HORIZON = 12
"""Horizon less four: the paper's H − s where a new chunk is asked for after four steps."""
MAX_GUIDANCE = 5.0

GATES_ACTIONS = (
    ActionFeature(
        name="lateral",
        unit="m/s",
        kind=ActionKind.VELOCITY,
        feedback="lateral.velocity",
        limits=Limits(lower=-TOP_SPEED_M_S, upper=TOP_SPEED_M_S),
    ),
)
GATES_STATE = (
    StateFeature("lateral.place", "m"),
    StateFeature("lateral.velocity", "m/s"),
    StateFeature("segment_left", "1"),
    StateFeature("gap_left", "m"),
    StateFeature("gap_right", "m"),
)


class GatesPolicy:
    """Steers a point through the gaps. Shared: a robot leaves nothing behind.

    Args:
        options: settings of this policy alone.
        rtc_schedule: how guidance falls off: exp, linear, ones, zeros (which is a hard prefix); "": exp if
            chunks are guided, otherwise nothing guides them behind the steps that are given.
        rtc_max_guidance: bound of the guidance weight.
        weights: bytes of another training's weights; None: those that `options` names.
    """

    serving_mode = ServingMode.SHARED
    options_type = GatesOptions

    def __init__(
        self,
        *,
        options: GatesOptions | None = None,
        rtc_schedule: str = "",
        rtc_max_guidance: float = MAX_GUIDANCE,
        weights: bytes | None = None,
    ) -> None:
        if rtc_schedule and rtc_schedule not in SCHEDULES:
            raise ConfigError("rtc_schedule", wanted=f"one of {', '.join(SCHEDULES)}", got=rtc_schedule)
        options = options or GatesOptions()
        self._way = options.way(rtc_schedule)
        self._schedule = rtc_schedule or ("exp" if self._way == "guided" else "zeros")
        self._max_guidance = rtc_max_guidance
        content = weights or _content(options.weights)
        self._net = _load(content)
        self.model_hash = self._hash(content)
        self.spec = PolicySpec(
            policy_type="gates",
            actions=GATES_ACTIONS,
            state=GATES_STATE,
            cameras=(),
            horizon=HORIZON,
            model_dim=MODEL_DIM,
            rate_hz=1 / DT_S,
            rtc=RtcSpec(PREFIX_HORIZON, self._schedule, rtc_max_guidance),
            default_instruction="pass the gates",
        )

    def open_session(self) -> None:
        """Nothing is kept per robot."""

    def begin_episode(self, session: None) -> None:
        """Nothing to forget."""

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row, or what is wrong with the row."""
        failures = [_fault(row) for row in batch]
        good = [row for row, failure in zip(batch, failures, strict=True) if failure is None]
        chunks = iter(self._infer_rows(good) if good else [])
        return [next(chunks) if failure is None else failure for failure in failures]

    def close(self) -> None:
        """Nothing to free."""

    def _infer_rows(self, rows: Sequence[Row[None]]) -> list[ActionChunk]:
        noise = np.stack([self._noise(row) for row in rows])
        states = np.stack([row.observation.state for row in rows]).astype(np.float64)
        actions = self._net.sample(
            noise,
            condition(states),
            [self._continuation(row) for row in rows],
            steps=FLOW_STEPS,
            max_guidance=self._max_guidance,
        )
        return [_chunk(row, *own) for row, *own in zip(rows, actions, noise, strict=True)]

    def _noise(self, row: Row[None]) -> Floats32:
        """Return the noise that the flow begins with, (HORIZON,)."""
        noise = np.random.default_rng(row.seed).standard_normal(HORIZON, dtype=np.float32)
        if row.prefix is not None and self._way == "carried":
            planned = row.prefix.model[:HORIZON, 1]
            noise[: len(planned)] = planned
        return noise

    def _continuation(self, row: Row[None]) -> Continuation | None:
        if row.prefix is None:
            return None
        length = min(len(row.prefix), HORIZON)
        plan = np.zeros(HORIZON, np.float32)
        plan[:length] = row.prefix.model[:length, 0]
        delay = min(row.inference_delay, length)
        weights = prefix_weights(
            HORIZON,
            length=length,
            delay=delay,
            end=min(row.prefix_horizon, HORIZON),
            schedule=self._schedule,
        )
        return Continuation(plan, weights, 0 if self._way == "guided" else delay)

    def _hash(self, weights: bytes) -> str:
        """Return a digest of weights, code and settings: everything that changes an output."""
        digest = hashlib.sha256(weights)
        for name in CODE:
            digest.update(resources.files("vagus.demo").joinpath(name).read_bytes())
        settings = (self._schedule, self._max_guidance, self._way, FLOW_STEPS, PREFIX_HORIZON)
        digest.update(repr(settings).encode())
        return digest.hexdigest()


def _chunk(row: Row[None], actions: Floats32, noise: Floats32) -> ActionChunk:
    robot = actions[:, None] * np.float32(TOP_SPEED_M_S)
    return ActionChunk(row.step, model=np.stack([actions, noise], axis=1), robot=robot)


def _fault(row: Row[None]) -> PolicyError | None:
    state = row.observation.state
    if state.shape == (len(GATES_STATE),) and np.isfinite(state).all():
        return None
    return PolicyError(f"state: wanted {len(GATES_STATE)} finite numbers, got {state.tolist()}")


def _content(path: str) -> bytes:
    """Return the bytes of a file with weights; "": of the package's.

    Raises:
        ConfigError: it cannot be read.
    """
    if not path:
        return resources.files("vagus.demo").joinpath(WEIGHTS).read_bytes()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError("weights", wanted=WANTED, got=f"{path}: {error.strerror}") from error


def _load(content: bytes) -> GatesNet:
    """Return the network with these weights.

    Raises:
        ConfigError: they are no weights of this network.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as parts:
            net = GatesNet(layers_of(parts))
    except UNREADABLE as error:
        raise ConfigError("weights", wanted=WANTED, got=f"{type(error).__name__}: {error}") from error
    trouble = net.trouble
    if trouble:
        raise ConfigError("weights", wanted=WANTED, got=trouble)
    return net
