"""Who has left loses its place after a time of grace, and only then; by a clock that a hand moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.lerobot_zenoh.rig import HandClock, Stand, standing, wait_until
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType

GRACE_S = 10.0


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def stand(clock: HandClock) -> Iterator[Stand]:
    with standing(clock=clock) as standing_here:
        yield standing_here


def test_a_session_that_nobody_claims_ends_after_the_grace(stand: Stand, clock: HandClock) -> None:
    robot = stand.robot()
    robot.describe()
    for request in ("a", "b", "c"):
        assert robot.open_as(request)[0].kind is MessageType.ACCEPTED
    assert stand.gateway.metrics.peers == 3
    clock.advance(GRACE_S / 2)
    assert stand.gateway.metrics.peers == 3
    clock.advance(GRACE_S / 2)
    wait_until(lambda: stand.gateway.metrics.peers == 0)


def test_a_client_that_is_back_within_the_grace_goes_on(stand: Stand, clock: HandClock) -> None:
    robot = stand.robot().admit()
    robot.token.undeclare()
    clock.advance(GRACE_S * 0.9)
    robot.show_token()
    clock.advance(GRACE_S * 3)
    robot.observe((1.0, 1.0))
    robot.actions()
    robot.token.undeclare()
    clock.advance(GRACE_S)
    wait_until(lambda: stand.gateway.metrics.peers == 0)


def test_a_client_that_is_there_and_silent_keeps_its_place(stand: Stand, clock: HandClock) -> None:
    robot = stand.robot().admit()
    clock.advance(3600.0)
    robot.observe((1.0, 1.0))
    robot.actions()


def test_a_cut_takes_the_token_and_so_the_place(stand: Stand, clock: HandClock) -> None:
    link = stand.robots_network.link("robot")
    robot = stand.robot()
    robot.link = link
    robot.admit()
    link.cut()
    clock.advance(GRACE_S)
    wait_until(lambda: stand.gateway.metrics.peers == 0)
