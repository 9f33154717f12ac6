"""What can be viewed: recorded sessions, captures of a server, episodes of a dataset, debug folders."""

from __future__ import annotations

from pathlib import Path

from vagus import recording
from vagus.errors import ConfigError
from vagus.recording.exchange_files import exchange_folders
from vagus.replay.captures import has_captures
from vagus.replay.place import Place
from vagus.replay.sources import load_steps
from vagus.viewing.capture_view import view_of_captures
from vagus.viewing.description import RecordingView
from vagus.viewing.episode_view import view_of_episode
from vagus.viewing.exchange_view import view_of_exchanges
from vagus.viewing.session_view import view_of_session

__all__ = ["view_of"]


def view_of(path: Path, *, session: str = "", episode: int | None = None) -> RecordingView:
    """Return the view of what lies at `path`.

    Args:
        path: recorded session, folder of captured requests, LeRobot dataset, or debug folder of PointAct.
        session: of captured requests, the session to show, or its client; "": the first.
        episode: of a dataset, the episode to show; None: the first.

    Raises:
        ConfigError: there is nothing that can be viewed, nothing of this session or episode, or LeRobot is
            not installed.
    """
    is_captures, is_dataset = has_captures(path), (path / "meta" / "info.json").is_file()
    if session and not is_captures:
        raise ConfigError("session", wanted="a folder of captured requests", got=f"{path}, which is none")
    if episode is not None and not is_dataset:
        raise ConfigError("episode", wanted="a LeRobot dataset", got=f"{path}, which is none")
    if is_captures:
        return view_of_captures(path, session)
    if is_dataset:
        return view_of_episode(load_steps(Place(path, episode)))
    if exchange_folders(path):
        return view_of_exchanges(path)
    return view_of_session(recording.read(path))
