"""A capture folder is read session by session, and what is damaged or unsaid is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from replay.rig import captured
from vagus.errors import ConfigError, ProtocolError
from vagus.replay.captures import REPLAY_OF, has_captures, read_captures
from vagus.server.capture import read_capture


def damage(path: Path, **changes: object) -> None:
    """Change fields of a sample; None removes one."""
    sample = msgspec.msgpack.decode(path.read_bytes())
    sample.update(changes)
    kept = {name: value for name, value in sample.items() if value is not None}
    path.write_bytes(msgspec.msgpack.encode(kept))


def test_requests_are_in_the_order_of_the_robot_and_sessions_in_that_of_the_server(tmp_path: Path) -> None:
    folder = read_captures(captured(tmp_path))
    assert [session.client for session in folder.sessions] == ["one", "two"]
    one, two = folder.sessions
    assert [(r.header.episode, r.header.seq) for r in one.requests] == [(0, 1), (0, 2), (0, 3), (1, 4)]
    assert [request.result for request in two.requests] == ["chunk", "policy_error", "invalid_input", "chunk"]
    assert one.capabilities is not None
    assert one.capabilities.model == "counting"
    assert folder.warnings == ()
    assert one.requests[0].load().payload == read_capture(one.requests[0].path).payload != b""


def test_damaged_files_are_named_and_left_out(tmp_path: Path) -> None:
    captured(tmp_path)
    first, second, third, *_ = sorted(tmp_path.iterdir())
    first.write_bytes(first.read_bytes()[:40])
    damage(second, header=b"short")
    damage(third, header=b"\x01\x00\x02" + bytes(24))
    folder = read_captures(tmp_path)
    assert sum(len(session.requests) for session in folder.sessions) == 5
    (warning,) = folder.warnings
    assert "3 files were left out" in warning
    assert all(path.name in warning for path in (first, second, third))


def test_a_request_that_was_captured_twice_counts_once(tmp_path: Path) -> None:
    captured(tmp_path)
    first = min(tmp_path.iterdir())
    first.with_name(f"{first.stem}-2.capture").write_bytes(first.read_bytes())
    folder = read_captures(tmp_path)
    assert sum(len(session.requests) for session in folder.sessions) == 8
    assert ["came twice" in warning for warning in folder.warnings] == [True]


def test_old_captures_are_read_with_a_sentence_on_what_they_lack(tmp_path: Path) -> None:
    captured(tmp_path)
    for path in tmp_path.iterdir():
        damage(path, format=None, captured=None, opening=None)
    folder = read_captures(tmp_path)
    assert [session.capabilities for session in folder.sessions] == [None, None]
    (warning,) = folder.warnings
    assert "did not note the model, its hash, the specs and the terms" in warning


def replayed(path: Path) -> None:
    opening = msgspec.msgpack.decode(path.read_bytes())["opening"]
    opening["asked"]["tags"] = {REPLAY_OF: "one:00000001"}
    damage(path, opening=opening)


def test_what_an_earlier_replay_has_sent_is_left_out(tmp_path: Path) -> None:
    captured(tmp_path)
    for request in read_captures(tmp_path).sessions[1].requests:
        replayed(request.path)
    folder = read_captures(tmp_path)
    assert [session.client for session in folder.sessions] == ["one"]
    assert folder.warnings == ("1 sessions of earlier replays were left out",)
    for request in folder.sessions[0].requests:
        replayed(request.path)
    assert [session.client for session in read_captures(tmp_path).sessions] == ["one", "two"]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_captures_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not has_captures(tmp_path / name)
    with pytest.raises(ConfigError, match="captures: wanted"):
        read_captures(tmp_path / name)


def test_a_folder_of_damaged_captures_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.capture").write_bytes(b"\xc1")
    assert has_captures(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.capture is no captured request"):
        read_captures(tmp_path)


def test_a_request_that_the_ring_has_removed_meanwhile_is_told(tmp_path: Path) -> None:
    request = read_captures(captured(tmp_path)).sessions[0].requests[0]
    request.path.unlink()
    with pytest.raises(ProtocolError, match="cannot be read"):
        request.load()
