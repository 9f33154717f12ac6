"""When sessions and episodes begin, so that nobody who waits for a batch pays for it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.preparations import (
    MAX_REST_NS,
    PATIENCE_NS,
    PATIENT_BATCHES,
    REST,
    SMALL_NS,
    SMALL_SHARE,
    WINDOW,
    PreparationPace,
)

MS = NS_PER_MS
LATE = -1
"""Room where somebody's batch should have begun already."""


def known(took_ns: int, *, is_new: bool = False, batch_ns: int = 90 * MS) -> PreparationPace:
    """Return a pace that knows how long preparations take, long ago."""
    pace = PreparationPace()
    for _ in range(WINDOW):
        pace.ran(0, is_new=is_new, begin_ns=-(10**12) - took_ns, end_ns=-(10**12))
    pace.batch_ran(batch_ns)
    return pace


def test_where_nobody_waits_for_a_batch_every_preparation_runs_at_once() -> None:
    assert known(300 * MS).choose({7: False}, None, 0) == 7


def test_a_preparation_runs_in_the_time_that_the_tightest_request_can_bear() -> None:
    pace = known(300 * MS)
    assert pace.choose({7: False}, 299 * MS, 0) is None
    assert pace.choose({7: False}, 300 * MS, 0) == 7


def test_a_long_one_waits_for_batches_that_are_due_but_not_for_ever() -> None:
    pace = known(300 * MS)
    assert pace.choose({7: False}, LATE, 1000) is None
    assert pace.next_ns == 1000 + PATIENCE_NS
    assert pace.choose({7: False}, LATE, 999 + PATIENCE_NS) is None
    assert pace.choose({7: False}, LATE, 1000 + PATIENCE_NS) == 7


def test_where_batches_are_short_it_waits_for_two_of_them() -> None:
    pace = known(300 * MS, batch_ns=4 * MS)
    assert pace.choose({7: False}, LATE, 0) is None
    assert pace.next_ns == PATIENT_BATCHES * 4 * MS
    assert pace.choose({7: False}, LATE, PATIENT_BATCHES * 4 * MS) == 7


def test_after_a_long_one_the_batches_have_three_times_as_long() -> None:
    pace = known(300 * MS)
    pace.choose({7: False, 8: False}, LATE, 0)
    assert pace.choose({7: False, 8: False}, LATE, PATIENCE_NS) == 7
    end_ns = PATIENCE_NS + 300 * MS
    pace.ran(7, is_new=False, begin_ns=PATIENCE_NS, end_ns=end_ns)
    pace.batch_ran(60 * MS)
    assert pace.choose({8: False}, LATE, end_ns + REST * 300 * MS - 1) is None
    assert pace.next_ns == end_ns + REST * 300 * MS
    assert pace.choose({8: False}, LATE, end_ns + REST * 300 * MS) == 8


