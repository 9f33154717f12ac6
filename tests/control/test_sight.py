"""Camera faults are told at once, each camera by itself, bounded, and until they are over."""

from __future__ import annotations

from vagus.clock import NS_PER_S
from vagus.control.sight import MOST_ALARMS, Sight
from vagus.errors import FrameError, RobotError


def test_each_fault_is_told_at_once_then_now_and_then_and_its_end_once() -> None:
    sight = Sight()
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
    sight = Sight()
    said = [sight.failed(OSError(f"{number}"), number) for number in range(1000)]
    assert len([text for text in said if text]) <= MOST_ALARMS + 1


def test_only_frames_that_never_were_right_refuse_a_run() -> None:
    sight = Sight()
    sight.failed(RobotError("no frame yet"), 0)
    assert sight.refusal == ""
    sight.failed(FrameError("camera 'wrist': wanted"), 0)
    assert sight.refusal == "camera 'wrist': wanted"
    late = Sight()
    late.seen()
    late.failed(FrameError("camera 'wrist': wanted"), 0)
    assert late.refusal == ""


def test_trouble_is_named_with_its_age_whether_a_camera_fails_or_hangs() -> None:
    sight = Sight()
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
