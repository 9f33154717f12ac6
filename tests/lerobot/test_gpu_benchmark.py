"""The benchmark of the GPU works on a processor, with small networks."""

from __future__ import annotations

from pathlib import Path

import pytest

import lerobot_checkpoints as tiny
from benchmarks import gpu


@pytest.mark.parametrize("family", gpu.FAMILIES)
def test_each_family_is_made_loaded_and_measured(family: str, tmp_path: Path) -> None:
    with tiny.tiny_gemma():
        table, horizon = gpu.batch_table(family, gpu.Variant("float32"), tmp_path, device="cpu", is_tiny=True)
    assert tuple(table) == gpu.TINY_SIZES
    assert 0 < table[1] <= table[2]
    assert horizon == {"act": 100, "diffusion": 32}.get(family, 50)


def test_a_quick_run_reports_batches_and_robots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "TINY_FAMILIES", ("smolvla",))
    report = gpu.run(quick=True).to_markdown()
    assert "smolvla on processor, tiny networks" in report
    assert "batch of 2" in report
    assert "unbatched" in report


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    report = gpu.run(quick=False)
    assert not report.tables
    assert "torch finds no GPU" in report.notes[0]
