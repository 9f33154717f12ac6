"""Files that hold what robots saw and did: for their owner alone, unless others are to read them."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

__all__ = ["make_folder", "open_file"]

OWNERS_FILE = 0o600
OWNERS_FOLDER = 0o700
ANY_FILE = 0o666
ANY_FOLDER = 0o777
"""Less the process's umask."""


def make_folder(folder: Path, *, is_private: bool = True) -> None:
    """Make a folder and those above it, unless they are there; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, is_private=is_private)
    folder.mkdir(mode=OWNERS_FOLDER if is_private else ANY_FOLDER, exist_ok=True)


def open_file(path: Path, mode: str, *, is_private: bool = True) -> FileIO:
    """Open a file unbuffered, in a binary mode of `open`; a file that it makes is the owner's.

    Raises:
        OSError: it cannot be opened.
    """
    rights = OWNERS_FILE if is_private else ANY_FILE
    return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, rights))
