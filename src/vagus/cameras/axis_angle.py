"""Rotations as axis times angle, and as matrices (pure)."""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vagus.control.rotation import from_quaternion, to_quaternion
from vagus.errors import PolicyError, RobotError
from vagus.quoting import quoted

__all__ = ["axis_angle_of", "check_rotation", "quaternion_of", "rotation_of"]

Matrix: TypeAlias = NDArray[np.float64]

_CONVENTION: Final = "rotvec"
_RIGID: Final = 1e-4
"""Largest error of a rotation matrix whose numbers come from a file or in float32."""
_ZERO: Final = 1e-9


def rotation_of(axis_angle: ArrayLike) -> Matrix:
    """Return the rotation matrix (3, 3) of an axis (3,) times its angle in rad.

    Raises:
        PolicyError: other numbers, NaN or infinity, or more than four turns.
    """
    vector = np.asarray(axis_angle, np.float64)
    is_vector = vector.shape == (3,) and bool(np.isfinite(vector).all())
    quaternion = to_quaternion(vector, _CONVENTION) if is_vector else None
    if quaternion is None:
        raise PolicyError(
            f"axis-angle: wanted 3 finite numbers of at most four turns, got {quoted(vector.tolist(), 80)}"
        )
    x, y, z, w = quaternion.tolist()
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def axis_angle_of(rotation: ArrayLike, near: ArrayLike | None = None) -> Matrix:
    """Return the axis times its angle in rad, (3,), of a rotation matrix (3, 3); the angle is at most π.

    Args:
        rotation: the matrix.
        near: the last axis-angle. A half turn has two writings: the one nearer to it is returned. Without
            it, the one whose first number that is not 0 is positive.

    Raises:
        RobotError: no rotation matrix.
    """
    matrix = np.asarray(rotation, np.float64)
    wrong = check_rotation(matrix)
    if wrong is not None:
        raise RobotError(f"rotation: {wrong}")
    quaternion = quaternion_of(matrix)
    plain = from_quaternion(quaternion, _CONVENTION, np.zeros(3))
    if near is not None:
        return from_quaternion(quaternion, _CONVENTION, np.asarray(near, np.float64))
    first = next((number for number in plain.tolist() if abs(number) > _ZERO), 0.0)
    return from_quaternion(quaternion, _CONVENTION, -plain if first < 0.0 else plain)


def check_rotation(matrix: Matrix) -> str | None:
    """Return what is wrong with a rotation matrix, or None."""
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return f"wanted finite numbers (3, 3), got {quoted(matrix.tolist(), 120)}"
    error = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if error > _RIGID:
        return f"wanted rows of length 1 at right angles, got an error of {error:.2g}"
    if float(np.linalg.det(matrix)) < 0.0:
        return "wanted a rotation, got a mirror image (determinant -1); exchange or negate an axis"
    return None


def quaternion_of(matrix: Matrix) -> Matrix:
    """Return the unit quaternion, scalar last, of a rotation; it divides by a large number, never by 0."""
    diagonal = matrix.diagonal().tolist()
    trace = sum(diagonal)
    if trace > 0.0:
        lever = [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
        quaternion = np.array([*lever, 1.0 + trace])
    else:
        first = max(range(3), key=diagonal.__getitem__)
        second, third = (first + 1) % 3, (first + 2) % 3
        quaternion = np.empty(4)
        quaternion[first] = 1.0 + diagonal[first] - diagonal[second] - diagonal[third]
        quaternion[second] = matrix[first, second] + matrix[second, first]
        quaternion[third] = matrix[first, third] + matrix[third, first]
        quaternion[3] = matrix[third, second] - matrix[second, third]
    result: Matrix = quaternion / math.sqrt(float(quaternion @ quaternion))
    return result
