"""A pinhole camera: its intrinsics in pixels, and where it stands (pure).

Camera axes: x to the right, y down, z into the picture. The centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vagus.cameras.axis_angle import check_rotation
from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.wire.images import MAX_SIDE

__all__ = ["Extrinsics", "Intrinsics"]

_MIDDLE: Final = (0.3, 0.7)
"""Shares of the picture between which the optical axis meets it. Of half or twice the size, it does not."""
_MAX_M: Final = 10.0
"""Farthest that a camera can stand from its robot. One in mm is farther."""


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """Focal lengths and centre of a camera for one size of picture, in pixels.

    Attributes:
        width: of the picture.
        height: of the picture.
        fx: focal length along the width.
        fy: focal length along the height.
        cx: where the optical axis meets the picture, along the width.
        cy: the same along the height.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise _error(f"a size of 1 to {MAX_SIDE} pixels", f"{self.width}×{self.height} (width×height)")
        if not all(0.0 < focal < math.inf for focal in (self.fx, self.fy)):
            raise _error("focal lengths above 0 pixels", f"fx {self.fx}, fy {self.fy}")
        low, high = _MIDDLE
        shares = (self.cx + 0.5) / self.width, (self.cy + 0.5) / self.height
        if not all(low <= share <= high for share in shares):
            raise _error(
                f"a centre in the middle of the picture of {self.width}×{self.height} pixels (width×height)",
                f"cx {self.cx}, cy {self.cy}",
                fix="these may be the intrinsics of another size of picture",
            )

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, *, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of a camera matrix (3, 3) for pictures of this size.

        Raises:
            ConfigError: another matrix, one with skew, or numbers that no camera has.
        """
        numbers = np.asarray(matrix, np.float64)
        is_matrix = numbers.shape == (3, 3) and bool(np.isfinite(numbers).all())
        if not is_matrix or numbers[1, 0] or numbers[0, 1] or numbers[2].tolist() != [0.0, 0.0, 1.0]:
            raise _error("[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]", quoted(numbers.tolist(), 120))
        return cls(
            width=width,
            height=height,
            fx=float(numbers[0, 0]),
            fy=float(numbers[1, 1]),
            cx=float(numbers[0, 2]),
            cy=float(numbers[1, 2]),
        )

    def scaled(self, *, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the same picture resized, without a border, to another size."""
        across, down = width / self.width, height / self.height
        return Intrinsics(
            width=width,
            height=height,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,  # edges stay edges: a pixel's centre is half a pixel inside
            cy=(self.cy + 0.5) * down - 0.5,
        )


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """Where a camera stands: a point of the camera p is `rotation @ p + translation` for the robot.

    Attributes:
        rotation: (3, 3).
        translation: (3,), m.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that this is a place of a camera."""
        wrong = check_rotation(self.rotation)
        if wrong is not None:
            raise ConfigError("extrinsics", wanted="a rotation matrix", got=f"another: {wrong}")
        if self.translation.shape != (3,) or not np.isfinite(self.translation).all():
            got = quoted(self.translation.tolist(), 80)
            raise ConfigError("extrinsics", wanted="a translation of 3 finite numbers", got=got)
        if float(np.abs(self.translation).max()) > _MAX_M:
            raise ConfigError(
                "extrinsics",
                wanted=f"a camera at most {_MAX_M:g} m away",
                got=f"{self.translation.tolist()}",
                fix="if these are mm, divide them by 1000",
            )

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> Extrinsics:
        """Return the extrinsics of a matrix (4, 4) that takes points of the camera to the robot.

        Raises:
            ConfigError: another matrix, no rotation, or a translation that cannot be in m.
        """
        numbers = np.asarray(matrix, np.float64)
        if numbers.shape != (4, 4) or numbers[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
            got = quoted(numbers.tolist(), 160)
            raise ConfigError("extrinsics", wanted="a matrix (4, 4) with [0, 0, 0, 1] below", got=got)
        return cls(numbers[:3, :3].copy(), numbers[:3, 3].copy())


def _error(wanted: str, got: str, fix: str = "") -> ConfigError:
    return ConfigError("intrinsics", wanted=wanted, got=got, fix=fix)
