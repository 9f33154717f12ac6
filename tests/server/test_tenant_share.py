"""Whose requests come first where there is not enough for all tenants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.batch_profile import BatchProfile
from vagus.server.fair_queue import Shares
from vagus.server.scheduler import SCHEDULERS, Batch, Candidate, Decision, Wait, round_robin
from vagus.server.tenant_share import TenantShares
from vagus.wire.schema import LatencyRow

PROFILE = BatchProfile(
    [LatencyRow(batch_size=size, p50_ms=10.0 * size, max_ms=10.0 * size) for size in range(1, 9)]
)
LATER_NS = 10 * NS_PER_S
MUCH_S = 2.0


def candidate(
    epoch: int, tenant: str, share: float, *, weight: float = 1.0, due_ns: int = 0, key: str = ""
) -> Candidate:
    return Candidate(epoch, epoch, 0, due_ns, batch_key=key, tenant=tenant, weight=weight, share=share)


def epochs(decision: Decision) -> list[int]:
    assert isinstance(decision, Batch)
    return [candidate.epoch for candidate in decision.candidates]


def choose(ready: Sequence[Candidate], max_batch: int = 8) -> list[int]:
    return epochs(TenantShares(round_robin)(ready, PROFILE, 0, max_batch=max_batch))


def test_where_there_is_enough_for_all_the_scheduler_decides() -> None:
    ready = [candidate(1, "a", MUCH_S, due_ns=10 * NS_PER_MS), candidate(2, "b", 0.0, due_ns=20 * NS_PER_MS)]
    assert choose(ready, 1) == [1]
    scarce = [candidate(1, "a", MUCH_S, due_ns=10 * NS_PER_MS), candidate(2, "b", 0.0, due_ns=19 * NS_PER_MS)]
    assert choose(scarce, 1) == [2]


def test_in_overload_the_tenant_that_used_least_comes_first_and_others_fill_the_batch() -> None:
    ready = [
        candidate(1, "a", MUCH_S),
        candidate(2, "b", 0.5),
        candidate(3, "c", 0.1),
        candidate(4, "c", 0.1),
    ]
    assert choose(ready, 1) == [3]
    assert choose(ready, 3) == [3, 4, 2]
    assert choose(ready, 8) == [3, 4, 2, 1]


def test_nobody_fills_a_batch_so_that_a_row_that_is_in_time_is_late() -> None:
    ready = [
        candidate(1, "a", MUCH_S),
        candidate(2, "a", MUCH_S),
        candidate(3, "b", 0.1, due_ns=20 * NS_PER_MS),
    ]
    assert choose(ready) == [3, 1]
    late = [candidate(1, "a", MUCH_S), candidate(2, "a", MUCH_S), candidate(3, "b", 0.1, due_ns=0)]
    assert choose(late) == [3, 1, 2]


def test_only_rows_that_can_share_the_pass_fill_a_batch() -> None:
    ready = [candidate(1, "a", MUCH_S, key="k"), candidate(2, "a", MUCH_S), candidate(3, "b", 0.1)]
    assert choose(ready) == [3, 2]


def test_where_the_first_tenant_waits_the_others_do_not() -> None:
    def waits_for_b(
        ready: Sequence[Candidate],
        profile: BatchProfile,
        now_ns: int,
        *,
        max_batch: int,
        expected: Sequence[Candidate] = (),
    ) -> Decision:
        del profile, now_ns, max_batch, expected
        others = tuple(one for one in ready if one.tenant != "b")
        return Batch(others) if others else Wait(5)

    ready = [candidate(1, "a", MUCH_S), candidate(2, "b", 0.1)]
    assert epochs(TenantShares(waits_for_b)(ready, PROFILE, 0, max_batch=1)) == [1]


@given(
    st.lists(
        st.builds(
            candidate,
            st.integers(0, 50),
            st.sampled_from("abc"),
            st.sampled_from([0.0, 0.5, MUCH_S]),
            due_ns=st.integers(0, 10**8),
            key=st.sampled_from(["", "k"]),
        ),
        min_size=1,
        unique_by=lambda one: one.epoch,
    ),
    st.integers(1, 8),
)
def test_a_batch_is_of_one_key_has_each_request_once_and_is_never_too_large(
    ready: list[Candidate], max_batch: int
) -> None:
    chosen = choose(ready, max_batch)
    assert 1 <= len(set(chosen)) == len(chosen) <= max_batch
    assert len({one.batch_key for one in ready if one.epoch in chosen}) == 1


def served(
    scheduler: str, robots: Mapping[str, int], weights: Mapping[str, float], max_batch: int
) -> Counter[str]:
    """Return the rows of each tenant within 30 s of robots that always ask again at once."""
    shares, rows, now_ns, turn = Shares(), Counter[str](), 0, 0
    decide = TenantShares(SCHEDULERS[scheduler])
    last = {(tenant, number): 0 for tenant, count in robots.items() for number in range(count)}
    names = dict(enumerate(last))
    while now_ns < 30 * NS_PER_S:
        turn += 1
        ready = [
            Candidate(
                epoch,
                last[robot],
                now_ns,
                now_ns,
                tenant=robot[0],
                weight=weights[robot[0]],
                share=shares.used_ns(robot[0], now_ns) / NS_PER_S,
            )
            for epoch, robot in names.items()
        ]
        batch = epochs(decide(ready, PROFILE, now_ns, max_batch=max_batch))
        took_ns = round(PROFILE.ms(len(batch)) * NS_PER_MS)
        now_ns += took_ns
        for epoch in batch:
            tenant = names[epoch][0]
            last[names[epoch]] = turn
            rows[tenant] += 1
            shares.add(tenant, took_ns // len(batch), now_ns, weight=weights[tenant])
    return rows


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize(("weight", "part"), [(1.0, 0.5), (3.0, 0.75)])
def test_tenants_get_the_device_by_weight_however_many_robots_they_have(
    scheduler: str, weight: float, part: float
) -> None:
    rows = served(scheduler, {"a": 12, "b": 3}, {"a": 1.0, "b": weight}, 2)
    assert rows["b"] / rows.total() == pytest.approx(part, abs=0.06)
