"""So many requests per second for a tenant, and no robot of it lives at the cost of another."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.request_quota import (
    ACTIVE_NS,
    BURST_S,
    MAX_PAUSE_NS,
    MIN_PAUSE_NS,
    REFILL_NS,
    RequestQuota,
    RequestQuotas,
)
from vagus.server.tenants import Tenant


def served(quota: RequestQuota, rates_hz: dict[str, float], seconds: float) -> Counter[str]:
    """Return the allowed requests of robots that ask in time with their rates."""
    times = sorted(
        (round(number * NS_PER_S / rate), client)
        for client, rate in rates_hz.items()
        for number in range(round(seconds * rate))
    )
    return Counter(client for now_ns, client in times if quota.take(client, now_ns))


def test_one_robot_may_have_all_of_it_and_no_more() -> None:
    assert 200 <= served(RequestQuota(10.0), {"arm": 1000.0}, 20.0)["arm"] <= 10 * (20 + 2 * BURST_S) + 1


@pytest.mark.parametrize("flood", ["", "flood"])
def test_a_flood_takes_nothing_from_the_other_robots_of_its_tenant(flood: str) -> None:
    rates = {f"arm-{number}": 2.0 for number in range(4)}
    got = served(RequestQuota(10.0), rates | ({flood: 1000.0} if flood else {}), 30.0)
    assert [got[client] for client in rates] == [60] * 4
    if flood:
        assert 60 <= got[flood] <= 60 + 2 * 10 + 5


def test_who_asks_for_more_than_its_part_gets_what_the_others_leave() -> None:
    got = served(RequestQuota(10.0), {"quiet": 1.0, "busy": 50.0}, 30.0)
    assert got["quiet"] == 30
    assert 260 <= got["busy"] <= 300


def test_equal_robots_get_equal_parts_of_too_little() -> None:
    got = served(RequestQuota(4.0), {f"arm-{number}": 5.0 for number in range(8)}, 40.0)
    assert sum(got.values()) >= 150
    assert max(got.values()) - min(got.values()) <= 4


def test_the_part_of_a_silent_robot_goes_to_the_others() -> None:
    quota = RequestQuota(2.0)
    served(quota, {"one": 10.0, "two": 10.0}, 5.0)
    now_ns = 5 * NS_PER_S + ACTIVE_NS + NS_PER_MS
    assert quota.take("one", now_ns)
    assert len(quota) == 1


def test_the_pause_is_the_time_until_there_is_a_request_within_bounds() -> None:
    quota = RequestQuota(2.0)
    while quota.take("arm", 0):
        pass
    pause_ns = quota.pause_ns("arm")
    assert pause_ns == NS_PER_S // 2
    assert not quota.take("arm", pause_ns - REFILL_NS)
    assert quota.take("arm", pause_ns)
    fast, slow = RequestQuota(1000.0), RequestQuota(0.01)
    for quota, wanted_ns in ((fast, MIN_PAUSE_NS), (slow, MAX_PAUSE_NS)):
        while quota.take("arm", 0):
            pass
        assert quota.pause_ns("arm") == wanted_ns


@pytest.mark.parametrize("per_s", [0.2, 1.0, 20.0])
def test_a_robot_that_changes_its_name_for_each_request_gets_no_more(per_s: float) -> None:
    quota = RequestQuota(per_s)
    allowed = sum(quota.take(f"arm-{number}", number * 20 * NS_PER_MS) for number in range(3000))
    assert 0 < allowed <= per_s * (60 + BURST_S) + 1


@given(
    st.floats(0.1, 50.0),
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["a", "b", "c"])), min_size=1, max_size=300),
)
def test_never_more_is_allowed_than_rate_and_burst(per_s: float, asks: list[tuple[int, str]]) -> None:
    quota, now_ns, allowed = RequestQuota(per_s), 0, 0
    for gap_ms, client in asks:
        now_ns += gap_ms * NS_PER_MS
        allowed += quota.take(client, now_ns)
    assert allowed <= per_s * (now_ns / NS_PER_S + BURST_S) + 1 + 1e-6


def test_a_tenant_without_a_quota_has_none_and_each_of_the_others_has_its_own() -> None:
    quotas = RequestQuotas()
    free, a, b = (
        Tenant(name=name, max_requests_per_s=rate) for name, rate in (("f", None), ("a", 1), ("b", 1))
    )
    assert [quotas.pause_ns(free, "f-1", 0) for _ in range(9)] == [0] * 9
    assert [quotas.pause_ns(a, "a-1", 0) > 0 for _ in range(2)] == [False, True]
    assert quotas.pause_ns(b, "b-1", 0) == 0
