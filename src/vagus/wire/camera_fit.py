"""Comparison of the cameras of robot and policy: colour frames may differ in size, depth frames must not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vagus.errors import SpecError
from vagus.wire.renames import rename_advice
from vagus.wire.schema import WireCamera, WireDepthCamera

__all__ = ["camera_faults", "depth_faults", "odd_aspects"]

ASPECT_TOLERANCE = 0.01
"""Relative difference below which two aspect ratios count as equal (640×480 and 322×241)."""
UNIT_TOLERANCE = 1e-6
"""Relative difference below which two units of depth are equal; drivers state them as float32."""


def camera_faults(client: Sequence[WireCamera], server: Sequence[WireCamera]) -> list[SpecError]:
    """Return a fault if the client lacks a camera that the policy requires."""
    required = [camera.name for camera in server if camera.is_required]
    offered = [camera.name for camera in client]
    missing, spare = _unmatched(required, offered, {camera.name for camera in server})
    if not missing:
        return []
    fix = rename_advice(missing, spare)
    return [SpecError("cameras", wanted=f"{required}", got=f"{sorted(offered)}", fix=fix)]


def depth_faults(
    client: Sequence[WireDepthCamera], server: Sequence[WireDepthCamera], *, colour: Sequence[WireCamera]
) -> list[SpecError]:
    """Return what a policy does not get from the client's depth cameras.

    A required one may not lack, and none may have another size or another unit: depth is never scaled.

    Args:
        client: depth cameras of the robot.
        server: depth cameras of the policy.
        colour: cameras of the robot that give no depth, whatever their name.
    """
    return _lacking(client, server, colour) + _differing(client, server)


def odd_aspects(client: Sequence[WireCamera], server: Sequence[WireCamera]) -> list[str]:
    """Return one sentence for each camera whose frames have another aspect ratio than in training."""
    offered = {camera.name: camera for camera in client}
    return [
        f"camera {theirs.name!r}: the policy saw {theirs.width}×{theirs.height}, this robot sends "
        f"{offered[theirs.name].width}×{offered[theirs.name].height}: another aspect ratio, so the picture "
        "is distorted or cropped"
        for theirs in server
        if theirs.name in offered and not _has_equal_aspect(offered[theirs.name], theirs)
    ]


def _lacking(
    client: Sequence[WireDepthCamera], server: Sequence[WireDepthCamera], colour: Sequence[WireCamera]
) -> list[SpecError]:
    required = [camera.name for camera in server if camera.is_required]
    offered = [camera.name for camera in client]
    missing, spare = _unmatched(required, offered, {camera.name for camera in server})
    if not missing:
        return []
    flat = sorted({camera.name for camera in colour} & set(missing))
    fix = f"this robot's cameras {flat} give colour, not depth" if flat else rename_advice(missing, spare)
    return [SpecError("depth cameras", wanted=f"{required}", got=f"{sorted(offered)}", fix=fix)]


def _differing(client: Sequence[WireDepthCamera], server: Sequence[WireDepthCamera]) -> list[SpecError]:
    offered = {camera.name: camera for camera in client}
    faults: list[SpecError] = []
    for theirs in server:
        ours = offered.get(theirs.name)
        if ours is None:
            continue
        is_same_size = (ours.height, ours.width) == (theirs.height, theirs.width)
        if is_same_size and math.isclose(ours.units_per_m, theirs.units_per_m, rel_tol=UNIT_TOLERANCE):
            continue
        what = "unit" if is_same_size else "size"
        fix = f"depth is never scaled on the way: set this {what} in the robot's camera or the policy's spec"
        subject = f"depth camera {theirs.name!r}"
        faults.append(SpecError(subject, wanted=_told(theirs), got=_told(ours), fix=fix))
    return faults


def _unmatched(
    required: Sequence[str], offered: Sequence[str], known: set[str]
) -> tuple[list[str], list[str]]:
    """Return the required names that are not offered, and the offered ones that are not known."""
    missing = [name for name in required if name not in offered]
    return missing, [name for name in offered if name not in known]


def _told(camera: WireDepthCamera) -> str:
    return f"{camera.width}×{camera.height}, {camera.units_per_m:.9g} units to the metre"


def _has_equal_aspect(ours: WireCamera, theirs: WireCamera) -> bool:
    left, right = ours.width * theirs.height, theirs.width * ours.height
    return abs(left - right) <= ASPECT_TOLERANCE * max(left, right)
