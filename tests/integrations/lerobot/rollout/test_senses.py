"""Under LeRobot's loop as in our own: one reading and one picture alone decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rig import S
from integrations.cockpit import TICK_NS, Cockpit, value
from vagus.control.config import SensesConfig
from vagus.control.loop_stats import EndReason
from vagus.errors import RobotError
from vagus.specs import DepthCameraSpec, Limits
from vagus.types import LinkState, MotionState

SLOW = Limits(-40.0, 40.0, velocity=100.0)
"""Thirty degrees in a tick are a jump."""


def broken(error: BaseException) -> Callable[[], Mapping[str, object]]:
    def read() -> Mapping[str, object]:
        raise error

    return read


BAD: dict[str, Callable[[], Mapping[str, object]]] = {
    "nan": lambda: {"a.pos": np.nan, "x.vel": 0.0},
    "infinite": lambda: {"a.pos": 0.0, "x.vel": float("inf")},
    "too large for float32": lambda: {"a.pos": 1e300, "x.vel": 0.0},
    "none": lambda: {"a.pos": None, "x.vel": 0.0},
    "text": lambda: {"a.pos": "0.0", "x.vel": 0.0},
    "an object": lambda: {"a.pos": object(), "x.vel": 0.0},
    "two numbers": lambda: {"a.pos": np.zeros(2), "x.vel": np.zeros(2)},
    "one of them two": lambda: {"a.pos": [0.0, 0.0], "x.vel": 0.0},
    "a missing name": lambda: {"a.pos": 0.0},
    "nothing": dict,
    "no mapping": lambda: None,  # type: ignore[dict-item, return-value] # a driver may return anything
    "a jump": lambda: {"a.pos": 30.0, "x.vel": 0.0},
    "a lost packet": broken(ConnectionError("no status packet")),
    "a driver that exits": broken(SystemExit(1)),
}


@pytest.mark.parametrize("read", BAD.values(), ids=BAD.keys())
def test_a_bad_reading_costs_its_tick_and_nothing_else(read: Callable[[], Mapping[str, object]]) -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.play()
    asked = len(cockpit.client.offered)
    seen = cockpit.pilot.senses.observe(read)
    assert (seen["a.pos"], seen["x.vel"]) == (0.0, 0.0)
    assert np.asarray(seen["eye"]).shape == (2, 2, 3)
    cockpit.pilot.note(seen)
    command = cockpit.pilot.act()
    assert command is not None
    assert command.provenance.motion is MotionState.PLAYING
    assert len(cockpit.client.offered) == asked
    assert cockpit.pilot.summary(EndReason.FINISHED, "", episodes=0).state_errors == 1
    assert cockpit.tick() is not None


@pytest.mark.parametrize("read", BAD.values(), ids=BAD.keys())
def test_two_in_a_row_end_the_rollout(read: Callable[[], Mapping[str, object]]) -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.play()
    cockpit.pilot.senses.observe(read)
    with pytest.raises(RobotError, match="in a row"):
        cockpit.pilot.senses.observe(read)


@pytest.mark.parametrize("read", [BAD["a lost packet"], BAD["a missing name"], BAD["text"]])
def test_without_any_reading_nothing_can_stand_in(read: Callable[[], Mapping[str, object]]) -> None:
    senses = Cockpit(is_seen=False).pilot.senses
    with pytest.raises(RobotError):
        senses.observe(read)


def test_ctrl_c_is_no_bad_reading() -> None:
    with pytest.raises(KeyboardInterrupt):
        Cockpit().pilot.senses.observe(broken(KeyboardInterrupt()))


def test_a_reading_that_is_nothing_new_is_a_bad_one() -> None:
    cockpit = Cockpit()
    cockpit.play()

    def refuse(_: object) -> None:
        raise RobotError("nothing new")

    seen = {"a.pos": 7.0, "x.vel": 0.0}
    assert cockpit.pilot.senses.observe(lambda: seen, check=refuse)["a.pos"] == 0.0


def test_how_many_are_borne_with_is_a_setting() -> None:
    cockpit = Cockpit(senses=SensesConfig(max_bad_readings=0))
    cockpit.play()
    with pytest.raises(RobotError, match="max_bad_readings is 0"):
        cockpit.see(**{"a.pos": np.nan})


def test_nothing_is_started_from_one_reading_that_fits_no_other() -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.pilot.resume()
    assert cockpit.tick(**{"a.pos": 30.0}) is None
    assert cockpit.client.offered == []
    command = cockpit.tick(**{"a.pos": 30.0})
    assert command is not None
    assert cockpit.client.offered[-1].draft.state.tolist() == [0.0, 30.0]


def test_a_robot_that_is_moved_by_hand_jumps_as_it_likes() -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.play()
    cockpit.pilot.pause()
    for degrees in (30.0, -30.0, 30.0, -30.0):
        assert cockpit.tick(**{"a.pos": degrees}) is None
    cockpit.pilot.resume()
    cockpit.tick(**{"a.pos": -30.0})
    cockpit.tick(**{"a.pos": -30.0})
    assert cockpit.client.offered[-1].draft.state.tolist() == [0.0, -30.0]
    assert cockpit.pilot.senses.bad == 0


def test_after_a_reset_the_robot_may_be_anywhere() -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.play()
    cockpit.pilot.reset()
    assert cockpit.tick(**{"a.pos": 30.0}) is None  # compared with the next one
    command = cockpit.tick(**{"a.pos": 30.0})
    assert command is not None
    assert cockpit.client.offered[-1].draft.state.tolist() == [0.0, 30.0]


@given(st.lists(st.sampled_from([*BAD, "good", "good", "good"]), max_size=60))
def test_what_was_not_measured_is_neither_commanded_from_nor_shown(kinds: list[str]) -> None:
    cockpit = Cockpit(limits=SLOW)
    cockpit.play()
    for before, kind in zip(["good", *kinds], kinds, strict=False):
        if kind == "good":
            command = cockpit.tick(**{"a.pos": 0.25})
            if len(cockpit.client.offered) and cockpit.client.offered[-1].draft.step > cockpit.engine.step:
                cockpit.answer()
        else:
            try:
                cockpit.pilot.note(cockpit.pilot.senses.observe(BAD[kind]))
            except RobotError:
                assert before != "good" or cockpit.pilot.senses.bad > 10
                return
            command = cockpit.pilot.act()
            cockpit.clock.now += TICK_NS
        assert command is None or command.action is None or np.isfinite(command.action).all()
        assert all(
            snapshot.draft.state.tolist() in ([0, 0], [0, 0.25]) for snapshot in cockpit.client.offered
        )


# -- cameras --------------------------------------------------------------------------------------------

FRAMES: dict[str, tuple[object, str]] = {
    "nothing": (None, "got nothing"),
    "a list": ([[0]], "got a list"),
    "floats": (np.zeros((2, 2, 3), dtype=np.float32), "convert them to uint8"),
    "signed": (np.zeros((2, 2, 3), dtype=np.int16), "convert them to uint8"),
    "grey": (np.zeros((2, 2), dtype=np.uint8), "a grey picture"),
    "grey with an axis": (np.zeros((2, 2, 1), dtype=np.uint8), "a grey picture"),
    "with transparency": (np.zeros((2, 2, 4), dtype=np.uint8), "fourth channel"),
    "channels first": (np.zeros((3, 2, 2), dtype=np.uint8), "transpose"),
    "another size": (np.zeros((4, 4, 3), dtype=np.uint8), "resize it"),
    "empty": (np.zeros((0, 0, 3), dtype=np.uint8), "an empty frame"),
    "several": (np.zeros((1, 2, 2, 3), dtype=np.uint8), "got (1, 2, 2, 3)"),
}


@pytest.mark.parametrize(("frame", "said"), FRAMES.values(), ids=FRAMES.keys())
def test_first_frames_that_are_none_end_the_rollout_with_their_reason(frame: object, said: str) -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    assert cockpit.tick(eye=frame) is None
    assert "camera 'eye': wanted (2, 2, 3) uint8 RGB" in cockpit.pilot.failure
    assert said in cockpit.pilot.failure
    assert cockpit.pilot.failed_as is EndReason.ROBOT_ERROR
    assert cockpit.client.failed == [1]


def test_a_camera_that_is_not_there_ends_it_too() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    cockpit.see()
    cockpit.pilot.note({"a.pos": 0.0, "x.vel": 0.0})
    assert cockpit.pilot.act() is None
    assert "no frame from the cameras ['eye']" in cockpit.pilot.failure


@pytest.mark.parametrize("frame", [frame for frame, _ in FRAMES.values()], ids=FRAMES.keys())
def test_later_it_costs_one_request(frame: object) -> None:
    cockpit = Cockpit()
    cockpit.play()
    asked = len(cockpit.client.offered)
    while not cockpit.client.failed:
        assert cockpit.tick(eye=frame) is not None
    assert len(cockpit.client.offered) == asked
    assert cockpit.pilot.summary(EndReason.FINISHED, "", episodes=0).camera_errors == 1


def test_a_frozen_camera_is_not_sent_and_counts_against_the_robot_not_the_link() -> None:
    cockpit = Cockpit(senses=SensesConfig(camera_stale_s=0.2))
    cockpit.play()
    frozen = np.ones((2, 2, 3), dtype=np.uint8)
    while not cockpit.client.failed:
        if cockpit.client.offered[-1].draft.ticket == cockpit.engine.link_view.ticket:
            cockpit.answer()
        assert cockpit.tick(eye=frozen) is not None
    cockpit.link(LinkState.STREAMING, ticket=cockpit.engine.link_view.ticket + 1)
    for _ in range(round(70.0 * S / TICK_NS)):
        cockpit.tick(eye=frozen)
    assert cockpit.pilot.failed_as is EndReason.ROBOT_ERROR
    assert "camera 'eye' stands still" in cockpit.pilot.failure


def test_pictures_are_copied_when_they_are_sent_and_nobody_changes_them() -> None:
    cockpit = Cockpit()
    cockpit.pilot.resume()
    eye = np.zeros((2, 2, 3), dtype=np.uint8)
    cockpit.tick(eye=eye)
    eye[:] = 9
    sent = cockpit.client.offered[-1].images["eye"]
    assert not sent.any()
    with pytest.raises(ValueError, match="read-only"):
        sent[:] = 1


def test_the_value_of_a_good_tick_is_its_own() -> None:
    cockpit = Cockpit()
    cockpit.play()
    seen = {"a.pos": 0.0, "x.vel": 0.0, "eye": np.zeros((2, 2, 3), dtype=np.uint8)}
    assert cockpit.pilot.senses.observe(lambda: seen) is seen
    cockpit.pilot.note(seen)
    assert value(cockpit.pilot.act()) == [1.0, 1.0]


def test_depth_of_lerobots_observation_reaches_the_request_without_its_axis_of_one() -> None:
    deep = DepthCameraSpec("eye_depth", 2, 2)
    cockpit = Cockpit(depth_cameras=(deep,))
    measured = np.array([[0, 1], [812, 65535]], np.uint16)
    cockpit.pilot.resume()
    cockpit.tick(eye_depth=measured[:, :, None])
    assert np.array_equal(cockpit.client.offered[-1].depth["eye_depth"], measured)
    missing = Cockpit(depth_cameras=(deep,))
    missing.pilot.resume()
    missing.tick()
    assert "no frame from the depth cameras ['eye_depth']" in missing.pilot.failure
