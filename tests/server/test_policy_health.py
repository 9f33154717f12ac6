from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.server.policy_check import (
    FAILURES_UNTIL_TESTED,
    MAX_TEST_PAUSE_NS,
    SHARE,
    TEST_PAUSE_NS,
    PolicyHealth,
)

S = NS_PER_S


def suspected() -> PolicyHealth:
    health = PolicyHealth()
    for _ in range(FAILURES_UNTIL_TESTED):
        health.note(["KeyError: 'gripper'"], 0)
    return health


def test_a_row_of_failures_is_no_verdict_but_calls_for_a_test() -> None:
    health = PolicyHealth()
    for _ in range(FAILURES_UNTIL_TESTED):
        assert not health.wants_test(0)
        health.note(["KeyError: 'gripper'"], 0)
    assert health.wants_test(0)
    assert health.failing == ""


def test_a_success_between_failures_clears_them() -> None:
    health = PolicyHealth()
    for _ in range(50):
        health.note(["a", "b"], 0)
        health.note(["a"], 1)
    assert not health.wants_test(0)


@pytest.mark.parametrize(
    "text",
    ["RuntimeError: CUDA error: device-side assert triggered", "CUBLAS_STATUS_EXECUTION_FAILED", "HIP error"],
)
def test_a_device_that_failed_is_tested_for_at_once(text: str) -> None:
    health = PolicyHealth()
    health.note([text], 0)
    assert health.wants_test(0)


def test_a_device_out_of_memory_may_have_some_again() -> None:
    health = PolicyHealth()
    health.note(["CUDA out of memory. Tried to allocate 20 MiB"], 0)
    assert not health.wants_test(0)


def test_one_robot_that_breaks_the_policy_does_not_make_the_server_look_broken() -> None:
    health = suspected()
    health.tested("", S, S)
    assert health.failing == ""
    assert not health.wants_test(100 * S)
    for _ in range(1000):  # it goes on
        health.note(["KeyError"], 0)
    assert not health.wants_test(S + TEST_PAUSE_NS - 1)
    assert health.wants_test(S + TEST_PAUSE_NS)


def test_a_policy_that_fails_its_own_test_is_failing_until_it_does_not() -> None:
    health = suspected()
    health.tested("CUDA error", 0, 0)
    assert health.failing == "CUDA error"
    assert not health.wants_test(TEST_PAUSE_NS - 1)
    assert health.wants_test(TEST_PAUSE_NS)
    health.tested("CUDA error again", TEST_PAUSE_NS, TEST_PAUSE_NS)
    assert health.failing == "CUDA error again"
    health.tested("", 2 * TEST_PAUSE_NS, 2 * TEST_PAUSE_NS)
    assert health.failing == ""
    assert not health.wants_test(100 * TEST_PAUSE_NS)


def test_a_test_during_which_the_machine_slept_does_not_put_off_the_next_one_for_days() -> None:
    health, slept_ns = suspected(), 8 * 3600 * S
    health.tested("CUDA error", 0, slept_ns)
    assert not health.wants_test(slept_ns + MAX_TEST_PAUSE_NS - 1)
    assert health.wants_test(slept_ns + MAX_TEST_PAUSE_NS)


def test_any_success_heals() -> None:
    health = suspected()
    health.tested("CUDA error", 0, 0)
    health.note([], 1)
    assert health.failing == ""


@given(st.lists(st.integers(0, 30 * S), max_size=30))
def test_tests_never_take_more_than_their_share(durations_ns: list[int]) -> None:
    health, now_ns, spent_ns = PolicyHealth(), 0, 0
    for took_ns in durations_ns:
        for _ in range(FAILURES_UNTIL_TESTED):
            health.note(["KeyError"], 0)
        now_ns += health.test_due_in_ns(now_ns)
        assert health.wants_test(now_ns)
        health.tested("", now_ns, now_ns + took_ns)
        now_ns += took_ns
        spent_ns += took_ns
        assert spent_ns * SHARE <= now_ns + took_ns * SHARE
