"""What a server answers when it is asked how it is."""

from __future__ import annotations

import threading

from vagus.server.status import REPEAT_NS, Status
from vagus.wire.codec import decode
from vagus.wire.schema import Capabilities


class HandClock:
    time_ns = 0

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")


class Said:
    phase = "ready"
    count = 0

    def __call__(self) -> Capabilities:
        self.count += 1
        return Capabilities(
            server="s",
            model="m",
            revision="r",
            model_hash="",
            policy_type="",
            actions=(),
            state=(),
            horizon=0,
            model_dim=0,
            rate_hz=0.0,
            phase=self.phase,
        )


def test_it_is_said_once_for_all_who_ask_in_a_moment_but_a_change_at_once() -> None:
    clock, said = HandClock(), Said()
    status = Status(lambda: said.phase, said, clock)
    for _ in range(1000):
        status.payload()
    assert said.count == 1
    said.phase = "draining"
    assert decode(status.payload(), Capabilities).phase == "draining"
    assert said.count == 2
    clock.time_ns += REPEAT_NS
    status.payload()
    assert said.count == 3
