"""Files that hold what robots saw and did: for their owner alone, unless others are to read them."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

__all__ = ["make_folder", "open_file", "rights_of_file", "rights_of_folder", "write_file"]

OWNERS_FILE = 0o600
OWNERS_FOLDER = 0o700
ANY_FILE = 0o666
ANY_FOLDER = 0o777
"""Less the process's umask."""


def rights_of_folder(*, is_private: bool) -> int:
    """Return the mode that a folder is made with."""
    return OWNERS_FOLDER if is_private else ANY_FOLDER


def rights_of_file(*, is_private: bool) -> int:
    """Return the mode that a file is made with."""
    return OWNERS_FILE if is_private else ANY_FILE


def make_folder(folder: Path, *, is_private: bool = True) -> None:
    """Make a folder and those above it, unless they are there; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, is_private=is_private)
    folder.mkdir(mode=rights_of_folder(is_private=is_private), exist_ok=True)


def open_file(path: Path, mode: str, *, is_private: bool = True) -> FileIO:
    """Open a file unbuffered, in a binary mode of `open`; it is the owner's from now on.

    Raises:
        OSError: it cannot be opened.
    """
    rights = rights_of_file(is_private=is_private)
    file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, rights))
    if is_private and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        with suppress(PermissionError):  # it is somebody else's, who lets us write
            os.fchmod(file.fileno(), rights)
    return file


def write_file(path: Path, content: bytes | memoryview, *, is_private: bool = True) -> None:
    """Write a file whole, or leave none.

    Raises:
        OSError: the disk is full or fails.
    """
    try:
        with open_file(path, "wb", is_private=is_private) as file:
            _write_whole(file, content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_whole(file: FileIO, content: bytes | memoryview) -> None:
    left = memoryview(content)
    while left:
        written = file.write(left)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[written:]
