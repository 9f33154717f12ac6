"""Camera faults are told at once, each camera by itself, bounded, and until they are over."""

from __future__ import annotations

import pytest

from vagus.clock import NS_PER_S
from vagus.control.camera_health import MOST_ALARMS, CameraHealth
from vagus.errors import FrameError, RobotError
from vagus.types import LinkState


def test_each_fault_is_told_at_once_then_now_and_then_and_its_end_once() -> None:
    sight = CameraHealth()
    said = []
    for second in range(25):
        said.append(sight.failed(RobotError(f"camera 'wrist' stands still: {second} s"), second * NS_PER_S))
        said.append(sight.failed(RobotError("camera 'top': got nothing"), second * NS_PER_S))
    assert len([text for text in said if text]) == 2 * 3
    assert "wrist" in said[0]
    assert "top" in said[1]
    assert sight.errors == 50
    assert sight.seen() == "the cameras are back"
    assert sight.seen() == ""


def test_a_driver_that_says_something_else_each_time_does_not_fill_the_log() -> None:
    sight = CameraHealth()
    said = [sight.failed(OSError(f"{number}"), number) for number in range(1000)]
    assert len([text for text in said if text]) <= MOST_ALARMS + 1


def test_only_frames_that_never_were_right_refuse_a_run() -> None:
    sight = CameraHealth()
    sight.failed(RobotError("no frame yet"), 0)
    assert sight.refusal == ""
    sight.failed(FrameError("camera 'wrist': wanted"), 0)
    assert sight.refusal == "camera 'wrist': wanted"
    late = CameraHealth()
    late.seen()
    late.failed(FrameError("camera 'wrist': wanted"), 0)
    assert late.refusal == ""


def test_trouble_is_named_with_its_age_whether_a_camera_fails_or_hangs() -> None:
    sight = CameraHealth()
    assert sight.trouble(0) == ""
    sight.begin(0)
    assert sight.trouble(NS_PER_S) == ""
    assert not sight.hangs(NS_PER_S)
    assert sight.trouble(5 * NS_PER_S) == "read_images has not returned for 5.0 s"
    assert sight.hangs(5 * NS_PER_S)
    sight.failed(ZeroDivisionError("a bug"), 6 * NS_PER_S)
    assert sight.trouble(9 * NS_PER_S) == "no frames for 3.0 s: ZeroDivisionError: a bug"
    assert not sight.hangs(9 * NS_PER_S)
    sight.seen()
    assert sight.trouble(9 * NS_PER_S) == ""


def test_trouble_counts_from_the_first_of_the_looks_that_failed() -> None:
    sight = CameraHealth()
    sight.failed(RobotError("dark"), NS_PER_S)
    sight.failed(RobotError("black"), 3 * NS_PER_S)
    assert sight.trouble(4 * NS_PER_S) == "no frames for 3.0 s: black"


def test_beyond_so_many_kinds_of_fault_the_new_ones_are_told_as_one() -> None:
    sight = CameraHealth()
    for kind in range(MOST_ALARMS):
        assert sight.failed(RobotError(f"camera {kind}: dark"), 0)
    assert sight.failed(RobotError("camera 98: dark"), 0)
    assert not sight.failed(RobotError("camera 99: dark"), 0)
    assert not sight.failed(RobotError("camera 3: dark"), 0), "known ones keep their own"


@pytest.mark.parametrize("began_ns", [0, 100 * NS_PER_S])
def test_a_look_hangs_by_its_own_length(began_ns: int) -> None:
    sight = CameraHealth()
    sight.begin(began_ns)
    assert not sight.hangs(began_ns + NS_PER_S)
    assert not sight.trouble(began_ns + NS_PER_S)
    assert sight.hangs(began_ns + 5 * NS_PER_S)
    assert sight.trouble(began_ns + 5 * NS_PER_S)


@pytest.mark.parametrize("link", LinkState)
def test_the_cameras_are_blamed_only_while_the_link_is_there(link: LinkState) -> None:
    sight = CameraHealth()
    is_there = link in (LinkState.STREAMING, LinkState.DEGRADED)
    assert sight.blamed(link, 0) == ""
    sight.failed(RobotError("dark"), 0)
    assert sight.blamed(link, NS_PER_S) == ("no frames for 1.0 s: dark" if is_there else "")
