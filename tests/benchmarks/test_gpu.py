from __future__ import annotations

import pytest

from benchmarks import gpu

H200 = {1: 25.3, 2: 34.4, 4: 53.4, 8: 94.1}
"""Published times of π0."""


def test_batches_carry_more_robots_than_single_rows_where_they_are_faster_per_row() -> None:
    table = gpu.robots_table(
        "card",
        {"pi0": {gpu.Variant("bfloat16"): H200}, "act": {gpu.Variant("float32"): {1: 2000.0}}},
        {"pi0": 50, "act": 20},
    )
    (name, horizon, alone, batched, ratio), slow = table.rows
    assert (name, horizon) == ("pi0, bfloat16", "50")
    assert 1 < int(alone) < int(batched)
    assert float(ratio) == pytest.approx(int(batched) / int(alone), rel=0.01)
    assert slow == ("act, float32", "20", "0", "0", "–")


def test_an_environment_without_the_framework_is_told_which_one_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu, "NEEDS", ("no_such_framework",))
    report = gpu.run(quick=True)
    assert not report.tables
    assert "no_such_framework not installed here" in report.notes[0]
    assert "vagus[lerobot]" in report.notes[0]
