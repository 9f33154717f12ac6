"""The debug folder: files that open elsewhere, a bound, private, and nobody waits for it."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from vagus.clock import MonotonicClock
from vagus.integrations.pointact.debug_folder import DebugFolder, DebugSample, DebugWriter

POINTS = np.array([[0.1, -0.2, 0.3, 1.0, 0.0, 0.2], [0.0, 0.5, 0.25, 0.0, 1.0, 0.5]], np.float32)
PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def exchange(number: int = 0, padding: int = 0) -> DebugSample:
    return DebugSample(PICTURE, POINTS, {"number": number, "padding": "x" * padding})


def opened(folder: Path, max_bytes: int = 1 << 20) -> DebugFolder:
    kept = DebugFolder(folder, max_bytes=max_bytes)
    kept.open()
    return kept


def test_the_picture_is_a_png_that_others_read(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = opened(tmp_path / "debug").write(exchange())
    np.testing.assert_array_equal(
        np.asarray(image.open(io.BytesIO((path / "image.png").read_bytes()))), PICTURE
    )


def test_each_exchange_is_a_folder_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = opened(tmp_path / "debug")
    path = folder.write(exchange(7))
    assert json.loads((path / "exchange.json").read_text())["number"] == 7
    assert sorted(one.name for one in path.iterdir()) == ["exchange.json", "image.png", "points.ply"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.iterdir()} == {0o600}


def test_the_oldest_go_when_it_is_full_and_those_of_an_earlier_process_count(tmp_path: Path) -> None:
    folder = opened(tmp_path / "debug", 4096)
    for number in range(10):
        folder.write(exchange(number, padding=1000))
    kept = sorted(path.name for path in folder.folder.iterdir())
    assert kept == ["00000007", "00000008", "00000009"]
    again = opened(tmp_path / "debug", 4096)
    (tmp_path / "debug" / "notes.txt").write_text("mine")
    again.write(exchange(10, padding=1000))
    assert sorted(path.name for path in folder.folder.iterdir()) == [
        "00000008", "00000009", "00000010", "notes.txt",
    ]  # fmt: skip


def test_one_that_is_larger_than_all_may_be_is_refused_and_removes_nothing(tmp_path: Path) -> None:
    folder = opened(tmp_path / "debug", 4096)
    folder.write(exchange(0))
    with pytest.raises(OSError, match="larger than all exchanges may be"):
        folder.write(exchange(1, padding=5000))
    assert len(list(folder.folder.iterdir())) == 1


def test_whoever_puts_something_in_does_not_wait_and_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(DebugFolder):
        def write(self, exchange: DebugSample) -> Path:
            begun.set()
            go_on.wait()
            return super().write(exchange)

    folder = Slow(tmp_path / "debug", max_bytes=1 << 20)
    folder.open()
    lost: list[str] = []
    writer = DebugWriter(folder, MonotonicClock(), lost.append)
    try:
        writer.put(exchange())
        begun.wait()
        for number in range(20):
            writer.put(exchange(number))
    finally:
        go_on.set()
        writer.close()
    assert lost == ["full"] * 4
    assert len(list(folder.folder.iterdir())) == 17


def test_a_disk_that_fails_costs_the_exchange_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = opened(tmp_path / "debug", 4096)
    lost: list[str] = []
    writer = DebugWriter(folder, MonotonicClock(), lost.append)
    writer.put(exchange(0, padding=5000))
    writer.put(exchange(1))
    writer.close()
    assert lost == ["error"]
    assert len(list(folder.folder.iterdir())) == 1
    assert "further failures are counted only" in caplog.text
