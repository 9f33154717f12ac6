from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from replay.rig import captured
from vagus.errors import ConfigError
from vagus.viewing.sources import view_of


def session_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps({"vagus": "0.0.1", "actions": ["a"], "state": ["a"]}))
    (folder / "steps.jsonl").write_text("")
    return folder


def test_what_lies_there_decides_how_it_is_read(tmp_path: Path) -> None:
    assert view_of(session_in(tmp_path / "session")).title == "robot"
    captures = captured(tmp_path / "captures")
    assert view_of(captures, session="two").title.startswith("requests of two")


def test_a_flag_of_another_kind_of_recording_is_refused(tmp_path: Path) -> None:
    session = session_in(tmp_path / "session")
    with pytest.raises(ConfigError, match="a folder of captured requests"):
        view_of(session, session="one")
    with pytest.raises(ConfigError, match="a LeRobot dataset"):
        view_of(session, episode=1)


def test_a_dataset_without_lerobot_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "lerobot", None)
    monkeypatch.delitem(sys.modules, "vagus.integrations.lerobot.dataset.reader", raising=False)
    with pytest.raises(ConfigError, match=r'pip install "vagus\[lerobot\]"'):
        view_of(tmp_path)


def test_a_path_with_nothing_to_view_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recorded session"):
        view_of(tmp_path)
