"""What can be viewed: recorded sessions."""

from __future__ import annotations

from pathlib import Path

from vagus import recording
from vagus.viewing.description import RecordingView
from vagus.viewing.session_view import view_of_session

__all__ = ["view_of"]


def view_of(path: Path) -> RecordingView:
    """Return the view of what lies at `path`.

    Raises:
        ConfigError: there is nothing that can be viewed.
    """
    return view_of_session(recording.read(path))
