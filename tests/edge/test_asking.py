from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.edge.asking import DEVICE_SHARE, fair_interval_ns, observe_steps


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


@pytest.mark.parametrize(("row_ns", "sessions"), [(-1.0, 3), (0.0, 10**18), (1e9, -5)])
def test_what_a_server_says_is_bounded(row_ns: float, sessions: int) -> None:
    assert 0 <= fair_interval_ns(row_ns, sessions) <= 2e9
