from __future__ import annotations

import logging

import pytest

from server.raw_client import PolicyClock
from vagus.clock import NS_PER_MS
from vagus.server.mailbox import QueuedRequest
from vagus.server.pacing import Pacing, ServiceTarget
from vagus.server.request import DecodedRequest
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest
from vagus.server.tenants import Tenant
from vagus.types import Fared
from vagus.wire.schema import Header, Kind

BATCH_MS = 100
NOTHING = Fared()


class Served:
    """Forty robots, one after the other, in batches of four."""

    def __init__(self, *, limits_rate: bool = True) -> None:
        self.clock = PolicyClock()
        self.pacing = Pacing(ServiceTarget(0.01, 1.0, limits_rate=limits_rate), self.clock)
        self._count = 0

    def batch(self, *, waited_ms: float, fared: Fared = NOTHING) -> list[float]:
        self.clock.work(BATCH_MS)
        return [self._row(waited_ms, fared) for _ in range(4)]

    def _row(self, waited_ms: float, fared: Fared) -> float:
        name = f"arm-{self._count % 40}"
        self._count += 1
        now_ns = self.clock.now_ns()
        begin_ns = now_ns - BATCH_MS * NS_PER_MS
        arrived_ns = begin_ns - round(waited_ms * NS_PER_MS)
        request = DecodedRequest(
            observation=None,  # type: ignore[arg-type] # nobody looks at it
            step=0,
            prefix=None,
            inference_delay=0,
            prefix_horizon=0,
            seed=0,
            is_episode_start=False,
            slack_ms=0.0,
            traceparent=None,
            fared=fared,
        )
        header = Header(Kind.OBSERVATION, 1, 0, 0, 7)
        ready = ReadyRequest(QueuedRequest(header, b"", arrived_ns), request, 0, ready_ns=arrived_ns)
        session = Session(name, "i", 7, Tenant(name=name), opened_ns=0, heard_ns=0)
        asked_ms = self.pacing.answered(session, ready, begin_ns=begin_ns, batch_ns=BATCH_MS * NS_PER_MS)
        assert session.min_interval_ns == round(asked_ms * NS_PER_MS), (
            "the scheduler counts with what was asked"
        )
        return asked_ms


def test_answers_ask_for_pauses_in_overload_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    served = Served()
    with caplog.at_level(logging.WARNING):
        first = served.batch(waited_ms=50)
        for _ in range(40):
            last = served.batch(waited_ms=400)
    assert first == [0.0] * 4
    assert min(last) > 400
    assert [record.message for record in caplog.records] == [
        "too many requests for this device: robots are asked for pauses"
    ]


def test_without_rate_control_nobody_is_asked_for_a_pause() -> None:
    served = Served(limits_rate=False)
    assert all(served.batch(waited_ms=400) == [0.0] * 4 for _ in range(40))


def test_a_level_that_is_missed_is_told_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    served = Served()
    with caplog.at_level(logging.WARNING):
        for _ in range(550):
            served.batch(waited_ms=0, fared=Fared(8, 2, 1500 * NS_PER_MS))
    assert [record.message for record in caplog.records] == [
        "robots had no action for 20.0 % of the last minute, and the oldest 1 % of their actions "
        "were 1.50 s old or more; "
        "wanted: at most 1.0 % and 1.00 s"
    ]
    level = served.pacing.level
    assert (level.robots, level.age_p99_s) == (40, 1.5)
    assert level.starved_share == pytest.approx(0.2)


def test_a_level_that_is_met_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    served = Served()
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            served.batch(waited_ms=0, fared=Fared(10, 0, 900 * NS_PER_MS))
    assert not caplog.records
    assert served.pacing.level.starved_share == 0
