"""Files that hold what robots saw and did."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.private_files import make_folder, open_file, write_file


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("is_private", "folder", "file"), [(True, 0o700, 0o600), (False, 0o777, 0o666)])
def test_what_is_made_is_the_owners_unless_others_may_read_it(
    tmp_path: Path, is_private: bool, folder: int, file: int
) -> None:
    place = tmp_path / "a" / "b"
    make_folder(place, is_private=is_private)
    write_file(place / "file", b"content", is_private=is_private)
    with open_file(place / "other", "ab", is_private=is_private) as opened:
        opened.write(b"line")
    assert [mode(place.parent), mode(place)] == [folder, folder]
    assert [mode(place / "file"), mode(place / "other")] == [file, file]
    assert (place / "file").read_bytes() == b"content"


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.mkdir(0o755)
    make_folder(place / "new")
    assert [mode(place), mode(place / "new")] == [0o755, 0o700]
