"""The pictures of the simulated cameras show the true state at the true sizes."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.simulated_body import start_pose
from vagus.integrations.astribot.simulated_cameras import SimulatedCameras, arm_chain
from vagus.types import Image

CAMERAS = SimulatedCameras()


def posed(**parts: list[float]) -> dict[str, Image]:
    body = start_pose()
    for part, numbers in parts.items():
        body[PARTS[part]] = numbers
    return CAMERAS.draw(body)


def reds(frame: Image) -> tuple[float, float]:
    """Return the middle of the red cube, column and row."""
    rows, columns = np.nonzero((frame[..., 0] > 140) & (frame[..., 1] < 60))
    return float(columns.mean()), float(rows.mean())


def jaws(frame: Image) -> float:
    """Return the way between the outer sides of the two jaws, pixels."""
    _, columns = np.nonzero((np.max(frame, axis=-1) < 60)[280:])
    return float(np.ptp(columns))


def test_the_frames_have_the_robots_names_sizes_and_noise() -> None:
    frames, again = posed(), posed()
    assert {name: frame.shape for name, frame in frames.items()} == {
        "head": (720, 1280, 3),
        "wrist_left": (360, 640, 3),
        "wrist_right": (360, 640, 3),
    }
    for name, frame in frames.items():
        assert frame.dtype == np.uint8
        difference = np.abs(frame.astype(int) - again[name].astype(int))
        assert 0 < difference.max() <= 5


def test_the_head_turns_what_it_sees() -> None:
    middle = reds(posed()["head"])
    assert middle == pytest.approx((640.0, 560.0), abs=12.0)
    left, down = reds(posed(head=[0.2, 0.75])["head"]), reds(posed(head=[0.0, 0.95])["head"])
    assert left[0] > middle[0] + 50  # the head turned left, so the cube goes right
    assert down[1] < middle[1] - 50


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_wrist_sees_its_own_gripper_close(side: str) -> None:
    widths = [jaws(posed(**{f"gripper_{side}": [closed]})[f"wrist_{side}"]) for closed in (0.0, 50.0, 100.0)]
    assert widths[0] > widths[1] + 20 > widths[2] + 40
    other = posed(**{f"gripper_{'right' if side == 'left' else 'left'}": [100.0]})
    assert jaws(other[f"wrist_{side}"]) == pytest.approx(widths[0], abs=1.0)


def test_an_arm_has_the_lengths_of_the_description_in_every_pose() -> None:
    for joints in (np.zeros(7), np.linspace(-0.5, 0.7, 7)):
        places, turn = arm_chain("arm_left", joints)
        ways = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert ways == pytest.approx([0.0, 0.05, np.hypot(0.03, 0.309), 0.0, 0.277, 0.0, 0.15])
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_both_arms_reach_ahead_in_the_start_pose_as_in_a_mirror() -> None:
    body = start_pose()
    left, _ = arm_chain("arm_left", body[PARTS["arm_left"]])
    right, _ = arm_chain("arm_right", body[PARTS["arm_right"]])
    np.testing.assert_allclose(left * [1, -1, 1], right, atol=0.02)
    assert left[-1][0] > 0.35


def test_whatever_is_behind_a_lens_is_not_drawn() -> None:
    frame = posed(head=[1.57, -1.0])["head"]
    assert int(np.min(frame)) > 180  # the wall
