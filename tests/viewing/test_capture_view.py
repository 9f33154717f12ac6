from __future__ import annotations

from pathlib import Path

import pytest

from replay.rig import MODEL, captured
from vagus.errors import ConfigError
from vagus.server.capture import SUFFIX
from vagus.viewing.capture_view import view_of_captures
from vagus.viewing.description import ANSWERED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captured(tmp_path_factory.mktemp("captures"))


def test_a_client_has_its_states_and_the_answers_as_fans(folder: Path) -> None:
    view = view_of_captures(folder, "one")
    assert view.title.startswith("requests of one:")
    assert [(track.name, track.column) for track in view.tracks] == [("calls", 0), ("state", 1), ("x", None)]
    sent = view.tracks[2].measured
    assert sent is not None
    assert sent.values.tolist() == [1.0, 2.0, 3.0, 1.0]
    assert not any(track.commanded for track in view.tracks)
    assert (view.begin_s, view.age.values.size, view.bands) == (0.0, 0, ())
    assert len(view.fans) == 4
    assert {fan.outcome for fan in view.fans} == {ANSWERED}
    assert all(fan.is_merged for fan in view.fans)
    assert view.fans[0].times_s[0] > view.fans[0].captured_s
    assert len(view.latency) == 4
    assert [episode.number for episode in view.episodes] == [0, 1]
    facts = dict(view.facts)
    assert MODEL in facts["policy"]
    assert facts["requests"] == "4 chunk"


def test_without_a_name_it_is_the_first_session_and_the_others_are_named(folder: Path) -> None:
    view = view_of_captures(folder, "")
    assert view.title.startswith("requests of one:")
    assert "1 more sessions" in view.warnings[-1]
    assert "two:" in view.warnings[-1]


def test_requests_that_were_refused_are_counted_and_have_no_fan(folder: Path) -> None:
    view = view_of_captures(folder, "two")
    counts = dict(part.split(" ", 1)[::-1] for part in dict(view.facts)["requests"].split(", "))
    assert set(counts) > {"chunk"}
    assert len(view.fans) == int(counts["chunk"])


def test_a_session_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(ConfigError, match="one of one:"):
        view_of_captures(folder, "three")


def test_a_damaged_request_is_told_and_costs_no_other(tmp_path: Path) -> None:
    folder = captured(tmp_path / "captures")
    first = min(folder.glob(f"*{SUFFIX}"))
    first.write_bytes(first.read_bytes()[:40])
    views = [view_of_captures(folder, name) for name in ("one", "two")]
    assert "1 files were left out" in views[0].warnings[0]
    assert sum(len(view.steps) for view in views) >= 6
