from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.edge.asking import DEVICE_SHARE, fair_interval_ns, observe_steps, processor_time_s


@pytest.mark.parametrize(
    ("horizon", "continued", "replaced"), [(0, 1, 1), (1, 1, 1), (16, 2, 4), (50, 7, 13)]
)
def test_a_chunk_is_replaced_after_a_part_of_its_steps(horizon: int, continued: int, replaced: int) -> None:
    assert observe_steps(horizon, continues_plan=True) == continued
    assert observe_steps(horizon, continues_plan=False) == replaced


@given(row_ns=st.floats(1e3, 1e10), sessions=st.integers(1, 500))
def test_robots_that_keep_the_interval_leave_a_part_of_the_device_free(row_ns: float, sessions: int) -> None:
    used = sessions * row_ns / fair_interval_ns(row_ns, sessions)
    assert used == pytest.approx(DEVICE_SHARE, rel=1e-2)


@pytest.mark.parametrize(("row_ns", "sessions"), [(-1.0, 3), (0.0, 10**18), (1e9, -5), (math.nan, 3)])
def test_what_a_server_says_is_bounded(row_ns: float, sessions: int) -> None:
    assert 0 <= fair_interval_ns(row_ns, sessions) <= 2e9


def test_a_request_costs_what_the_scarcer_of_device_and_processor_needs() -> None:
    slow, fast = processor_time_s(20.0), processor_time_s(1e4)
    assert slow == pytest.approx(0.05, rel=0.01)
    assert fair_interval_ns(2e6, 8, processor_s=slow) == round(8 * slow * 1e9 / DEVICE_SHARE)
    assert fair_interval_ns(2e6, 8, processor_s=fast) == fair_interval_ns(2e6, 8)


@pytest.mark.parametrize("decode_per_s", [0.0, -1.0, math.nan, -math.inf])
def test_who_does_not_say_how_fast_it_decodes_is_counted_by_its_device(decode_per_s: float) -> None:
    assert processor_time_s(decode_per_s) == 0


@pytest.mark.parametrize("decode_per_s", [5e-324, 1e-9, 1.0, 1e300, math.inf])
def test_a_processor_time_is_bounded(decode_per_s: float) -> None:
    assert 0 < processor_time_s(decode_per_s) < 2e6


@given(
    row_ns=st.floats(),
    sessions=st.integers(-(2**63), 2**63),
    processor_s=st.floats(),
    decode_per_s=st.floats(),
)
def test_no_number_leads_to_less_than_no_time_or_to_no_number(
    row_ns: float, sessions: int, processor_s: float, decode_per_s: float
) -> None:
    for seconds in (processor_s, processor_time_s(decode_per_s)):
        assert 0 <= fair_interval_ns(row_ns, sessions, processor_s=seconds) <= 1e21
