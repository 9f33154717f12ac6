"""Who is invited to another server: never back and forth, also when all servers do it with old knowledge."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replaced

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.rebalancing import (
    AGAIN_NS,
    MOST,
    ROUND_NS,
    SETTLED_NS,
    Guest,
    Neighbour,
    invitations,
    surplus,
)
from vagus.wire.schema import Load

NOW_NS = 1000 * NS_PER_S
EASY = Guest("arm", 0, None, 500 * NS_PER_MS, 100 * NS_PER_MS, can_move=True)


def load(sessions: int, most: int = 400) -> Load:
    return Load(sessions=sessions, max_sessions=most)


def guests(count: int) -> list[Guest]:
    return [replace(EASY, client=f"arm-{number:03}") for number in range(count)]


def invited(own: Load, *others: Load, seed: int = 1) -> dict[str, int]:
    neighbours = [Neighbour(f"s{number}", other) for number, other in enumerate(others)]
    chosen = invitations(own, neighbours, guests(own.sessions), NOW_NS, random.Random(seed).random)
    assert len({one.client for one in chosen}) == len(chosen)
    counts = dict.fromkeys((neighbour.server for neighbour in neighbours), 0)
    for one in chosen:
        counts[one.target] += 1
    return counts


def test_half_of_what_is_above_the_level_is_invited() -> None:
    assert invited(load(24), load(0)) == {"s0": 6}
    assert sum(invited(load(30), load(0), load(15)).values()) in (7, 8)


def test_those_that_lack_most_get_most() -> None:
    got = invited(load(80), load(0), load(40))
    assert got["s0"] == 20
    assert got["s1"] == 0


@pytest.mark.parametrize("others", [(10,), (9,), (8,), (12,), (40,), (10, 8, 9)])
def test_a_difference_of_two_is_left_alone(others: tuple[int, ...]) -> None:
    assert surplus(load(10), [load(n) for n in others]) == 0
    assert sum(invited(load(10), *map(load, others)).values()) == 0


def test_a_difference_of_three_is_not() -> None:
    assert surplus(load(10), [load(7)]) == 1.5
    assert {sum(invited(load(10), load(7), seed=n).values()) for n in range(30)} == {0, 1}


@pytest.mark.parametrize("error", [-0.001, 0.0, 0.001])
def test_nor_is_a_rounded_demand_what_decides_between_two_and_three(error: float) -> None:
    def asked(sessions: int, wrong: float = 0.0) -> Load:
        return replaced(load(sessions), demand=0.0306 * sessions + wrong)

    assert surplus(asked(9, error), [asked(9), asked(6)]) > 0
    assert surplus(asked(9, error), [asked(8), asked(7)]) == 0


def test_nobody_is_invited_to_nobody_or_to_a_full_server() -> None:
    assert invited(load(30)) == {}
    assert invited(load(30), load(4, most=4)) == {"s0": 0}
    busy, light = (
        Load(sessions=40, max_sessions=64, demand=2.0),
        Load(sessions=1, max_sessions=2, demand=0.05),
    )
    assert surplus(busy, [light]) > 10
    assert invited(busy, light) == {"s0": 1}  # there is one place


def test_a_round_has_a_bound() -> None:
    assert sum(invited(load(300), load(0)).values()) == MOST


def test_by_demand_the_device_is_shared_and_not_the_sessions() -> None:
    busy = Load(sessions=10, max_sessions=64, demand=1.0)
    light = Load(sessions=10, max_sessions=64, demand=0.2)
    assert surplus(busy, [light]) == pytest.approx(4.0)
    assert surplus(light, [busy]) == 0


@pytest.mark.parametrize(
    "guest",
    [
        replace(EASY, can_move=False),
        replace(EASY, slack_ns=None),
        replace(EASY, round_trip_ns=None),
        replace(EASY, slack_ns=199 * NS_PER_MS),
        replace(EASY, opened_ns=NOW_NS - SETTLED_NS + 1),
        replace(EASY, invited_ns=NOW_NS - AGAIN_NS + 1),
    ],
    ids=["cannot", "unknown slack", "unknown round trip", "too little slack", "just came", "just invited"],
)
def test_who_cannot_bear_a_move_is_not_invited(guest: Guest) -> None:
    assert not guest.is_free(NOW_NS)
    assert invitations(load(30), [Neighbour("s0", load(0))], [guest] * 30, NOW_NS, lambda: 0.0) == []


def test_who_has_settled_and_has_twice_the_time_is() -> None:
    assert EASY.is_free(NOW_NS)
    assert replace(EASY, slack_ns=200 * NS_PER_MS).is_free(NOW_NS)
    assert replace(EASY, opened_ns=NOW_NS - SETTLED_NS).is_free(NOW_NS)
    assert replace(EASY, invited_ns=NOW_NS - AGAIN_NS).is_free(NOW_NS)


def test_who_was_never_invited_and_has_most_playback_left_comes_first() -> None:
    asked = replace(EASY, client="asked", invited_ns=0, slack_ns=9 * NS_PER_S)
    rich = replace(EASY, client="rich", slack_ns=2 * NS_PER_S)
    here = [asked, *guests(3), rich]
    chosen = invitations(load(6), [Neighbour("s0", load(0))], here, NOW_NS, lambda: 0.99)
    assert [one.client for one in chosen] == ["rich"]
    chosen = invitations(load(40), [Neighbour("s0", load(0))], here, NOW_NS, lambda: 0.0)
    assert chosen[-1].client == "asked"


# -- a fleet in simulated time ----------------------------------------------------------------------------


class Fleet:
    """Servers that invite at their own moments, with what the others said up to `age` seconds ago."""

    def __init__(self, counts: list[int], *, seed: int, age_s: int = 1, move_s: int = 2) -> None:
        self.random = random.Random(seed)
        self.counts = list(counts)
        self.moves: list[int] = [0] * sum(counts)
        names = iter(range(sum(counts)))
        self.at = [{next(names): -SETTLED_NS for _ in range(count)} for count in counts]
        self.invited: dict[int, int] = {}
        self.history: list[list[int]] = []
        self.under_way: list[tuple[int, int, int, int]] = []
        self.age_s, self.move_s = age_s, move_s
        self.phase = [self.random.randrange(ROUND_NS // NS_PER_S) for _ in counts]

    def run(self, seconds: int) -> None:
        for second in range(len(self.history), len(self.history) + seconds):
            self.history.append([len(robots) for robots in self.at])
            for arrival, robot, source, target in [move for move in self.under_way if move[0] <= second]:
                self.under_way.remove((arrival, robot, source, target))
                del self.at[source][robot]
                self.at[target][robot] = second * NS_PER_S
                self.moves[robot] += 1
            for server in range(len(self.at)):
                if second % (ROUND_NS // NS_PER_S) == self.phase[server]:
                    self.round(server, second)

    def round(self, server: int, second: int) -> None:
        now_ns = second * NS_PER_S
        seen = [self.history[max(second - self.random.randint(0, self.age_s), 0)] for _ in self.at]
        others = [
            Neighbour(str(number), load(seen[number][number]))
            for number in range(len(self.at))
            if number != server
        ]
        here = [
            replace(EASY, client=str(robot), opened_ns=opened_ns, invited_ns=self.invited.get(robot))
            for robot, opened_ns in self.at[server].items()
        ]
        for one in invitations(load(len(here)), others, here, now_ns, self.random.random):
            self.invited[int(one.client)] = now_ns
            arrival = second + self.random.randint(0, self.move_s)
            self.under_way.append((arrival, int(one.client), server, int(one.target)))

    @property
    def spread(self) -> int:
        counts = [len(robots) for robots in self.at]
        return max(counts) - min(counts)


@pytest.mark.parametrize("servers", [2, 3, 6, 10])
@pytest.mark.parametrize("robots", [24, 300])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_new_server_has_its_share_within_a_minute_and_nothing_goes_back_and_forth(
    servers: int, robots: int, seed: int
) -> None:
    old = [robots // (servers - 1)] * (servers - 1)
    fleet = Fleet([*old, 0], seed=seed)
    needed = sum(old) / servers
    fleet.run(60)
    assert fleet.spread <= 2
    assert sum(fleet.moves) <= 1.5 * needed + 2 * servers
    settled = sum(fleet.moves)
    fleet.run(120)
    assert fleet.spread <= 2
    assert sum(fleet.moves) - settled <= servers
    assert max(fleet.moves, default=0) <= 2


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=10), st.integers(0, 10**6))
def test_any_distribution_becomes_even(counts: list[int], seed: int) -> None:
    fleet = Fleet(counts, seed=seed, age_s=2)
    mean = sum(counts) / len(counts)
    needed = sum(max(count - mean, 0) for count in counts)
    fleet.run(90)
    assert fleet.spread <= 2
    assert sum(fleet.moves) <= 1.5 * needed + 2 * len(counts)
