"""Camera faults are told at once, each camera by itself, bounded, and until they are over."""

from __future__ import annotations

import pytest

from vagus.clock import NS_PER_S
from vagus.control.camera_health import MOST_ALARMS, CameraHealth
from vagus.errors import FrameError, RobotError
from vagus.types import LinkState


def test_each_fault_is_told_at_once_then_now_and_then_and_its_end_once() -> None:
    health = CameraHealth()
    said = []
    for second in range(25):
        said.append(health.failed(RobotError(f"camera 'wrist' stands still: {second} s"), second * NS_PER_S))
        said.append(health.failed(RobotError("camera 'top': got nothing"), second * NS_PER_S))
    assert len([text for text in said if text]) == 2 * 3
    assert "wrist" in said[0]
    assert "top" in said[1]
    assert health.errors == 50
    assert health.seen() == "the cameras are back"
    assert health.seen() == ""


def test_a_driver_that_says_something_else_each_time_does_not_fill_the_log() -> None:
    health = CameraHealth()
    said = [health.failed(OSError(f"{number}"), number) for number in range(1000)]
    assert len([text for text in said if text]) <= MOST_ALARMS + 1


def test_only_frames_that_never_were_right_refuse_a_run() -> None:
    health = CameraHealth()
    health.failed(RobotError("no frame yet"), 0)
    assert health.refusal == ""
    health.failed(FrameError("camera 'wrist': wanted"), 0)
    assert health.refusal == "camera 'wrist': wanted"
    late = CameraHealth()
    late.seen()
    late.failed(FrameError("camera 'wrist': wanted"), 0)
    assert late.refusal == ""


def test_trouble_is_named_with_its_age_whether_a_camera_fails_or_hangs() -> None:
    health = CameraHealth()
    assert health.trouble(0) == ""
    health.begin(0)
    assert health.trouble(NS_PER_S) == ""
    assert not health.hangs(NS_PER_S)
    assert health.trouble(5 * NS_PER_S) == "read_images has not returned for 5.0 s"
    assert health.hangs(5 * NS_PER_S)
    health.failed(ZeroDivisionError("a bug"), 6 * NS_PER_S)
    assert health.trouble(9 * NS_PER_S) == "no frames for 3.0 s: ZeroDivisionError: a bug"
    assert not health.hangs(9 * NS_PER_S)
    health.seen()
    assert health.trouble(9 * NS_PER_S) == ""


def test_trouble_counts_from_the_first_of_the_looks_that_failed() -> None:
    health = CameraHealth()
    health.failed(RobotError("dark"), NS_PER_S)
    health.failed(RobotError("black"), 3 * NS_PER_S)
    assert health.trouble(4 * NS_PER_S) == "no frames for 3.0 s: black"


def test_beyond_so_many_kinds_of_fault_the_new_ones_are_told_as_one() -> None:
    health = CameraHealth()
    for kind in range(MOST_ALARMS):
        assert health.failed(RobotError(f"camera {kind}: dark"), 0)
    assert health.failed(RobotError("camera 98: dark"), 0)
    assert not health.failed(RobotError("camera 99: dark"), 0)
    assert not health.failed(RobotError("camera 3: dark"), 0), "known ones keep their own"


@pytest.mark.parametrize("began_ns", [0, 100 * NS_PER_S])
def test_a_look_hangs_by_its_own_length(began_ns: int) -> None:
    health = CameraHealth()
    health.begin(began_ns)
    assert not health.hangs(began_ns + NS_PER_S)
    assert not health.trouble(began_ns + NS_PER_S)
    assert health.hangs(began_ns + 5 * NS_PER_S)
    assert health.trouble(began_ns + 5 * NS_PER_S)


@pytest.mark.parametrize("link", LinkState)
def test_the_cameras_are_blamed_only_while_the_link_is_there(link: LinkState) -> None:
    health = CameraHealth()
    is_there = link in (LinkState.STREAMING, LinkState.DEGRADED)
    assert health.blamed(link, 0) == ""
    health.failed(RobotError("dark"), 0)
    assert health.blamed(link, NS_PER_S) == ("no frames for 1.0 s: dark" if is_there else "")
