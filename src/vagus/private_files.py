"""Files with data of robots, which only their owner may read by default."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

__all__ = ["make_folder", "open_file", "read_file", "rights_of_file", "rights_of_folder", "write_file"]

OWNERS_FILE = 0o600
OWNERS_FOLDER = 0o700
ANY_FILE = 0o666
ANY_FOLDER = 0o777
"""Mode of a public folder; the umask of the process reduces it."""


def rights_of_folder(*, is_private: bool) -> int:
    """Return the mode of a new folder."""
    return OWNERS_FOLDER if is_private else ANY_FOLDER


def rights_of_file(*, is_private: bool) -> int:
    """Return the mode of a new file."""
    return OWNERS_FILE if is_private else ANY_FILE


def make_folder(folder: Path, *, is_private: bool = True) -> None:
    """Make a folder and its parents if they do not exist; an existing folder is not changed.

    Raises:
        OSError: the folder cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, is_private=is_private)
    folder.mkdir(mode=rights_of_folder(is_private=is_private), exist_ok=True)


def open_file(path: Path, mode: str, *, is_private: bool = True) -> FileIO:
    """Open a file unbuffered, in a binary mode of `open`; set its rights.

    Raises:
        OSError: the file cannot be opened.
    """
    rights = rights_of_file(is_private=is_private)
    file = FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, rights))
    if is_private and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        with suppress(PermissionError):  # it is somebody else's, who lets us write
            os.fchmod(file.fileno(), rights)
    return file


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """Return the bytes of a file, at once: a pipe or a device is refused, because it may keep one waiting.

    Raises:
        OSError: the file cannot be read, is no regular file, or is longer (EFBIG).
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(file, "rb") as content:
        status = os.fstat(content.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        found = content.read(max_bytes + 1)
    if len(found) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes} bytes", str(path))
    return found


def write_file(path: Path, content: bytes | memoryview, *, is_private: bool = True) -> None:
    """Write a complete file, or leave no file.

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
