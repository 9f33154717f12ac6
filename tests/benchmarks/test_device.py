from __future__ import annotations

import pytest

from benchmarks.programs.device import Device


@pytest.mark.parametrize(("rows", "wanted_ms"), [(1, 25.0), (2, 34.0), (3, 43.5), (4, 53.0), (8, 94.0)])
def test_a_batch_takes_what_the_table_says_and_between_two_entries_a_share(
    rows: int, wanted_ms: float
) -> None:
    assert Device("pi0").batch_ms(rows) == pytest.approx(wanted_ms)
