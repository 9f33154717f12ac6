"""A PointAct server of lines of code, and the example's arm as a policy moves it by poses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from integrations.pointact.arms import URDF
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply
from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.policies.policy import Row, ServingMode
from vagus.specs import RtcSpec
from vagus.types import Observation

__all__ = ["OPTIONS", "PoseServer", "held", "row_of"]

HORIZON = 4
OPTIONS = ArmOptions(
    identity="a model",
    urdf=str(URDF),
    intrinsics=str(URDF.with_name("intrinsics.yaml")),
    extrinsics=str(URDF.with_name("extrinsics.yaml")),
)
STATE = (10.0, -20.0, 30.0, 40.0, -50.0, 35.0)


def held(pose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a chunk that stays at a pose."""
    return np.repeat(pose[None], HORIZON, axis=0)


def row_of(observation: Observation, session: object, *, step: int = 0) -> Row[object]:
    """Return one row."""
    return Row(session, observation, step, None, 0, 0, 0)


def at(observation: Observation, state: Sequence[float] = STATE, text: str = "stack") -> Observation:
    """Return an observation with another state."""
    return replace(observation, state=np.array(state, np.float32), instruction=text)


class PoseServer:
    """Answers each row with what `answer` makes of the pose that was sent; `script` goes first."""

    address = ForeignAddress("pointact", "tcp", "127.0.0.1", 17000)
    wanted = "a PointAct server"
    identity = ""
    settings = ""
    loads_when_opened = False
    model_dim = 0
    serving_mode = ServingMode.SHARED
    serving_reason = ""
    has_reset = True
    max_rows = 8

    def __init__(self, answer: Callable[[NDArray[np.float32]], NDArray[np.float32]] = held) -> None:
        self.answer = answer
        self.script: deque[ForeignReply | Exception] = deque()
        self.asked: list[Asked] = []
        self.resets = 0
        self.is_open = False

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        del timeout_s
        self.is_open = True
        return {}

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        del said, horizon
        return None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> Sequence[ForeignReply]:
        del timeout_s
        assert self.is_open
        self.asked += requests
        return [self._reply(request) for request in requests]

    def reset(self, timeout_s: float) -> None:
        del timeout_s
        self.resets += 1

    def close(self) -> None:
        self.is_open = False

    def _reply(self, asked: Asked) -> ForeignReply:
        if self.script:
            reply = self.script.popleft()
            if isinstance(reply, Exception):
                raise reply
            return reply
        pose = np.asarray(asked[0].observation[("observation.state",)], np.float32)
        return ForeignReply({"action": self.answer(pose)})
