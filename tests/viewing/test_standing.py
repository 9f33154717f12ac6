from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recorded_sessions import session_of, with_frames
from vagus.cameras.camera import Intrinsics
from vagus.errors import ConfigError, FrameError, ProtocolError
from vagus.viewing.description import RecordingView
from vagus.viewing.session_view import view_of_session
from vagus.viewing.standing import StandingCamera, depth_camera_of, with_sizes_checked

INTRINSICS = Intrinsics(width=64, height=48, fx=60.0, fy=60.0, cx=31.5, cy=23.5)
CAMERA = StandingCamera("depth", INTRINSICS, None)


@pytest.fixture
def view() -> RecordingView:
    return view_of_session(with_frames(session_of()))


def test_the_only_depth_camera_needs_no_name(view: RecordingView) -> None:
    assert depth_camera_of(view, "") == "depth"
    assert depth_camera_of(view, "depth") == "depth"


@pytest.mark.parametrize(
    ("names", "asked", "told"),
    [
        (("depth",), "front", r"wanted the name of a recorded one \(\['depth'\]\), got front"),
        (("left", "right"), "", "got no name; state it with --depth-camera"),
        ((), "", "got a recording without depth frames; leave out --intrinsics"),
    ],
)
def test_a_depth_camera_that_is_not_clear_is_refused(
    view: RecordingView, names: tuple[str, ...], asked: str, told: str
) -> None:
    depth = next(one for one in view.pictures if one.kind == "depth")
    colour = next(one for one in view.pictures if one.kind == "colour")
    pictures = (colour, *(replace(depth, camera=name) for name in names))
    with pytest.raises(ConfigError, match=told):
        depth_camera_of(replace(view, pictures=pictures), asked)


def test_frames_of_the_right_size_stay_what_they_are(view: RecordingView) -> None:
    checked = with_sizes_checked(view, CAMERA)
    for before, after in zip(view.pictures, checked.pictures, strict=True):
        np.testing.assert_array_equal(before.load(), after.load())


def test_intrinsics_of_another_size_are_refused(view: RecordingView) -> None:
    camera = StandingCamera("depth", INTRINSICS.scaled(width=128, height=96), None)
    with pytest.raises(ConfigError, match=r"frames of depth, \(48, 64\) pixels.*got those of \(96, 128\)"):
        with_sizes_checked(view, camera)


def test_the_first_frame_that_can_be_read_is_compared(view: RecordingView) -> None:
    def gone() -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
        raise ProtocolError(f"{Path('depth.png')} is gone")

    depth = [one for one in view.pictures if one.kind == "depth"]
    broken = replace(view, pictures=(replace(depth[0], load=gone), *depth[1:]))
    assert len(with_sizes_checked(broken, CAMERA).pictures) == len(depth)
    with pytest.raises(ConfigError, match="intrinsics"):
        with_sizes_checked(broken, StandingCamera("depth", INTRINSICS.scaled(width=32, height=24), None))


def test_a_later_frame_of_another_size_is_refused_when_it_is_read(view: RecordingView) -> None:
    depth = [one for one in view.pictures if one.kind == "depth"]
    odd = replace(depth[1], load=lambda: np.ones((24, 32), np.uint16))
    checked = with_sizes_checked(replace(view, pictures=(depth[0], odd)), CAMERA)
    with pytest.raises(FrameError, match=r"wanted a frame of \(48, 64\) pixels.*got \(24, 32\)"):
        checked.pictures[1].load()
