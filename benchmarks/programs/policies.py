"""Policies for measuring what is around a policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.programs.driver import ACTION_DIM, CAMERAS, HORIZON, STATE_DIM, chunk
from vagus.policies.policy import Row, ServingMode
from vagus.specs import ActionFeature, CameraSpec, PolicySpec, StateFeature
from vagus.types import ActionChunk

__all__ = ["EchoPolicy", "echo_spec"]

Session = dict[str, object]


def echo_spec(*, cameras: int, rate_hz: float = 30.0) -> PolicySpec:
    """Return what the echo policy wants: 14 joints and the first `cameras` of three 640×480 cameras."""
    joints = [f"joint_{number}" for number in range(ACTION_DIM)]
    return PolicySpec(
        policy_type="echo",
        actions=tuple(ActionFeature(name, "rad") for name in joints),
        state=tuple(StateFeature(name, "rad") for name in joints[:STATE_DIM]),
        cameras=tuple(CameraSpec(name, 480, 640) for name in CAMERAS[:cameras]),
        horizon=HORIZON,
        model_dim=ACTION_DIM,
        rate_hz=rate_hz,
    )


class EchoPolicy:
    """Answers at once with the state that it was sent, so that whatever a request takes is overhead."""

    serving_mode = ServingMode.SHARED
    model_hash = "echo"

    def __init__(self, *, cameras: int = 3) -> None:
        self.spec = echo_spec(cameras=cameras)

    def open_session(self) -> Session:
        """Return nothing to remember."""
        return {}

    def begin_episode(self, session: Session) -> None:
        """Forget nothing."""

    def infer(self, batch: Sequence[Row[Session]]) -> list[ActionChunk]:
        """Return the state of each row, fifty times."""
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        """Free nothing."""

    def _answer(self, row: Row[Session]) -> ActionChunk:
        images = row.observation.images
        if len(images) != len(self.spec.cameras) or any(i.shape != (480, 640, 3) for i in images.values()):
            raise ValueError("frames of another size or number")
        actions = chunk(row.observation.state)
        return ActionChunk(row.step, model=actions, robot=np.array(actions))
