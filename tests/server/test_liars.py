"""What a robot gains that lies about its slack, its network or its rate: nothing beyond its share."""

from __future__ import annotations

import pytest

from server.raw_client import Asker, Changes, CountingPolicy, serving, wait_until
from vagus.server.config import ServeConfig
from vagus.server.deadline import QUICK_MS
from vagus.server.scheduler import SCHEDULERS

ROBOTS = 8
BATCH = 2
ENOUGH = 60
"""Servings of each robot, if all are served equally often, from the moment that all have begun."""
WORK_S = 0.003
"""Time of a batch: what waits takes longer than what is served in turn whatever it says."""
HONEST: Changes = {"slack_ms": 60.0}
MOST_GAINED = 1.1
"""Until its share tells, a liar is served once or twice too often."""
LIES: dict[str, Changes] = {
    "its plan ended long ago": {"slack_ms": -1e9},
    "its plan ends now": {"slack_ms": 0.0},
    "its plan never ends": {"slack_ms": 1e9},
    "its network takes for ever": {"slack_ms": 60.0, "network_ms": 1e9},
    "its network takes less than nothing": {"slack_ms": 60.0, "network_ms": -1e9},
}


def test_what_waits_takes_longer_than_what_is_served_in_turn() -> None:
    assert ROBOTS / BATCH * WORK_S * 1000 > 2 * QUICK_MS


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("lie", LIES)
def test_a_robot_that_lies_about_its_time_is_served_no_oftener_than_the_honest(
    scheduler: str, lie: str
) -> None:
    servings = servings_with(ServeConfig(warm_up=False, max_batch=BATCH, scheduler=scheduler), LIES[lie])
    honest = sum(servings[1:]) / (ROBOTS - 1)
    assert servings[0] <= MOST_GAINED * honest, servings
    assert min(servings[1:]) > 0, servings


@pytest.mark.parametrize("rate_hz", [0.1, 1000.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_robot_that_lies_about_its_rate_is_served_no_oftener_than_the_honest(
    scheduler: str, rate_hz: float
) -> None:
    config = ServeConfig(warm_up=False, max_batch=BATCH, scheduler=scheduler)
    servings = servings_with(config, HONEST, opened={"rate_hz": rate_hz})
    assert servings[0] <= MOST_GAINED * sum(servings[1:]) / (ROBOTS - 1), servings


def servings_with(config: ServeConfig, lie: Changes, *, opened: Changes | None = None) -> list[int]:
    """Return how often each robot was answered, the liar first; all ask again in the moment of an answer."""
    policy = CountingPolicy()
    policy.work_s = WORK_S
    with serving(config, policy) as stand:
        askers = []
        for number in range(ROBOTS):
            client = stand.client(f"arm-{number}")
            client.open(**(opened or {}) if number == 0 else {})
            askers.append(Asker(client, number, changes=HONEST if number else lie))
        for asker in askers:
            asker.start()
        wait_until(lambda: all(asker.replies > 1 for asker in askers))
        begun = [asker.replies for asker in askers]
        wait_until(lambda: sum(asker.replies for asker in askers) >= sum(begun) + ENOUGH * ROBOTS)
        servings = [asker.replies - before for asker, before in zip(askers, begun, strict=True)]
        for asker in askers:
            asker.is_asking = False
        assert [asker.faults for asker in askers] == [[]] * ROBOTS
    return servings
