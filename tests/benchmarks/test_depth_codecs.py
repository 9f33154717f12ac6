from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.depth_codecs import NOISES, CodecContestant, run, seen


def test_each_codec_is_measured_with_each_noise_and_pillow_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    report = run(quick=True)
    assert len(report.tables) == len(NOISES)
    for table in report.tables:
        assert [row[0] for row in table.rows] == ["raw", "delta", "png"]
    assert "Pillow is not measured" in report.to_markdown()


def test_a_codec_that_changes_a_frame_is_no_contestant() -> None:
    frame = np.ones((2, 2), np.uint16)
    lossy = CodecContestant("lossy", lambda frame: frame.tobytes(), lambda _: np.zeros((2, 2), np.uint16))
    with pytest.raises(AssertionError, match="lossy changed a frame"):
        lossy.take_turn(frame)


def test_the_frame_has_holes_and_noise_and_stays_the_same_for_a_seed() -> None:
    frame = seen(1000.0, 0.001)
    assert frame.shape == (480, 640)
    assert 0.02 < float((frame == 0).mean()) < 0.2
    assert not np.array_equal(frame, seen(1000.0, 0.003))
    np.testing.assert_array_equal(frame, seen(1000.0, 0.001))
