"""A camera of a recording where it stands, so that Rerun shows its depth frames as points in space."""

from __future__ import annotations

import numpy as np
import rerun as rr

from vagus.integrations.rerun.entities import SCENE, camera_path
from vagus.viewing.standing import StandingCamera

__all__ = ["write_standing"]


def write_standing(stream: rr.RecordingStream, camera: StandingCamera) -> None:
    """Write what holds for the whole recording: the pinhole, and where it stands in the scene."""
    numbers, place = camera.intrinsics, camera.extrinsics
    path = camera_path(camera.name)
    pinhole = rr.Pinhole(
        focal_length=[numbers.fx, numbers.fy],
        principal_point=[numbers.cx, numbers.cy],
        resolution=[numbers.width, numbers.height],
        camera_xyz=rr.ViewCoordinates.RDF,
    )
    stream.log(path, pinhole, static=True)
    axes = rr.ViewCoordinates.RDF if place is None else rr.ViewCoordinates.RIGHT_HAND_Z_UP
    stream.log(SCENE, axes, static=True)
    rotation = np.eye(3) if place is None else place.rotation
    translation = np.zeros(3) if place is None else place.translation
    stream.log(path, rr.Transform3D(mat3x3=rotation, translation=translation), static=True)
