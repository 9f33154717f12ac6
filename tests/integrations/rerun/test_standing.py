"""A camera that stands in space, as a Rerun file holds it, read with Rerun's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recorded_sessions import session_of, with_frames
from rerun_contents import RerunContents
from vagus.cameras.camera import Extrinsics, Intrinsics
from vagus.viewing.session_view import view_of_session
from vagus.viewing.standing import StandingCamera, with_sizes_checked

pytest.importorskip("rerun")
pytest.importorskip("rerun.chunk", reason="this version of Rerun reads no files")

INTRINSICS = Intrinsics(width=64, height=48, fx=60.0, fy=70.0, cx=31.5, cy=23.5)
TURNED = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera axes (right, down, ahead) of one that looks along the robot's x."""


def saved(tmp_path: Path, standing: StandingCamera | None) -> RerunContents:
    from vagus.integrations.rerun.output import save_view  # noqa: PLC0415 - Rerun may be missing

    view = view_of_session(with_frames(session_of()))
    checked = view if standing is None else with_sizes_checked(view, standing)
    assert save_view(checked, tmp_path / "a.rrd", standing) == ()
    return RerunContents(tmp_path / "a.rrd")


def numbers(contents: RerunContents, column: str) -> list[float]:
    (row,) = [row for row in contents.column("/scene/depth", column) if row]
    return [float(number) for number in np.asarray(row, np.float64).ravel()]


def test_depth_has_a_pinhole_and_a_place_in_the_robots_frame(tmp_path: Path) -> None:
    contents = saved(
        tmp_path, StandingCamera("depth", INTRINSICS, Extrinsics(TURNED, np.array([0.1, -0.2, 0.5])))
    )
    columns = [60, 0, 0, 0, 70, 0, 31.5, 23.5, 1]
    assert numbers(contents, "Pinhole:image_from_camera") == pytest.approx(columns)
    assert numbers(contents, "Pinhole:resolution") == [64, 48]
    assert numbers(contents, "Transform3D:mat3x3") == pytest.approx(TURNED.T.ravel().tolist())
    assert numbers(contents, "Transform3D:translation") == pytest.approx([0.1, -0.2, 0.5])
    frames = [row for row in contents.column("/scene/depth", "DepthImage:buffer") if row]
    assert len(frames) == 18


def test_without_extrinsics_the_camera_is_the_origin(tmp_path: Path) -> None:
    contents = saved(tmp_path, StandingCamera("depth", INTRINSICS, None))
    assert numbers(contents, "Transform3D:mat3x3") == np.eye(3).ravel().tolist()
    assert numbers(contents, "Transform3D:translation") == [0.0, 0.0, 0.0]


def test_without_intrinsics_depth_is_a_picture_only(tmp_path: Path) -> None:
    contents = saved(tmp_path, None)
    assert not contents.column("/scene/depth", "Pinhole:image_from_camera")


def test_the_layout_shows_the_scene_in_space_only_if_a_camera_stands_in_it() -> None:
    import rerun.blueprint as rrb  # noqa: PLC0415 - Rerun may be missing

    from vagus.integrations.rerun.blueprint import blueprint_for  # noqa: PLC0415 - Rerun may be missing

    for in_space in ("depth", None):
        layout = blueprint_for(["elbow"], ["front", "depth"], lanes=1, in_space=in_space)
        left = next(iter(layout.root_container.contents))
        assert isinstance(left, rrb.Vertical)
        in_3d = [view.name for view in left.contents if isinstance(view, rrb.Spatial3DView)]
        assert in_3d == ([] if in_space is None else ["depth in space"])
