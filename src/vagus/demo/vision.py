"""Detection of the coloured target: in each camera's image, then in space where the rays meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.demo.arm import CAMERAS, TARGET_RADIUS_M, Camera, Floats
from vagus.errors import PolicyError
from vagus.types import Image

__all__ = ["TargetMemory", "find_disc", "locate"]

MIN_RED = 140
MIN_EXCESS = 80
"""Smallest excess of red over green and blue in a pixel of the target; JPEG keeps it."""
STRIDE = 2
"""Distance of the rows and columns that are searched: a target is about 30 pixels wide."""
MIN_PIXELS = 12
CLEAR = 0.85
"""Share of the expected disc from which a view counts as unobstructed."""
MOVED_M = 0.06
"""Distance from the remembered position at which a target counts as moved."""
MAX_GAP_M = 0.05
"""Distance of two rays from which they do not see the same target."""


@dataclass(frozen=True, slots=True)
class _Disc:
    """A coloured spot in an image: its centre and its area in pixels."""

    column: float
    row: float
    area: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """Position of the target, seen by two cameras at one time.

    Attributes:
        place: (3,), metres.
        clearness: share of the expected disc that the worse camera sees; the arm may hide the rest.
    """

    place: Floats
    clearness: float


@dataclass(slots=True)
class TargetMemory:
    """Memory of the target's position in one session, for frames in which the arm hides the target."""

    best: Sighting | None = None

    def forget(self) -> None:
        """Clear the memory for a new episode."""
        self.best = None

    def update(self, seen: Sighting | None) -> Floats | None:
        """Update the memory with a new sighting; return the position, (3,), or None if it was never seen."""
        best = self.best
        if seen is not None and (best is None or self._is_better(seen, best)):
            self.best = best = seen
        return None if best is None else best.place

    @staticmethod
    def _is_better(seen: Sighting, best: Sighting) -> bool:
        has_moved = bool(np.linalg.norm(seen.place - best.place) > MOVED_M)
        return has_moved or seen.clearness >= min(CLEAR, best.clearness)


def locate(images: Mapping[str, Image], cameras: Sequence[Camera] = CAMERAS) -> Sighting | None:
    """Return the sighting of the target, or None if it is not in both images.

    Raises:
        PolicyError: an image is missing or has another size.
    """
    discs: list[tuple[Camera, _Disc]] = []
    for camera in cameras:
        disc = find_disc(_picture(images, camera))
        if disc is not None:
            discs.append((camera, disc))
    if len(discs) < len(cameras):
        return None
    place, gap = _meeting_point([(camera.position, camera.ray(d.column, d.row)) for camera, d in discs])
    if gap > MAX_GAP_M:
        return None
    return Sighting(place, min(_clearness(camera, disc, place) for camera, disc in discs))


def find_disc(image: Image) -> _Disc | None:
    """Return the coloured spot in an image, or None."""
    coarse = image[::STRIDE, ::STRIDE].astype(np.int16)
    red = coarse[..., 0]
    excess = red - np.maximum(coarse[..., 1], coarse[..., 2])
    rows, columns = np.nonzero((red >= MIN_RED) & (excess >= MIN_EXCESS))
    if rows.size < MIN_PIXELS:
        return None
    return _Disc(float(columns.mean()) * STRIDE, float(rows.mean()) * STRIDE, float(rows.size * STRIDE**2))


def _picture(images: Mapping[str, Image], camera: Camera) -> Image:
    image = images.get(camera.spec.name)
    wanted = (camera.spec.height, camera.spec.width, 3)
    if image is None or image.shape != wanted:
        got = "none" if image is None else str(image.shape)
        raise PolicyError(f"picture of camera {camera.spec.name!r}: wanted {wanted}, got {got}")
    return image


def _clearness(camera: Camera, disc: _Disc, place: Floats) -> float:
    depth = float(camera.project(place)[2])
    radius = TARGET_RADIUS_M * camera.focal_px / depth
    return min(1.0, disc.area / (np.pi * radius**2))


def _meeting_point(rays: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, float]:
    """Return the point nearest to all rays (origin, unit direction), and its largest distance to a ray."""
    normal, right = np.zeros((3, 3)), np.zeros(3)
    for origin, along in rays:
        across = np.eye(3) - np.outer(along, along)
        normal += across
        right += across @ origin
    point = np.linalg.solve(normal, right)
    gaps = [np.linalg.norm((point - origin) - ((point - origin) @ along) * along) for origin, along in rays]
    return point, float(max(gaps))
