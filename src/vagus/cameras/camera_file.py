"""Intrinsics and extrinsics of a camera in files of the user (YAML, TOML or JSON)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np

from vagus.cameras.axis_angle import rotation_of
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.errors import ConfigError, PolicyError
from vagus.settings_file import check_keys, read_settings

__all__ = ["load_extrinsics", "load_intrinsics"]

_BASE: Final = "base"
_WORKSPACE: Final = "workspace"
_PINHOLE: Final = ("fx", "fy", "cx", "cy")

_FileT = TypeVar("_FileT")


@dataclass(frozen=True, kw_only=True)
class _IntrinsicsFile:
    """What a file of intrinsics may have."""

    width: int
    height: int
    matrix: tuple[tuple[float, ...], ...] | None = None
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None


@dataclass(frozen=True, kw_only=True)
class _ExtrinsicsFile:
    """What a file of extrinsics may have."""

    matrix: tuple[tuple[float, ...], ...] | None = None
    translation: tuple[float, ...] | None = None
    axis_angle: tuple[float, ...] | None = None
    frame: str = _BASE


def load_intrinsics(path: Path) -> Intrinsics:
    """Return the intrinsics in a file: `width`, `height`, and `matrix` (3, 3) or `fx`, `fy`, `cx`, `cy`.

    Raises:
        ConfigError: no such file, another content, or numbers that no camera has.
    """
    subject = f"intrinsics {path}"
    said = _read(subject, path, _IntrinsicsFile)
    numbers = {name: getattr(said, name) for name in _PINHOLE}
    given = [name for name, number in numbers.items() if number is not None]
    if said.matrix is not None and not given:
        matrix = _rectangular(subject, said.matrix)
        return Intrinsics.from_matrix(matrix, width=said.width, height=said.height)
    if said.matrix is not None or len(given) != len(numbers):
        raise ConfigError(
            subject,
            wanted=f"either matrix (3, 3), or all of {', '.join(_PINHOLE)}, in pixels",
            got=", ".join([*(["matrix"] if said.matrix is not None else []), *given]) or "neither",
        )
    return Intrinsics(width=said.width, height=said.height, **numbers)


def load_extrinsics(path: Path, offset: tuple[float, float, float]) -> Extrinsics:
    """Return where a camera stands in the frame of the workspace.

    A file has `matrix` (4, 4), or `translation` in m and `axis_angle` in rad; it takes points of the camera
    to `frame`, which is `base` (the URDF's first link; default) or `workspace`.

    Args:
        path: the file.
        offset: what a place in the workspace has more than the same from the base.

    Raises:
        ConfigError: no such file, another content, or no place of a camera.
    """
    subject = f"extrinsics {path}"
    said = _read(subject, path, _ExtrinsicsFile)
    if said.frame not in (_BASE, _WORKSPACE):
        raise ConfigError(f"{subject}: frame", wanted=f"{_BASE} or {_WORKSPACE}", got=repr(said.frame))
    there = _extrinsics(subject, said)
    if said.frame == _WORKSPACE:
        return there
    return Extrinsics(there.rotation, there.translation + np.array(offset))


def _extrinsics(subject: str, said: _ExtrinsicsFile) -> Extrinsics:
    is_matrix = said.matrix is not None and said.translation is None and said.axis_angle is None
    if is_matrix and said.matrix is not None:
        return Extrinsics.from_matrix(_rectangular(subject, said.matrix))
    if said.matrix is not None or said.translation is None or said.axis_angle is None:
        given = [name for name in ("matrix", "translation", "axis_angle") if getattr(said, name) is not None]
        raise ConfigError(
            subject,
            wanted="either matrix (4, 4), or both of translation (m) and axis_angle (rad)",
            got=", ".join(given) or "neither",
        )
    try:
        rotation = rotation_of(said.axis_angle)
    except PolicyError as error:
        raise ConfigError(subject, wanted="an axis times its angle in rad", got=f"{error}") from error
    return Extrinsics(rotation, np.array(said.translation))


def _rectangular(subject: str, rows: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    if len({len(row) for row in rows}) != 1:
        raise ConfigError(
            subject, wanted="rows of one length", got=f"rows of {[len(row) for row in rows]} numbers"
        )
    return [list(row) for row in rows]


def _read(subject: str, path: Path, kind: type[_FileT]) -> _FileT:
    table = read_settings(subject, path.expanduser())
    check_keys(subject, table, kind)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(subject, wanted="whole pixels, and lists of numbers", got=str(error)) from error
