"""Recorders of runs on disk, their formats, and `read`, which reads what they have recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vagus.recording.reader import read as read

__all__ = ["read"]


def __getattr__(name: str) -> object:
    """Import the reader when it is first used: who only records needs none."""
    if name != "read":
        raise AttributeError(f"module 'vagus.recording' has no attribute {name!r}; it has read")
    from vagus.recording.reader import read  # noqa: PLC0415 - see above

    globals()["read"] = read
    return read
