"""A foreign server of lines of code, and the profile of a robot with two joints."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from vagus.clock import NS_PER_S
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply
from vagus.gateways.profile import Profile, WireSpan
from vagus.policies.policy import Row, ServingMode
from vagus.specs import RtcSpec
from vagus.types import Observation, Prefix

HORIZON = 4


def profile_of(protocol: str = "openpi") -> Profile:
    """Return a profile whose joints are degrees on the wire and radians here."""
    names = ("pan", "tilt")
    keys = {
        "openpi": (("state",), ("actions",), ("prompt",)),
        "gr00t": (("state", "arm"), ("action", "arm"), ("language", "annotation.human.task_description")),
        "pointact": (("observation.state",), ("action",), ("task",)),
        "lerobot_grpc": (("observation.state",), ("actions",), ("task",)),
        "lerobot_zenoh": (("observation.state",), ("action",), ("task",)),
    }
    state, actions, instruction = keys[protocol]
    return Profile(
        name="two_joints",
        protocol=protocol,
        robot_type="two_joints",
        rate_hz=10.0,
        horizon=HORIZON,
        state=(WireSpan(key=state, names=names, unit="rad", wire_unit="deg"),),
        actions=(WireSpan(key=actions, names=names, unit="rad", wire_unit="deg"),),
        instruction=instruction,
        semantics="two joints, in degrees" if protocol == "lerobot_zenoh" else "",
    )


def row_of(
    state: Sequence[float] = (0.0, 0.0), *, step: int = 0, prefix: Prefix | None = None, text: str = "go"
) -> Row[None]:
    """Return one row."""
    observation = Observation(np.array(state, np.float32), {}, text, 0)
    return Row(None, observation, step, prefix, 1 if prefix else 0, 3 if prefix else 0, 0)


class HandClock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wait_until_ns(self, deadline_ns: int, stop: object) -> None:
        raise AssertionError("nothing waits here")

    def advance(self, seconds: float) -> None:
        self.ns += round(seconds * NS_PER_S)


class ScriptedServer:
    """Answers what `script` holds, one entry per call; without an entry, the state as a chunk."""

    address = ForeignAddress("openpi", "ws", "127.0.0.1", 1)
    wanted = "a scripted server"
    serving_mode = ServingMode.SHARED
    serving_reason = ""
    has_reset = True
    model_dim = 0

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.says: Mapping[Key, Value] = {"model": "a"}
        self.script: deque[list[ForeignReply] | Exception] = deque()
        self.opens: deque[Exception] = deque()
        self.identity = ""
        self.settings = ""
        self.loads_when_opened = False
        self.load_s = 0.0
        self.max_rows = 1
        self.rtc: RtcSpec | None = None
        self.is_open = False
        self.asked: list[Sequence[Asked]] = []
        self.timeouts: list[float] = []
        self.opened_with: list[float] = []
        self.resets = 0

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        self.opened_with.append(timeout_s)
        if self.opens:
            raise self.opens.popleft()
        self.clock.advance(self.load_s)
        self.is_open = True
        return self.says

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        assert said == self.says
        assert horizon == HORIZON
        return self.rtc

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> Sequence[ForeignReply]:
        assert self.is_open
        self.asked.append(requests)
        self.timeouts.append(timeout_s)
        if not self.script:
            return [self._answer(asked) for asked in requests]
        answer = self.script.popleft()
        if isinstance(answer, Exception):
            self.clock.advance(timeout_s)
            raise answer
        return answer

    def reset(self, timeout_s: float) -> None:
        del timeout_s
        self.resets += 1

    def close(self) -> None:
        self.is_open = False

    def _answer(self, asked: Asked) -> ForeignReply:
        state = np.asarray(asked[0].observation[("state",)])
        return ForeignReply({"actions": np.repeat(state[None], HORIZON, axis=0)})