def test_resets_that_always_fit_in_put_nobody_off() -> None:
    pace, now_ns = known(300 * MS, is_new=True, batch_ns=MS), 0
    for _ in range(1000):  # batches of 1 ms, and 7 resets its episode after each of them
        chosen = pace.choose({7: False, 8: True}, LATE, now_ns)
        if chosen == 8:
            break
        if chosen == 7:
            pace.ran(7, is_new=False, begin_ns=now_ns, end_ns=now_ns + 9 * SMALL_NS // 10)
            now_ns += 9 * SMALL_NS // 10
        pace.batch_ran(MS)
        now_ns += MS
    assert chosen == 8
    assert now_ns <= PATIENCE_NS


def test_a_preparation_during_which_the_machine_slept_puts_nobody_off_for_long() -> None:
    pace, slept_ns = known(300 * MS), 3600 * NS_PER_S
    pace.choose({7: False, 8: False}, LATE, 0)
    assert pace.choose({7: False, 8: False}, LATE, PATIENCE_NS) == 7
    pace.ran(7, is_new=False, begin_ns=PATIENCE_NS, end_ns=PATIENCE_NS + slept_ns)
    assert pace.choose({8: False}, LATE, PATIENCE_NS + slept_ns + MAX_REST_NS) == 8


def test_after_a_batch_during_which_the_machine_slept_batches_are_not_held_up() -> None:
    pace = known(PATIENCE_NS + MS)
    pace.batch_ran(3600 * NS_PER_S)
    assert pace.choose({7: False}, LATE, 0) is None


def test_small_ones_run_between_batches_as_long_as_together_they_are_small() -> None:
    pace = known(SMALL_NS // 2, batch_ns=MS)
    for _ in range(3):
        ran = 0
        while pace.choose({7: False}, LATE, 0) is not None:
            pace.ran(7, is_new=False, begin_ns=0, end_ns=SMALL_NS // 2)
            ran += 1
        assert ran == 2
        pace.batch_ran(MS)
    pace.batch_ran(SMALL_SHARE * 10 * SMALL_NS)
    assert known(9 * SMALL_NS).choose({7: False}, LATE, 0) is None
    assert pace.choose({7: False}, LATE, 0) == 7


def test_whoever_waits_longest_is_first_among_those_that_may_run() -> None:
    pace = known(300 * MS)
    pace.choose({9: False}, LATE, 0)
    pace.choose({9: False, 3: False}, LATE, 1)
    assert pace.choose({3: False, 9: False}, None, 2) == 9
    assert pace.choose({3: False, 9: True}, LATE, 2) == 9, "nobody knows yet that sessions take long"


def turns(pace: PreparationPace, *, flood: dict[int, str], asks: int, tenant: str) -> list[int]:
    """Return whose preparations ran until that of `asks` did, which came after the first.

    Batches are always due, and who has begun an episode asks for the next one at once.
    """
    tenants, now_ns, ran = dict(flood), 0, list[int]()
    while asks not in ran and len(ran) < 2 * len(flood):
        chosen = pace.choose(dict.fromkeys(tenants, False), LATE, now_ns, tenants)
        if chosen is not None:
            pace.ran(chosen, is_new=False, begin_ns=now_ns, end_ns=now_ns + 25 * MS)
            now_ns += 25 * MS
            ran.append(chosen)
            tenants[asks] = tenant
        pace.batch_ran(MS)
        now_ns += MS
    return ran


def test_the_robots_of_a_tenant_that_all_ask_at_once_delay_another_tenant_by_one() -> None:
    flood = dict.fromkeys(range(1, 61), "flood")
    assert turns(known(25 * MS), flood=flood, asks=99, tenant="other") == [1, 99]
    assert turns(known(25 * MS), flood=flood, asks=99, tenant="flood") == [*range(1, 61), 1, 99]


def test_where_no_batch_is_due_tenants_take_turns_too() -> None:
    pace, tenants = known(0), {1: "flood", 2: "flood", 3: "flood"}
    assert pace.choose(dict.fromkeys(tenants, False), None, 0, tenants) == 1
    pace.ran(1, is_new=False, begin_ns=0, end_ns=MS)
    tenants = {2: "flood", 3: "flood", 9: "other"}
    ran = []
    for now_ms in (2, 3, 4):
        chosen = pace.choose(dict.fromkeys(tenants, False), None, now_ms * MS, tenants)
        assert chosen is not None
        pace.ran(chosen, is_new=False, begin_ns=now_ms * MS, end_ns=(now_ms + 1) * MS)
        tenants.pop(chosen)
        ran.append(chosen)
    assert ran == [2, 9, 3]


def test_tenants_that_are_new_again_and_again_put_off_none_who_waits() -> None:
    pace, ran = known(25 * MS), list[int]()
    tenants = {1: "lab", 2: "lab", 3: "lab"}
    for number in range(10):
        tenants[100 + number] = f"name-{number}"
        chosen = pace.choose(dict.fromkeys(tenants, False), None, number * 30 * MS, tenants)
        assert chosen is not None
        pace.ran(chosen, is_new=False, begin_ns=number * 30 * MS, end_ns=(number * 30 + 25) * MS)
        tenants.pop(chosen)
        ran.append(chosen)
    assert ran == [1, 100, 2, 101, 102, 3, 103, 104, 105, 106]


def test_sessions_and_episodes_have_times_of_their_own() -> None:
    pace = known(300 * MS, is_new=True)
    assert pace.choose({7: True}, LATE, 0) is None
    assert pace.choose({7: False}, LATE, 0) == 7


def test_one_long_one_is_enough_to_know_and_is_forgotten_after_some_short_ones() -> None:
    pace = known(1)
    pace.ran(7, is_new=False, begin_ns=0, end_ns=300 * MS)
    for _ in range(WINDOW):
        pace.batch_ran(MS)
        assert pace.choose({7: False}, 299 * MS, 0) is None
        pace.ran(7, is_new=False, begin_ns=0, end_ns=1)
    assert pace.choose({7: False}, LATE, 0) == 7


def test_without_preparations_there_is_no_time_to_wait_for() -> None:
    pace = PreparationPace()
    assert pace.choose({}, LATE, 0) is None
    assert pace.next_ns is None


@given(
    took_ms=st.lists(st.integers(0, 400), min_size=1, max_size=12),
    batch_ms=st.integers(1, 200),
    rounds=st.integers(1, 60),
    parties=st.integers(1, 12),
)
def test_batches_are_late_by_one_preparation_and_no_preparation_starves(
    took_ms: list[int], batch_ms: int, rounds: int, parties: int
) -> None:
    """Batches are always due; after each, every robot begins an episode, which takes its own time."""
    pace, now_ns = PreparationPace(), 0
    waiting_since: dict[int, int] = {}
    longest_ns, small_ns = max(took_ms) * MS, SMALL_NS
    tenants = {robot: robot % parties for robot in range(len(took_ms))}
    most_turns = max(Counter(tenants.values()).values()) * len(set(tenants.values())) + 1
    most_wait_ns = PATIENCE_NS + (batch_ms * MS + (1 + REST) * longest_ns) * most_turns
    for _ in range(rounds):
        for robot in range(len(took_ms)):
            waiting_since.setdefault(robot, now_ns)
        between_ns = 0
        while True:
            asking = {robot: tenants[robot] for robot in waiting_since}
            chosen = pace.choose(dict.fromkeys(asking, False), LATE, now_ns, asking)
            if chosen is None:
                break
            assert now_ns - waiting_since.pop(chosen) <= most_wait_ns
            took_ns = took_ms[chosen] * MS
            pace.ran(chosen, is_new=False, begin_ns=now_ns, end_ns=now_ns + took_ns)
            now_ns += took_ns
            between_ns += took_ns
        assert between_ns <= longest_ns + small_ns
        now_ns += batch_ms * MS
        pace.batch_ran(batch_ms * MS)
        small_ns = max(batch_ms * MS // SMALL_SHARE, SMALL_NS)
    assert all(now_ns - since_ns <= most_wait_ns for since_ns in waiting_since.values())
