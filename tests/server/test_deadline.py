"""The deadline scheduler: who goes now, how many, and who waits."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.planning.simulated_robot import SimulatedRobot
from vagus.planning.simulated_server import SimulatedServer, latency_rows
from vagus.planning.simulation import simulate
from vagus.server.batch_profile import BatchProfile
from vagus.server.deadline import QUICK_MS, deadline, patience_ns
from vagus.server.fair_queue import Shares
from vagus.server.scheduler import SCHEDULERS, Batch, Candidate, Wait, expected_after
from vagus.wire.schema import LatencyRow

L40S = {1: 73.0, 2: 109.8, 3: 142.4, 4: 177.5, 5: 211.1}
H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1, 16: 175.0, 32: 341.0}
PROFILE = BatchProfile(latency_rows(L40S))
NOW_NS = 100 * NS_PER_S


def candidate(
    epoch: int,
    slack_ms: float,
    *,
    ready_ms: float = 0.0,
    weight: float = 1.0,
    gain_s: float = 0.4,
    share: float = 0.0,
    key: str = "",
) -> Candidate:
    """A request of a robot at 20 Hz: due in `slack_ms`, ready since (or in) `ready_ms`."""
    return Candidate(
        epoch,
        last_served=0,
        ready_ns=NOW_NS + round(ready_ms * NS_PER_MS),
        due_ns=NOW_NS + round(slack_ms * NS_PER_MS),
        batch_key=key,
        tenant=f"tenant-{epoch}",
        weight=weight,
        share=share,
        rate_hz=20.0,
        gain_s=gain_s,
    )


def chosen(
    *ready: Candidate, max_batch: int = 5, profile: BatchProfile = PROFILE, expected: Sequence[Candidate] = ()
) -> list[int]:
    decision = deadline(ready, profile, NOW_NS, max_batch=max_batch, expected=expected)
    assert isinstance(decision, Batch)
    return [one.epoch for one in decision.candidates]


# -- enough for all -------------------------------------------------------------------------------------


def test_the_settings_name_it() -> None:
    assert SCHEDULERS["deadline"] is deadline


def test_where_nobody_is_ready_it_waits_for_somebody() -> None:
    assert deadline([], PROFILE, NOW_NS, max_batch=3) == Wait(None)


def test_an_idle_device_serves_whoever_asks_at_once() -> None:
    soon = candidate(2, 500, ready_ms=20)
    assert chosen(candidate(1, 2_000), expected=[soon]) == [1]


def test_the_least_slack_goes_first() -> None:
    assert chosen(candidate(1, 900), candidate(2, 80), candidate(3, 400), max_batch=1) == [2]


def test_a_batch_is_as_large_as_its_tightest_row_can_bear() -> None:
    relaxed = [candidate(epoch, 900) for epoch in (2, 3, 4, 5)]
    assert chosen(candidate(1, 80), *relaxed) == [1], "73 ms alone; 110 ms with another"
    assert set(chosen(candidate(1, 120), *relaxed)) == {1, 2}
    assert len(chosen(candidate(1, 250), *relaxed)) == 5


def test_a_row_with_another_key_is_not_in_the_batch() -> None:
    rows = [candidate(1, 300, key="a"), candidate(2, 90, key="b"), candidate(3, 310, key="a")]
    assert chosen(*rows) == [2]
    assert set(chosen(rows[0], rows[2])) == {1, 3}


def test_the_key_that_is_slower_counts_with_its_own_times() -> None:
    profile = BatchProfile(latency_rows(L40S))
    for _ in range(5):
        profile.note(2, 400.0, "long")
    rows = [candidate(epoch, 150, key="long") for epoch in (1, 2)]
    assert len(chosen(*rows)) == 2
    assert len(chosen(*rows, profile=profile)) == 1, "two would both be late"


def test_a_weight_decides_where_two_cannot_both_be_in_time() -> None:
    assert chosen(candidate(1, 80), candidate(2, 80, weight=3.0), max_batch=1) == [2]


# -- overload -------------------------------------------------------------------------------------------


def crowd(count: int, *, first: int = 10, slack_ms: float = -50, share: float = 0.0) -> list[Candidate]:
    return [candidate(first + n, slack_ms, ready_ms=-200, share=share) for n in range(count)]


def test_in_overload_the_answer_that_adds_more_goes_first() -> None:
    little = candidate(1, -60, ready_ms=-210, gain_s=0.05)
    assert 1 not in chosen(little, *crowd(12), max_batch=3)


def test_a_weight_turns_that_round() -> None:
    little = candidate(1, -60, ready_ms=-210, gain_s=0.05, weight=12.0)
    assert 1 in chosen(little, *crowd(12), max_batch=3)


def test_in_overload_it_waits_for_a_full_batch_that_is_close_and_not_for_one_that_is_far() -> None:
    ready, busy = crowd(1), [candidate(epoch, 500, ready_ms=350) for epoch in range(30, 45)]
    close = [candidate(epoch, 150, ready_ms=5) for epoch in (20, 21)]
    far = [candidate(epoch, 250, ready_ms=130) for epoch in (20, 21)]
    waits = deadline(ready, PROFILE, NOW_NS, max_batch=3, expected=[*close, *busy])
    assert waits == Wait(NOW_NS + 5 * NS_PER_MS)
    assert chosen(*ready, max_batch=3, expected=[*far, *busy]) == [10]


def test_who_used_more_than_the_mean_of_an_overloaded_device_goes_after_the_others() -> None:
    greedy = candidate(1, 0, ready_ms=-300, share=1.0)
    assert 1 not in chosen(greedy, *crowd(12, share=0.1), max_batch=3)
    same_as_others = candidate(1, -300, ready_ms=-300, share=0.1)
    assert 1 in chosen(same_as_others, *crowd(12, share=0.1), max_batch=3)


def test_equal_tenants_differ_by_a_row_and_more_than_that_shortens_no_slack() -> None:
    """Who used more than others is not ahead of them by saying that its plan ends now."""
    row_s = 0.0422
    others = [candidate(epoch, 300, share=0.1) for epoch in range(2, 40)]
    a_turn_ahead = candidate(1, 0, share=0.1 + 0.5 * row_s)
    assert 1 in chosen(a_turn_ahead, *others, max_batch=3)
    far_ahead = candidate(1, 0, share=0.1 + 3 * row_s)
    assert 1 not in chosen(far_ahead, *others, max_batch=3)


def fleet(
    count: int, *, said_slack_s: float | None = None, said_rate_hz: float | None = None
) -> list[SimulatedRobot]:
    liar = SimulatedRobot("liar", 20.0, 10, 0.2, said_slack_s=said_slack_s, said_rate_hz=said_rate_hz)
    return [liar, *(SimulatedRobot(f"arm-{n}", 20.0, 10, 0.2) for n in range(count - 1))]


@pytest.mark.parametrize(
    "lie", [{"said_slack_s": 0.0}, {"said_rate_hz": 500.0}, {"said_slack_s": 0.0, "said_rate_hz": 500.0}]
)
def test_a_liar_gains_nothing_beyond_its_share(lie: dict[str, float]) -> None:
    """Of ten robots on a device for five it has a tenth, and the room of a batch or two in five seconds."""
    server = SimulatedServer("gpu", latency_rows(L40S), 3, deadline)
    result = simulate(fleet(10, **lie), [server], duration_s=40)
    requests = [robot.played.merged for robot in result.robots]
    assert requests[0] / sum(requests) <= 1.15 / 10
    alone = simulate(fleet(3, **lie), [server], duration_s=40, measured_from_s=2)
    assert alone.starved_share < 0.01, "and where there is enough, nobody loses"


def answered_to(clients: Sequence[Candidate], *, until_s: float) -> tuple[Counter[int], dict[int, float]]:
    """Let clients that each ask again at once be served; return how often, and their longest waits in ms.

    A client is told by its first request; each pays with its own share.
    """
    now_ns, batches, shares = NOW_NS, 0, Shares(5 * NS_PER_S)
    asking = {one.epoch: one for one in clients}
    answers: Counter[int] = Counter()
    waited_ms: dict[int, float] = defaultdict(float)
    while now_ns < NOW_NS + round(until_s * NS_PER_S):
        used = {epoch: shares.used_ns(str(epoch), now_ns) / NS_PER_S for epoch in asking}
        ready = [replace(one, share=used[one.epoch]) for one in asking.values()]
        decision = deadline(ready, PROFILE, now_ns, max_batch=3)
        assert isinstance(decision, Batch)
        batches += 1
        served = decision.candidates
        cost_ns = round(PROFILE.ms(len(served)) * NS_PER_MS)
        now_ns += cost_ns
        for one in served:
            shares.add(str(one.epoch), cost_ns // len(served), now_ns, weight=1.0)
            answers[one.epoch] += 1
            waited_ms[one.epoch] = max(waited_ms[one.epoch], (now_ns - one.ready_ns) / NS_PER_MS)
            asking[one.epoch] = replace(one, last_served=batches, ready_ns=now_ns, due_ns=now_ns)
    return answers, waited_ms


def test_clients_that_can_only_wait_take_turns_however_much_more_an_answer_adds_to_some() -> None:
    """One that gives up after a fixed time would else never be answered, if it is worth less than others."""
    worth = [(50.0, 1.6), (30.0, 1.6), (20.0, 0.5), (10.0, 0.3), (25.0, 0.2)]
    clients = [
        replace(candidate(epoch, 0), rate_hz=rate_hz, gain_s=gain_s, is_blocked=True)
        for epoch, (rate_hz, gain_s) in enumerate(worth * 3)
    ]
    answers, waited_ms = answered_to(clients, until_s=20)
    assert max(answers.values()) <= 1.3 * min(answers.values()), answers
    round_ms = len(clients) / 3 * PROFILE.ms(3)
    assert max(waited_ms.values()) <= round_ms + 2 * PROFILE.ms(3), waited_ms


def test_a_robot_that_used_less_than_others_is_served_before_it_runs_dry_beside_clients_that_only_wait() -> (
    None
):
    waiting = [replace(candidate(epoch, 0, ready_ms=-300, share=0.5), is_blocked=True) for epoch in range(8)]
    thrifty, greedy = candidate(50, 200, share=0.1), candidate(51, 200, share=0.9)
    assert 50 in chosen(thrifty, *waiting, max_batch=3)
    assert 51 not in chosen(greedy, *waiting, max_batch=3)


def test_a_client_that_plays_an_endless_chunk_makes_those_that_stand_still_no_less_urgent() -> None:
    """They would stand until they lose their patience, as often as it was served."""
    standing = [replace(candidate(epoch, -150, ready_ms=-150), is_blocked=True) for epoch in range(3)]
    moving = [candidate(epoch, 600) for epoch in range(10, 13)]
    for gain_s in (0.4, 20.0):
        playing = candidate(50, gain_s * 1000, ready_ms=gain_s * 1000, gain_s=gain_s)
        soon = [replace(playing, is_blocked=True)]
        assert set(chosen(*standing, *moving, max_batch=3, expected=soon)) == {0, 1, 2}


def test_robots_with_a_plan_are_in_time_beside_clients_that_stand_and_others_that_play() -> None:
    standing = [replace(candidate(epoch, -150, ready_ms=-150), is_blocked=True) for epoch in range(3)]
    moving = [candidate(epoch, 100) for epoch in range(10, 13)]
    soon = [replace(candidate(50, 400, ready_ms=400), is_blocked=True)]
    assert set(chosen(*standing, *moving, max_batch=3, expected=soon)) == {10, 11, 12}


@pytest.mark.parametrize(("rate_hz", "gain_s"), [(1e-3, 60.0), (1e9, 1e-8)])
def test_a_client_that_only_waits_and_lies_about_its_rate_changes_nothing_for_others(
    rate_hz: float, gain_s: float
) -> None:
    standing = [replace(candidate(epoch, -150, ready_ms=-150), is_blocked=True) for epoch in range(3)]
    moving = [candidate(epoch, slack_ms) for epoch, slack_ms in ((10, 100), (11, 100), (12, -300))]
    honest = replace(candidate(50, 0), is_blocked=True)
    liar = replace(honest, rate_hz=rate_hz, gain_s=gain_s)
    assert chosen(*standing, *moving, liar, max_batch=3) == chosen(*standing, *moving, honest, max_batch=3)


def test_a_client_that_gave_up_and_asked_anew_goes_before_those_that_were_served_since() -> None:
    waited = [
        replace(candidate(epoch, 0, ready_ms=-300), is_blocked=True, last_served=9) for epoch in range(8)
    ]
    anew = replace(candidate(99, 0), is_blocked=True, last_served=2)
    assert 99 in chosen(*(replace(one, due_ns=one.ready_ns) for one in waited), anew, max_batch=3)


@pytest.mark.parametrize("is_blocked", [False, True])
def test_a_client_that_shares_no_batch_with_others_gets_no_more_of_the_device(is_blocked: bool) -> None:
    odd = candidate(99, 0, key="odd")
    crowd = [candidate(epoch, 0) for epoch in range(13)]
    clients = [replace(one, is_blocked=is_blocked) for one in (odd, *crowd)]
    answers, _ = answered_to(clients, until_s=20)
    used_ms = answers[99] * PROFILE.ms(1)
    assert used_ms <= 1.5 * 20_000 / len(clients), answers
    assert answers[99] > 0


# -- numbers --------------------------------------------------------------------------------------------


def test_equal_robots_get_the_same() -> None:
    for count in (4, 10, 20):
        server = SimulatedServer("gpu", latency_rows(L40S), 3, deadline)
        assert simulate(fleet(count), [server], duration_s=60).fairness > 0.99


@pytest.mark.parametrize(("table", "max_batch", "robots"), [(L40S, 5, 5), (H200, 32, 24)])
def test_a_device_carries_as_many_robots_as_its_best_batch_size_bounds(
    table: dict[int, float], max_batch: int, robots: int
) -> None:
    fleet = [SimulatedRobot(f"arm-{n}", 20.0, 10, 0.2) for n in range(robots)]
    server = SimulatedServer("gpu", latency_rows(table), max_batch, deadline)
    assert simulate(fleet, [server], duration_s=20, measured_from_s=2).starved_share <= 0.01


def test_what_comes_next_is_expected_when_it_comes() -> None:
    """Answered 30 ms late, it goes on at its next step, plays what the answer added, and asks again."""
    served = candidate(1, 100, ready_ms=-50)
    after = expected_after(served, NOW_NS + 130 * NS_PER_MS)
    assert after.due_ns == NOW_NS + (150 + 400) * NS_PER_MS
    assert after.due_ns - after.ready_ns == served.due_ns - served.ready_ns
    early = expected_after(served, NOW_NS + 20 * NS_PER_MS)
    assert early.due_ns == NOW_NS + (100 + 400) * NS_PER_MS
    paused = expected_after(served, NOW_NS + 20 * NS_PER_MS, min_interval_ns=600 * NS_PER_MS)
    assert paused.ready_ns == served.ready_ns + 600 * NS_PER_MS, "not before its pause is over"
    assert paused.due_ns == early.due_ns, "however long it may not ask, it runs dry when it does"
    assert expected_after(served, NOW_NS + 20 * NS_PER_MS, min_interval_ns=NS_PER_MS) == early
    unknown = Candidate(1, 0, NOW_NS, NOW_NS)
    assert expected_after(unknown, NOW_NS + 7).ready_ns == NOW_NS + 7


# -- always ---------------------------------------------------------------------------------------------

candidates = st.builds(
    Candidate,
    epoch=st.integers(0, 1_000_000),
    last_served=st.integers(0, 50),
    ready_ns=st.integers(NOW_NS - 3 * NS_PER_S, NOW_NS),
    due_ns=st.integers(NOW_NS - 5 * NS_PER_S, NOW_NS + 60 * NS_PER_S),
    batch_key=st.sampled_from([None, "a", 7]),
    tenant=st.just("lab"),
    weight=st.floats(0.01, 100),
    share=st.floats(0, 100),
    rate_hz=st.sampled_from([0.0, 0.1, 20.0, 1000.0]),
    gain_s=st.sampled_from([0.0, 1e-9, 0.3, 60.0]),
    is_blocked=st.booleans(),
)
tables = st.dictionaries(st.integers(1, 9), st.floats(0, 500), max_size=4)


@given(
    ready=st.lists(candidates, min_size=1, max_size=12, unique_by=lambda one: one.epoch),
    soon=st.lists(candidates, max_size=6, unique_by=lambda one: one.epoch),
    table=tables,
    max_batch=st.integers(1, 6),
)
def test_whatever_is_claimed_the_decision_can_be_carried_out(
    ready: list[Candidate], soon: list[Candidate], table: dict[int, float], max_batch: int
) -> None:
    expected = [expected_after(one, NOW_NS) for one in soon]
    profile = BatchProfile(latency_rows(table))
    decision = deadline(ready, profile, NOW_NS, max_batch=max_batch, expected=expected)
    assert decision == deadline(ready[::-1], profile, NOW_NS, max_batch=max_batch, expected=expected)
    if isinstance(decision, Wait):
        assert decision.until_ns in {one.ready_ns for one in expected}
        return
    rows = decision.candidates
    assert 1 <= len(rows) <= max_batch
    assert set(rows) <= set(ready)
    assert len(set(rows)) == len(rows)
    assert len({one.batch_key for one in rows}) == 1


@settings(max_examples=15, deadline=None)
@given(
    claims=st.lists(
        st.tuples(st.floats(0.01, 100), st.floats(0.05, 10), st.floats(-2_000, 100), st.sampled_from("ab")),
        min_size=2,
        max_size=9,
    ),
    max_batch=st.integers(1, 4),
)
def test_nobody_waits_longer_than_the_patience_and_a_batch_per_session(
    claims: list[tuple[float, float, float, str]], max_batch: int
) -> None:
    """The first of them is worth nothing; all the others ask again at once, whatever they claim."""
    batch_ms = PROFILE.ms(max_batch)
    now_ns, asked_ns = NOW_NS, dict.fromkeys(range(len(claims)), NOW_NS)
    last_served = dict.fromkeys(range(len(claims)), 0)
    claims = [(0.01, 0.05, 10_000.0, "a"), *claims[1:]]
    longest_ns = 0
    for number in itertools.count(1):
        ready = [
            Candidate(
                epoch,
                last_served[epoch],
                asked_ns[epoch],
                asked_ns[epoch] + round(slack_ms * NS_PER_MS),
                key,
                str(epoch),
                weight,
                0.0,
                20.0,
                gain_s,
            )
            for epoch, (weight, gain_s, slack_ms, key) in enumerate(claims)
        ]
        decision = deadline(ready, PROFILE, now_ns, max_batch=max_batch)
        assert isinstance(decision, Batch), "nobody is expected"
        bound_ns = patience_ns(ready, PROFILE, max_batch) + len(claims) * batch_ms * NS_PER_MS
        longest_ns = max([longest_ns, *(now_ns - one.ready_ns for one in decision.candidates)])
        assert all(now_ns - one.ready_ns <= bound_ns for one in ready)
        now_ns += round(PROFILE.ms(len(decision.candidates)) * NS_PER_MS)
        for one in decision.candidates:
            asked_ns[one.epoch], last_served[one.epoch] = now_ns, number
        if now_ns > NOW_NS + 8 * NS_PER_S:
            break
    assert all(number > 0 for number in last_served.values()), "everybody was served"


def test_where_all_are_served_in_no_time_they_are_served_in_turn() -> None:
    ready = [Candidate(epoch, last_served=9 - epoch, ready_ns=0, due_ns=epoch) for epoch in range(1, 6)]
    quick = BatchProfile([LatencyRow(batch_size=2, p50_ms=QUICK_MS / 3, max_ms=QUICK_MS)])
    chosen = deadline(ready, quick, 0, max_batch=2)
    assert isinstance(chosen, Batch)
    assert [one.epoch for one in chosen.candidates] == [5, 4]
    slow = BatchProfile([LatencyRow(batch_size=2, p50_ms=QUICK_MS, max_ms=QUICK_MS)])
    slowly = deadline(ready, slow, 0, max_batch=2)
    assert isinstance(slowly, Batch)
    assert [one.epoch for one in slowly.candidates] == [1, 2]


def test_without_a_warm_up_larger_batches_are_tried_until_they_are_known() -> None:
    """Four rows that are due at once, and a device on which a batch takes as long as a row."""
    profile, sizes = BatchProfile(), []
    profile.note(1, 100.0)  # the first robot was alone
    for _ in range(3):
        made = deadline([candidate(at, slack_ms=0) for at in range(4)], profile, NOW_NS, max_batch=8)
        assert isinstance(made, Batch)
        sizes.append(len(made.candidates))
        profile.note(sizes[-1], 100.0)
    assert sizes == [4, 4, 4]


class Asked(BatchProfile):
    """Counts how often it is asked."""

    times = 0

    def ms(self, size: int, key: Hashable = None) -> float:
        self.times += 1
        return super().ms(size, key)


def test_many_keys_cost_little_more_than_one() -> None:
    """Each of 300 robots has a key of its own; the one that is due first is served."""
    ready = [candidate(epoch, 5_000 - epoch, key=str(epoch)) for epoch in range(300)]
    profile = Asked(latency_rows(H200))
    assert chosen(*ready, max_batch=32, profile=profile) == [299]
    assert profile.times < 2 * len(ready)


def test_of_two_keys_that_are_worth_the_same_the_one_due_first_goes_first() -> None:
    """What the sums of their lateness differ by is chance of the arithmetic, about 1e-15."""
    rows = [
        candidate(0, -16.571429, key="a", gain_s=0.3),
        candidate(1, -27, key="b", gain_s=0.3),
    ]
    assert chosen(*rows) == chosen(*rows[::-1]) == [1]
