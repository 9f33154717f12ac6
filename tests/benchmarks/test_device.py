from __future__ import annotations

import pytest

from benchmarks.programs.device import NETWORK, Device, accelerator_called, has_gpu


@pytest.mark.parametrize(("rows", "wanted_ms"), [(1, 25.0), (2, 34.0), (3, 43.5), (4, 53.0), (8, 94.0)])
def test_a_batch_takes_what_the_table_says_and_between_two_entries_a_share(
    rows: int, wanted_ms: float
) -> None:
    assert Device("pi0").batch_ms(rows) == pytest.approx(wanted_ms)


def test_a_network_is_only_made_where_there_is_a_gpu() -> None:
    assert accelerator_called("pi0") is accelerator_called("pi0")
    assert isinstance(accelerator_called("pi0"), Device)
    if not has_gpu():
        with pytest.raises((ImportError, AssertionError, RuntimeError)):
            accelerator_called(NETWORK)
