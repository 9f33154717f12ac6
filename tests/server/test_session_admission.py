"""Admission at a server whose policy takes a tenth of a second per row, on a clock that only it moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from server.raw_client import Calls, CountingPolicy, PolicyClock, RawClient, Stand, serving
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.server import admission, session_admission
from vagus.server.config import AdmissionChoice, ServeConfig
from vagus.server.session_admission import QUIET_NS, REMEMBERED_NS
from vagus.types import ActionChunk
from vagus.wire.schema import Ack

ROW_MS = 100.0


class SteadyPolicy(CountingPolicy):
    """Takes the same time for each row of a batch."""

    def __init__(self, clock: PolicyClock) -> None:
        super().__init__()
        self._clock = clock

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        self._clock.work(ROW_MS * len(batch))
        return super().infer(batch)


@contextlib.contextmanager
def steady(**settings: object) -> Iterator[tuple[Stand, PolicyClock]]:
    clock = PolicyClock()
    config = ServeConfig(max_batch=4, **settings)  # type: ignore[arg-type]
    with serving(config, SteadyPolicy(clock), clock) as stand:
        yield stand, clock


def arm(stand: Stand, number: int) -> RawClient:
    return stand.client(f"arm-{number}")


def asked(client: RawClient, **changes: object) -> Ack:
    """Open as a robot that asks 0.15 s before its plan of 0.4 s ends."""
    return client.try_open(**{"buffer_time_s": 0.15, **changes})


def filled(stand: Stand) -> tuple[list[RawClient], Ack]:
    """Open sessions until one is refused; return the clients with one, and the refusal."""
    clients: list[RawClient] = []
    for number in range(10):
        client = arm(stand, number)
        ack = asked(client)
        if not ack.accepted:
            return clients, ack
        clients.append(client)
    pytest.fail("nobody was refused")


def test_who_would_make_others_starve_is_refused_with_load_and_reason() -> None:
    with steady() as (stand, _):
        clients, refusal = filled(stand)
        assert len(clients) in (1, 2, 3)
        assert refusal.code == "overloaded"
        assert "of the device would be asked for" in refusal.error
        assert refusal.capabilities is not None
        assert refusal.capabilities.load.sessions == len(clients)
        assert refusal.capabilities.load.demand > 0.2


def test_who_opens_again_counts_once_and_who_leaves_makes_room() -> None:
    with steady() as (stand, _):
        clients, _ = filled(stand)
        for client in clients:
            assert asked(client).accepted
        clients[0].close()
        assert asked(arm(stand, 20)).accepted


def test_the_load_says_what_the_open_sessions_need() -> None:
    with steady() as (stand, _):
        client = arm(stand, 0)
        assert client.status().load.demand == 0
        asked(client)
        wanted = stand.server.load().demand
        assert wanted == pytest.approx(0.4, abs=0.06)  # ten requests a second can be answered
        client.close()
        assert stand.server.load().demand == 0


def test_a_running_robot_is_admitted_and_warned() -> None:
    with steady() as (stand, _):
        filled(stand)
        running = arm(stand, 30)
        ack = asked(running, model_hash=running.status().model_hash)
        assert ack.accepted
        assert any("a running robot is not refused" in warning for warning in ack.warnings)


def test_running_robots_that_come_together_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred robots that lose their server at once must not wait for each other's predictions."""
    computed: list[int] = []

    def counting(*args: object, **settings: object) -> object:
        computed.append(1)
        return admission.predict(*args, **settings)  # type: ignore[arg-type]

    with steady() as (stand, clock):
        filled(stand)
        monkeypatch.setattr(session_admission, "predict", counting)
        model_hash = arm(stand, 30).status().model_hash
        acks = [asked(arm(stand, number), model_hash=model_hash) for number in range(30, 40)]
        assert all(ack.accepted and ack.warnings for ack in acks)
        assert len(computed) == 1
        clock.work(REMEMBERED_NS / 1e6)
        asked(arm(stand, 40), model_hash=model_hash)
        assert len(computed) == 2
        asked(arm(stand, 41))  # one that only begins may be refused, so it is computed in any case
        assert len(computed) == 3


@pytest.mark.parametrize("fault", [ZeroDivisionError, OverflowError, MemoryError])
def test_a_fault_in_the_prediction_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise fault

    with steady() as (stand, _):
        monkeypatch.setattr(session_admission, "predict", broken)
        monkeypatch.setattr(session_admission, "demand_share", broken)
        assert asked(arm(stand, 0)).accepted
        assert asked(arm(stand, 1)).accepted
    assert "could not be predicted" in caplog.text
    assert "could not be computed" in caplog.text


def test_who_asks_more_often_than_it_must_is_told_how_much_of_a_chunk_to_execute() -> None:
    with steady(slo_starved_share=0.03) as (stand, _):
        tight, eager = arm(stand, 0), arm(stand, 1)
        assert asked(tight, buffer_time_s=0.12).execute_horizon == 0
        ack = asked(eager, rate_hz=3.0, buffer_time_s=0.3, execute_horizon=1)
        assert (ack.accepted, ack.execute_horizon) == (True, 2)
        assert "execute 2 of 4 actions" in ack.warnings[0]


def test_a_robot_that_was_silent_for_long_needs_nothing() -> None:
    with steady() as (stand, clock):
        filled(stand)
        clock.work(QUIET_NS / 1e6)
        assert asked(arm(stand, 20)).accepted


@pytest.mark.parametrize("settings", [{"admission": AdmissionChoice.OFF}, {"warm_up": False}])
def test_without_a_prediction_the_number_of_sessions_alone_decides(settings: dict[str, object]) -> None:
    with steady(max_sessions=8, **settings) as (stand, _):
        assert all(asked(arm(stand, number)).accepted for number in range(8))
        assert asked(arm(stand, 8)).code == "sessions_full"


def test_a_server_that_is_full_says_so_and_not_that_it_is_loaded() -> None:
    with steady(max_sessions=1) as (stand, _):
        assert asked(arm(stand, 0)).accepted
        assert asked(arm(stand, 1)).code == "sessions_full"


def test_how_robots_fare_is_in_the_status() -> None:
    with steady() as (stand, clock):
        client = arm(stand, 0)
        asked(client)
        clock.work(2000)
        client.ask(1.0, changes={"played_steps": 15, "starved_steps": 5, "oldest_age_ms": 700.0})
        load = client.status().load
        assert (load.starved_share, load.age_p99_ms) == (0.25, 700.0)
