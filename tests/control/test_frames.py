"""Frames are what the spec says, whole, and not the same for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.control.frames import FrameCheck, checked_depth, checked_frame, whole_copy
from vagus.errors import FrameError, RobotError
from vagus.specs import CameraSpec, DepthCameraSpec
from vagus.types import Image

WRIST = CameraSpec("wrist", 24, 32)
FRONT = CameraSpec("front", 24, 32, is_required=False)
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)

WRONG = {
    "nothing": (None, "got nothing"),
    "a list": ([[0, 0, 0]], "got a list"),
    "bytes": (b"\xff\xd8", "got a bytes"),
    "grey": (PICTURE[:, :, 0], "repeat its channel"),
    "grey with a channel": (PICTURE[:, :, :1], "repeat its channel"),
    "four channels": (np.zeros((24, 32, 4), np.uint8), "leave the fourth channel out"),
    "channels first": (PICTURE.transpose(2, 0, 1), "transpose"),
    "turned": (PICTURE.transpose(1, 0, 2), "height comes before width"),
    "floats": (PICTURE / np.float32(255), "convert them to uint8"),
    "wide numbers": (PICTURE.astype(np.int64), "convert them to uint8"),
    "another size": (np.zeros((48, 64, 3), np.uint8), "resize it"),
    "empty": (np.zeros((0, 0, 3), np.uint8), "the camera gave none"),
    "a batch": (PICTURE[None], "got (1, 24, 32, 3) uint8"),
}


@pytest.mark.parametrize(("frame", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_frame_of_the_camera_is_refused_with_its_name(frame: object, words: str) -> None:
    with pytest.raises(FrameError) as caught:
        checked_frame(WRIST, frame)
    assert str(caught.value).startswith("camera 'wrist': wanted (24, 32, 3) uint8 RGB, got ")
    assert words in str(caught.value)


@given(
    shape=st.lists(st.integers(0, 40), max_size=4),
    dtype=st.sampled_from(["u1", "i1", "u2", "f4", "f8", "?", "O"]),
)
def test_never_is_an_array_let_through_that_is_not_the_cameras(shape: list[int], dtype: str) -> None:
    frame = np.zeros(shape, dtype)
    if frame.shape == (24, 32, 3) and frame.dtype == np.uint8:
        assert checked_frame(WRIST, frame) is frame
        return
    with pytest.raises(FrameError, match="camera 'wrist'"):
        checked_frame(WRIST, frame)


def test_what_is_taken_is_a_copy_that_nobody_can_change() -> None:
    buffer = PICTURE.copy()
    (taken,) = FrameCheck([WRIST], stale_s=0.0).take({"wrist": buffer}).images.values()
    buffer[:] = 0
    assert (taken == PICTURE).all()
    with pytest.raises(ValueError, match="read-only"):
        taken[0, 0, 0] = 1


def test_views_with_strides_are_taken_whole() -> None:
    bgr = PICTURE[:, :, ::-1]
    taken = FrameCheck([WRIST], stale_s=0.0).take({"wrist": bgr}).images["wrist"]
    assert (taken == bgr).all()
    assert taken.flags.c_contiguous


def test_a_buffer_that_is_written_meanwhile_is_copied_again(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = np.zeros((4, 4, 3), np.uint8)
    copy, copies = np.array, 0

    def overtaken(frame: Image) -> Image:
        nonlocal copies
        copies += 1
        taken: Image = copy(frame)
        if copies == 1:  # the driver's thread: it has begun to write, and ends after the copy
            taken[:2] = 200
            buffer[:] = 200
        return taken

    monkeypatch.setattr(np, "array", overtaken)
    picture = whole_copy(buffer)
    monkeypatch.undo()
    assert (picture == 200).all()
    assert copies == 2


@pytest.mark.parametrize("images", [None, [PICTURE], {}, {"other": PICTURE}])
def test_a_required_camera_that_gives_nothing_is_an_error(images: object) -> None:
    with pytest.raises(FrameError, match=r"wanted a mapping|no frame from the cameras"):
        FrameCheck([WRIST], stale_s=0.0).take(images)


def test_an_optional_camera_may_be_missing_but_not_wrong() -> None:
    check = FrameCheck([WRIST, FRONT], stale_s=0.0)
    assert [*check.take({"wrist": PICTURE}).images] == ["wrist"]
    with pytest.raises(FrameError, match="front"):
        check.take({"wrist": PICTURE, "front": None})


def test_cameras_that_nobody_looks_at_may_give_anything() -> None:
    assert [*FrameCheck([WRIST], stale_s=0.0).take({"wrist": PICTURE, "depth": None}).images] == ["wrist"]


class Drive:
    """A robot that is driven for as long as it is told."""

    def __init__(self) -> None:
        self.driven_s = 0.0

    def check(self, *cameras: CameraSpec, stale_s: float = 2.0) -> FrameCheck:
        return FrameCheck(cameras, stale_s=stale_s, driven_ns=lambda: round(self.driven_s * NS_PER_S))


def other(number: int) -> Image:
    picture: Image = PICTURE.copy()
    picture[3, 5, 1] = number  # one pixel, off the sample
    return picture


def test_a_camera_that_shows_one_picture_while_the_robot_is_driven_stands_still_until_it_changes() -> None:
    drive = Drive()
    check = drive.check(WRIST)
    for tenth in range(21):
        drive.driven_s = tenth / 10
        check.take({"wrist": PICTURE})
    drive.driven_s = 2.1
    for _ in range(3):
        with pytest.raises(RobotError, match=r"camera 'wrist' stands still: the robot was driven for 2\.1 s"):
            check.take({"wrist": PICTURE.copy()})
    assert check.take({"wrist": other(7)})
    drive.driven_s = 4.0
    assert check.take({"wrist": other(7)})


def test_a_picture_that_changes_in_one_pixel_is_another() -> None:
    drive = Drive()
    check = drive.check(WRIST)
    for second in range(60):
        drive.driven_s = float(second)
        check.take({"wrist": other(second)})


def test_one_buffer_with_new_contents_is_another_picture_and_a_copy_of_the_old_is_not() -> None:
    drive = Drive()
    check, buffer = drive.check(WRIST), PICTURE.copy()
    for second in range(60):
        drive.driven_s = float(second)
        buffer[0, 0, 0] = second
        check.take({"wrist": buffer})


def test_a_robot_that_is_not_driven_may_look_at_one_picture_for_ever() -> None:
    check = Drive().check(WRIST)
    for _ in range(100):
        check.take({"wrist": PICTURE})


def test_each_camera_stands_still_by_itself_and_an_optional_one_is_left_out() -> None:
    drive = Drive()
    check = drive.check(WRIST, FRONT)
    check.take({"wrist": other(0), "front": PICTURE})
    drive.driven_s = 3.0
    assert [*check.take({"wrist": other(1), "front": PICTURE}).images] == ["wrist"]
    assert list(check.left_out) == ["front"]
    assert [*check.take({"wrist": other(2), "front": other(1)}).images] == ["wrist", "front"]
    assert not check.left_out


def test_a_simulation_says_that_it_may_repeat_and_a_setting_switches_it_off() -> None:
    drive = Drive()
    simulated, off = (
        drive.check(CameraSpec("wrist", 24, 32, may_repeat=True)),
        drive.check(WRIST, stale_s=0.0),
    )
    for second in range(60):
        drive.driven_s = float(second)
        assert simulated.take({"wrist": PICTURE})
        assert off.take({"wrist": PICTURE})


# -- depth ------------------------------------------------------------------------------------------------

DEPTH = DepthCameraSpec("wrist_depth", 24, 32)
MEASURED = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (None, r"got nothing"),
        ([[1]], r"got a list"),
        (
            MEASURED / np.float32(1000),
            r"float32; round it to 1000 units to the metre as uint16, with 0 where",
        ),
        (MEASURED.astype(np.int32), r"int32; convert it to uint16 \(1000 units to the metre\)"),
        (MEASURED.astype(">u2"), r">u2; convert it to uint16|uint16"),
        (MEASURED.astype(np.uint8), r"uint8; 8 bits are a picture of depth"),
        (MEASURED[:, :, None], r"\(24, 32, 1\) uint16; leave the last axis out"),
        (MEASURED[None], r"\(1, 24, 32\) uint16; leave the first axis out"),
        (MEASURED.T, r"\(32, 24\) uint16; height comes before width"),
        (PICTURE, r"\(24, 32, 3\) uint8; a colour picture"),
        (MEASURED[:12], r"\(12, 32\) uint16; state this size in the robot's spec; depth is never scaled"),
        (MEASURED[:12].astype(np.int32), r"\(12, 32\) int32$"),
        (MEASURED[0], r"\(32,\) uint16$"),
        (MEASURED[:0], r"\(0, 32\) uint16; an empty frame"),
        (np.zeros((2, 2, 2, 2)), r"\(2, 2, 2, 2\) float64$"),
    ],
)
def test_a_depth_frame_of_another_kind_is_refused_with_the_way_out(frame: object, got: str) -> None:
    with pytest.raises(FrameError, match=r"depth camera 'wrist_depth': wanted \(24, 32\) uint16, .*" + got):
        checked_depth(DEPTH, frame)


def test_depth_is_taken_number_by_number_as_a_copy_that_nobody_can_change() -> None:
    buffer = MEASURED.copy()
    sight = FrameCheck([WRIST], [DEPTH], stale_s=0.0).take({"wrist_depth": buffer, "wrist": PICTURE})
    buffer[:] = 0
    assert [*sight.images] == ["wrist"]
    assert [*sight.depth] == ["wrist_depth"]
    taken = sight.depth["wrist_depth"]
    assert taken.dtype == np.uint16
    assert (taken == MEASURED).all()
    with pytest.raises(ValueError, match="read-only"):
        taken[0, 0] = 1


def test_a_colour_frame_is_no_depth_frame_and_a_required_depth_camera_must_give_one() -> None:
    check = FrameCheck([WRIST], [DEPTH], stale_s=0.0)
    with pytest.raises(
        FrameError, match=r"no frame from the depth cameras \['wrist_depth'\]; got \['wrist'\]"
    ):
        check.take({"wrist": PICTURE})
    with pytest.raises(FrameError, match="a colour picture"):
        check.take({"wrist": PICTURE, "wrist_depth": PICTURE})
    optional = FrameCheck([], [replace(DEPTH, is_required=False)], stale_s=0.0)
    assert not optional.take({}).depth


@pytest.mark.parametrize("may_repeat", [True, False])
def test_a_depth_camera_that_stands_still_while_the_robot_is_driven_is_an_error(*, may_repeat: bool) -> None:
    drive = Drive()
    camera = replace(DEPTH, may_repeat=may_repeat)
    check = FrameCheck([], [camera], stale_s=2.0, driven_ns=lambda: round(drive.driven_s * NS_PER_S))
    check.take({"wrist_depth": MEASURED})
    drive.driven_s = 3.0
    if may_repeat:
        assert [*check.take({"wrist_depth": MEASURED}).depth] == ["wrist_depth"]
        return
    with pytest.raises(RobotError, match="camera 'wrist_depth' stands still"):
        check.take({"wrist_depth": MEASURED})
    check.take({"wrist_depth": MEASURED + np.uint16(1)})


def test_an_optional_depth_camera_that_stands_still_is_left_out() -> None:
    drive = Drive()
    camera = replace(DEPTH, is_required=False)
    check = FrameCheck([], [camera], stale_s=2.0, driven_ns=lambda: round(drive.driven_s * NS_PER_S))
    assert [*check.take({"wrist_depth": MEASURED}).depth] == ["wrist_depth"]
    drive.driven_s = 3.0
    assert not check.take({"wrist_depth": MEASURED}).depth
    assert list(check.left_out) == ["wrist_depth"]
