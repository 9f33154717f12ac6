"""Exchanges with a policy that sees points are read back as they were kept; damage is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exchanges import PICTURE, POINTS, keep
from vagus.errors import ProtocolError
from vagus.recording import exchange_files
from vagus.recording.exchange_files import (
    exchange_folders,
    load_image,
    load_points,
    load_told,
    ply_of,
)


def test_a_point_cloud_is_a_ply_file() -> None:
    head, _, body = ply_of(POINTS).partition(b"end_header\n")
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\n")
    assert len(body) == 2 * 15
    places = [np.frombuffer(body, "<f4", 3, offset).tolist() for offset in (0, 15)]
    np.testing.assert_allclose(places, POINTS[:, :3])
    assert [list(body[12:15]), list(body[27:30])] == [[255, 0, 51], [0, 255, 128]]


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    folder = keep(tmp_path, 3, step=7, joints=None, refused="out of reach", more={"answer": [[1.0]]})
    assert exchange_folders(tmp_path) == [folder]
    np.testing.assert_allclose(load_points(folder), POINTS, atol=0.002)
    np.testing.assert_array_equal(load_points(folder)[:, :3], POINTS[:, :3])
    np.testing.assert_array_equal(load_image(folder), PICTURE)
    told = load_told(folder)
    assert (told.step, told.state, told.joints, told.refused) == (7, [0.1, 0.2], None, "out of reach")


def test_exchanges_are_in_the_order_of_their_numbers_and_half_ones_are_left_out(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        keep(tmp_path, number)
    (tmp_path / "00000011").mkdir()
    (tmp_path / "notes").mkdir()
    assert [int(path.name) for path in exchange_folders(tmp_path)] == [9, 10, 100]
    assert exchange_folders(tmp_path / "absent") == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ply\nend_header\n",
        ply_of(POINTS)[:-1],
        ply_of(POINTS) + bytes(15),
        ply_of(POINTS).replace(b"vertex 2", b"vertex 3"),
        ply_of(np.array([[np.nan, 0, 0, 0, 0, 0]], np.float32)),
    ],
)
def test_other_points_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    (folder / "points.ply").write_bytes(content)
    with pytest.raises(ProtocolError, match=r"points\.ply: wanted"):
        load_points(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"state": "x"}',
        b'{"state": [1], "joints": [[1, 2]]}',
        b'{"state": [' + b"0," * 300 + b"0]}",
        b'{"other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_other_words_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    (folder / "exchange.json").write_bytes(content)
    with pytest.raises(ProtocolError, match=r"exchange\.json: wanted"):
        load_told(folder)


def test_another_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    content = bytearray((folder / "image.png").read_bytes())
    content[16:20] = (1 << 20).to_bytes(4, "big")
    (folder / "image.png").write_bytes(bytes(content))
    with pytest.raises(ProtocolError, match=r"image\.png: wanted a PNG with sides of 1 to 8192"):
        load_image(folder)


@pytest.mark.parametrize(
    ("limit", "name", "load"),
    [
        ("MAX_TOLD_BYTES", "exchange.json", load_told),
        ("MAX_IMAGE_BYTES", "image.png", load_image),
    ],
)
def test_too_long_a_file_is_not_read_whole(
    limit: str, name: str, load: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = keep(tmp_path, 1)
    monkeypatch.setattr(exchange_files, limit, 10)
    assert (folder / name).stat().st_size > 10
    with pytest.raises(OSError, match="more than 10 bytes"):
        load(folder)


def test_a_number_that_json_lacks_is_none(tmp_path: Path) -> None:
    folder = keep(tmp_path, 1)
    told = json.loads((folder / "exchange.json").read_text())
    (folder / "exchange.json").write_text(json.dumps({**told, "state": [None, 1.0]}))
    assert load_told(folder).state == [None, 1.0]
