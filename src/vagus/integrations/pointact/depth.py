"""Depth pictures in m, and whether their unit can be right (pure).

Depth is the distance along the optical axis, (height, width); 0 is a pixel whose depth was not measured.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ConfigError, FrameError

__all__ = ["depth_in_m"]

_NEAREST_M: Final = 0.02
_FARTHEST_M: Final = 20.0
"""Between these is the median depth of a scene of an arm; wrong by a factor of 1000, it is outside."""


def depth_in_m(frame: NDArray[np.generic], *, units_per_m: float) -> NDArray[np.float32]:
    """Return a frame of a depth camera in m, a copy.

    A mistake between mm and m is found by the median of what was measured; one by a factor of 10 is not.

    Args:
        frame: (height, width), uint16, float32 or float64. Of floats, NaN and infinity are not measured.
        units_per_m: its units in one m; 1000 for a camera that measures in mm.

    Raises:
        FrameError: another frame, depths below 0, nothing measured, or depths that cannot be in this unit.
        ConfigError: units that are none.
    """
    if not 0.0 < units_per_m < math.inf:
        raise ConfigError("depth units per m", wanted="a number above 0", got=f"{units_per_m}")
    if frame.ndim != 2 or (frame.dtype != np.uint16 and frame.dtype not in (np.float32, np.float64)):
        raise FrameError(
            f"depth: wanted (height, width) of uint16 or floats, got {frame.dtype} {frame.shape}; "
            "a picture of colours has no depth"
        )
    depth = np.array(frame, np.float64)
    depth[~np.isfinite(depth)] = 0.0
    least = float(np.min(depth, initial=0.0))
    if least < 0.0:
        raise FrameError(f"depth: wanted 0 for nothing measured, and above, got {least:.4g}")
    measured = depth[depth > 0.0] / units_per_m
    if not measured.size:
        raise FrameError("depth: wanted at least one pixel with a depth, got none; is the camera covered?")
    _check_unit(float(np.median(measured)), units_per_m)
    return (depth / units_per_m).astype(np.float32)


def _check_unit(median_m: float, units_per_m: float) -> None:
    if _NEAREST_M <= median_m <= _FARTHEST_M:
        return
    guess = "mm were taken for m" if median_m > _FARTHEST_M else "m were taken for mm"
    raise FrameError(
        f"depth: wanted a median of {_NEAREST_M:g} to {_FARTHEST_M:g} m, got {median_m:.4g} m with "
        f"{units_per_m:g} units per m; it seems that {guess}: state the camera's unit"
    )
