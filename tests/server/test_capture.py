"""A bounded folder of sampled requests."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import msgspec
import pytest

from vagus.errors import ProtocolError
from vagus.server.capture import CAPTURE_FORMAT, MAX_SAMPLE_BYTES, Captured, CaptureRing, read_capture
from vagus.server.replies import Outcome
from vagus.server.sessions import Opening
from vagus.wire.codec import decode_header, encode_header
from vagus.wire.schema import Ack, Capabilities, Header, Kind, OpenMessage, WireAction, WireState


def outcome(seq: int, payload: bytes = b"request", opening: Opening | None = None) -> Outcome:
    header = Header(Kind.OBSERVATION, seq, 0, 11, 42)
    return Outcome("arm:0000002a", "arm", header, "chunk", payload, b"reply", opening=opening)


def opening() -> Opening:
    actions = (WireAction(name="joint", unit="rad"),)
    said = Capabilities(
        server="s-1",
        model="m",
        revision="r",
        model_hash="cafe",
        policy_type="p",
        actions=actions,
        state=(WireState(name="joint", unit="rad"),),
        horizon=4,
        model_dim=1,
        rate_hz=10.0,
        vagus_version="1",
    )
    asked = OpenMessage(instance="i", robot_type="arm", actions=actions, rate_hz=10.0, wants_rtc=True)
    return Opening(asked, Ack(accepted=True, epoch=42, image_codec="raw", capabilities=said))


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
        ring = CaptureRing(tmp_path, max_bytes=1100)
        for seq in range(start, start + 10):
            ring.write(outcome(seq, b"x" * 200))
    kept = sorted(decode_header(read_capture(path).header).seq for path in tmp_path.iterdir())
    assert kept == [18, 19, 20]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1100


def test_a_sample_larger_than_the_bound_is_not_kept_and_costs_no_other(tmp_path: Path) -> None:
    ring = CaptureRing(tmp_path, max_bytes=1000)
    ring.write(outcome(1))
    with pytest.raises(OSError, match="larger than all samples"):
        ring.write(outcome(2, bytes(1000)))
    assert [read_capture(path).payload for path in tmp_path.iterdir()] == [b"request"]


def test_a_request_that_comes_twice_does_not_replace_itself(tmp_path: Path) -> None:
    ring = CaptureRing(tmp_path, max_bytes=10_000)
    for payload in (b"one", b"two", b"three"):
        ring.write(outcome(7, payload))
    assert {read_capture(path).payload for path in tmp_path.iterdir()} == {b"one", b"two", b"three"}


def test_a_sample_that_a_full_disk_cuts_short_is_not_left_behind(tmp_path: Path) -> None:
    ring = CaptureRing(tmp_path, max_bytes=1 << 20)
    ring.write(outcome(1))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))  # stands in for the end of the disk
    try:
        for seq in range(2, 6):
            with pytest.raises(OSError, match=r"too large|No space"):
                ring.write(outcome(seq, bytes(10_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    assert [read_capture(path).payload for path in tmp_path.iterdir()] == [b"request"]
    ring.write(outcome(9, bytes(10_000)))
    assert len(list(tmp_path.iterdir())) == 2


def test_samples_are_the_owners_unless_others_may_read_them(tmp_path: Path) -> None:
    for is_private in (True, False):
        folder = tmp_path / str(is_private) / "samples"
        CaptureRing(folder, max_bytes=10_000, is_private=is_private).write(outcome(1))
        (path,) = folder.iterdir()
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (path, folder, folder.parent)]
        assert (modes == [0o600, 0o700, 0o700]) is is_private


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x81\xa6client\xa1\xff",  # text that is not UTF-8
        b"\x81\xa7unknown" + b"\x91" * 100_000 + b"\xc0",
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_a_damaged_sample_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.capture").write_bytes(content)
    with pytest.raises(ProtocolError, match="no captured request"):
        read_capture(tmp_path / "bad.capture")


def test_a_sample_says_of_which_model_and_terms_it_is(tmp_path: Path) -> None:
    CaptureRing(tmp_path, max_bytes=10_000).write(outcome(1, opening=opening()))
    (path,) = tmp_path.iterdir()
    sample = read_capture(path)
    assert (sample.format, sample.opening) == (CAPTURE_FORMAT, opening())
    assert sample.captured.endswith("+00:00")


def test_what_a_sample_is_of_counts_for_the_bound(tmp_path: Path) -> None:
    ring = CaptureRing(tmp_path, max_bytes=4000)
    for seq in range(1, 20):
        ring.write(outcome(seq, opening=opening()))
    assert 1 < len(list(tmp_path.iterdir())) < 19
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000


def test_a_sample_of_an_earlier_version_is_read_and_says_less(tmp_path: Path) -> None:
    header = encode_header(outcome(3).header)
    old = {"client": "arm", "header": header, "payload": b"p", "result": "chunk", "reply": b"r"}
    (tmp_path / "old.capture").write_bytes(msgspec.msgpack.encode(old))
    assert read_capture(tmp_path / "old.capture") == Captured("arm", header, b"p", "chunk", b"r")
    assert read_capture(tmp_path / "old.capture").opening is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"format": CAPTURE_FORMAT + 1}, "newer version"),
        ({"format": -1}, "newer version"),
        ({"opening": {"asked": {}, "ack": {}}}, "no captured request"),
        ({"payload": 7}, "no captured request"),
    ],
)
def test_a_sample_of_a_newer_or_of_no_version_is_refused(
    changes: dict[str, object], wanted: str, tmp_path: Path
) -> None:
    sample = {"client": "arm", "header": b"", "payload": b"p", "result": "chunk", "reply": b"", **changes}
    (tmp_path / "new.capture").write_bytes(msgspec.msgpack.encode(sample))
    with pytest.raises(ProtocolError, match=wanted):
        read_capture(tmp_path / "new.capture")


def test_a_file_larger_than_any_sample_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge.capture").open("wb") as file:
        file.truncate(MAX_SAMPLE_BYTES + (1 << 40))
    with pytest.raises(ProtocolError, match="more than"):
        read_capture(tmp_path / "huge.capture")


def test_a_pipe_in_the_place_of_a_sample_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.capture")
    with pytest.raises(ProtocolError, match="no regular file"):
        read_capture(tmp_path / "pipe.capture")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        read_capture(tmp_path / "absent.capture")


def test_samples_stay_in_their_folder_when_a_policy_changes_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    ring = CaptureRing(Path("samples"), max_bytes=10_000)
    ring.open()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ring.write(outcome(1))
    assert len(list((tmp_path / "samples").iterdir())) == 1
