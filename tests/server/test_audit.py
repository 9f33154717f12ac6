"""One JSON line per request."""

from __future__ import annotations

import contextlib
import resource
import stat
from pathlib import Path

import msgspec
import pytest

from vagus.server.audit import AuditFile, AuditLine, line_of
from vagus.server.replies import Outcome
from vagus.wire.schema import Header, Kind


def outcome(seq: int) -> Outcome:
    return Outcome(
        session_id="arm:0000002a",
        client="arm",
        header=Header(Kind.OBSERVATION, seq, 3, 0, 42),
        result="chunk",
        payload=b"",
        step=7,
        queue_wait_ns=1_234_567,
        inference_ns=20_000_000,
        batch_size=2,
        superseded=1,
    )


def lines(path: Path) -> list[AuditLine]:
    return [msgspec.json.decode(line, type=AuditLine) for line in path.read_bytes().splitlines()]


def test_a_line_says_all_that_joins_it_with_the_robots_own_record(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "deep" / "audit.jsonl", max_bytes=10_000)
    audit.write(line_of(outcome(5)))
    audit.close()
    audit.close()
    (line,) = lines(audit.path)
    assert (line.session, line.client, line.epoch, line.seq) == ("arm:0000002a", "arm", 42, 5)
    assert (line.episode, line.step, line.outcome) == (3, 7, "chunk")
    assert (line.queue_wait_ms, line.inference_ms, line.batch_size, line.superseded) == (1.235, 20.0, 2, 1)
    assert line.ts.endswith("+00:00")


def test_the_file_is_rotated_and_one_older_is_kept(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl", max_bytes=600)
    for seq in range(1, 30):
        audit.write(line_of(outcome(seq)))
    audit.close()
    older = tmp_path / "audit.jsonl.1"
    kept = [line.seq for line in lines(older)]
    kept += [line.seq for line in lines(audit.path)] if audit.path.exists() else []
    assert kept == list(range(kept[0], 30))
    assert {path.name for path in tmp_path.iterdir()} <= {"audit.jsonl", "audit.jsonl.1"}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * 600


def test_a_folder_that_cannot_be_made_is_an_error_of_that_line_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    audit = AuditFile(tmp_path / "file" / "audit.jsonl", max_bytes=600)
    with pytest.raises(OSError, match="file"):
        audit.write(line_of(outcome(1)))
    (tmp_path / "file").unlink()
    audit.write(line_of(outcome(2)))
    audit.close()
    assert [line.seq for line in lines(audit.path)] == [2]


def test_a_line_that_a_full_disk_cuts_short_is_taken_back(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl", max_bytes=1 << 20)
    audit.write(line_of(outcome(1)))
    size = audit.path.stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))  # stands in for the end of the disk
    try:
        for seq in range(2, 6):
            with pytest.raises(OSError, match="No space"):
                audit.write(line_of(outcome(seq)))
            assert audit.path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    audit.write(line_of(outcome(6)))
    audit.close()
    assert [line.seq for line in lines(audit.path)] == [1, 6]


def test_a_file_that_cannot_be_put_aside_does_not_grow(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl", max_bytes=600)
    (tmp_path / "audit.jsonl.1").mkdir()
    sizes = []
    for seq in range(1, 20):
        with contextlib.suppress(OSError):
            audit.write(line_of(outcome(seq)))
        sizes.append(audit.path.stat().st_size)
    assert sizes[-1] == max(sizes) < 900
    (tmp_path / "audit.jsonl.1").rmdir()
    audit.write(line_of(outcome(99)))
    audit.close()
    assert [line.seq for line in lines(audit.path)] == [99]


def test_a_file_of_an_earlier_version_becomes_the_owners(tmp_path: Path) -> None:
    audit = AuditFile(tmp_path / "audit.jsonl", max_bytes=600)
    audit.path.write_text("")
    audit.path.chmod(0o644)
    audit.open()
    audit.close()
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600


def test_the_file_is_the_owners_unless_others_may_read_it(tmp_path: Path) -> None:
    for is_private in (True, False):
        audit = AuditFile(tmp_path / str(is_private) / "audit.jsonl", max_bytes=10_000, is_private=is_private)
        audit.open()
        audit.close()
        modes = [stat.S_IMODE(place.stat().st_mode) for place in (audit.path, audit.path.parent)]
        assert (modes == [0o600, 0o700]) is is_private


def test_lines_stay_in_their_file_when_a_policy_changes_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    audit = AuditFile(Path("audit.jsonl"), max_bytes=300)
    audit.open()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for seq in (1, 2, 3):
        audit.write(line_of(outcome(seq)))
    audit.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1", "elsewhere"]
    assert not list((tmp_path / "elsewhere").iterdir())
