"""A bounded folder of sampled requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.errors import ProtocolError
from vagus.server.capture import CaptureRing, read_capture
from vagus.server.journal import Outcome
from vagus.wire.codec import decode_header
from vagus.wire.schema import Header, Kind


def outcome(seq: int, payload: bytes = b"request") -> Outcome:
    header = Header(Kind.OBSERVATION, seq, 0, 11, 42)
    return Outcome("arm:0000002a", "arm", header, "chunk", payload, b"reply")


def test_a_sample_holds_the_bytes_of_both_sides(tmp_path: Path) -> None:
    CaptureRing(tmp_path / "samples", max_bytes=10_000).write(outcome(5))
    (path,) = (tmp_path / "samples").iterdir()
    sample = read_capture(path)
    assert (sample.client, sample.payload, sample.result, sample.reply) == (
        "arm",
        b"request",
        "chunk",
        b"reply",
    )
    assert decode_header(sample.header) == outcome(5).header


def test_the_oldest_samples_go_first_and_those_of_an_earlier_process_count(tmp_path: Path) -> None:
    for start in (1, 11):
        ring = CaptureRing(tmp_path, max_bytes=1000)
        for seq in range(start, start + 10):
            ring.write(outcome(seq, b"x" * 200))
    kept = sorted(decode_header(read_capture(path).header).seq for path in tmp_path.iterdir())
    assert kept == [18, 19, 20]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_one_sample_larger_than_the_bound_is_kept_alone(tmp_path: Path) -> None:
    ring = CaptureRing(tmp_path, max_bytes=10)
    ring.write(outcome(1))
    ring.write(outcome(2))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.capture").write_bytes(b"\xc1")
    with pytest.raises(ProtocolError, match="no captured request"):
        read_capture(tmp_path / "bad.capture")
