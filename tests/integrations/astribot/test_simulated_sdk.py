"""The simulated SDK does what the robot would, refuses what it would, and fails when it is told to."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from demo.rig import SettableClock
from vagus.errors import RobotError
from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.sdk import METHODS, sdk_names
from vagus.integrations.astribot.simulated_body import start_pose
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk

HEAD = ["astribot_head"]


def ready() -> tuple[SimulatedSdk, SettableClock]:
    clock = SettableClock()
    sdk = SimulatedSdk(jitter_s=0.0, clock=clock)
    sdk.connect()
    sdk.connect()
    return sdk, clock


def turn(sdk: SimulatedSdk, *numbers: float) -> None:
    sdk.set_joints_position(HEAD, [numbers], control_way="direct", use_wbc=False)


def test_a_waypoint_is_followed_in_the_time_of_its_clock() -> None:
    sdk, clock = ready()
    turn(sdk, 0.3, 0.5)
    assert sdk.get_current_joints_position(HEAD)[0] == [0.0, 0.75]
    clock.pass_s(0.1)
    (midway,) = sdk.get_current_joints_position(HEAD)
    assert 0.0 < midway[0] < 0.3
    clock.pass_s(2.0)
    assert sdk.get_current_joints_position(HEAD)[0] == pytest.approx([0.3, 0.5], abs=1e-3)
    assert sdk.commands == 1


def test_parts_are_read_in_the_order_in_which_they_are_asked() -> None:
    sdk, _ = ready()
    assert [len(part) for part in sdk.get_current_joints_position(sdk_names(25))] == [4, 7, 1, 7, 1, 2, 3]
    assert sdk.get_current_joints_position(["astribot_arm_right"]) == [
        start_pose()[PARTS["arm_right"]].tolist()
    ]


@pytest.mark.parametrize(
    ("names", "position", "changes", "message"),
    [
        (["head"], [[0.0, 0.0]], {}, "names of parts"),
        (["astribot_tail"], [[0.0]], {}, "names of parts"),
        (HEAD, [[0.0]], {}, r"wanted \[2\] numbers for head, each part once, got \[1\]"),
        (HEAD, [], {}, r"got \[\]"),
        ([*HEAD, *HEAD], [[0.0, 0.0], [0.0, 0.0]], {}, "each part once"),
        (HEAD, [[0.0, float("nan")]], {}, "finite numbers"),
        (HEAD, [[0.0, float("inf")]], {}, "finite numbers"),
        (HEAD, [[0.0, 0.0]], {"control_way": "fast"}, "control way of direct, filter"),
        (HEAD, [[0.0, 0.0]], {"use_wbc": True}, "use_wbc=True"),
    ],
)
def test_what_the_robot_would_not_do_is_refused(
    names: list[str], position: list[list[float]], changes: dict[str, object], message: str
) -> None:
    sdk, clock = ready()
    told = {"control_way": "direct", "use_wbc": False, **changes}
    with pytest.raises(RobotError, match=message):
        sdk.set_joints_position(names, position, **told)  # type: ignore[arg-type] # the test's own
    clock.pass_s(1.0)
    assert sdk.body.tolist() == start_pose().tolist()
    assert (sdk.commands, len(sdk.refusals)) == (0, 1)


def test_a_stopped_robot_stands_and_refuses() -> None:
    sdk, clock = ready()
    turn(sdk, 1.0, 0.5)
    clock.pass_s(0.1)
    sdk.stop()
    assert not sdk.is_standing
    clock.pass_s(1.0)
    assert sdk.is_standing
    with pytest.raises(RobotError, match="the robot is stopped"):
        turn(sdk, 0.0, 0.0)


def test_nothing_works_before_it_is_connected_but_stop_and_close() -> None:
    sdk = SimulatedSdk(jitter_s=0.0)
    for call in (sdk.read_images, lambda: sdk.get_current_joints_position(HEAD), lambda: turn(sdk, 0.0, 0.0)):
        with pytest.raises(RobotError, match=r"before connect\(\)"):
            call()
    sdk.stop()
    sdk.close()
    assert sdk.body.tolist() == start_pose().tolist()


def test_a_call_waits_a_random_time_that_a_closed_sdk_does_not() -> None:
    sdk = SimulatedSdk(jitter_s=0.001)
    sdk.connect()
    assert sdk.get_current_joints_position(HEAD)
    sdk.close()
    assert sdk.read_images()


def test_a_failing_method_raises_and_a_lost_connection_all_but_stop() -> None:
    sdk, _ = ready()
    sdk.fail("read_images")
    with pytest.raises(RobotError, match="read_images: a driver reports an error"):
        sdk.read_images()
    turn(sdk, 0.0, 0.5)
    sdk.lose()
    for call in (sdk.connect, sdk.read_images, lambda: sdk.get_current_joints_position(HEAD)):
        with pytest.raises(RobotError, match="the connection is lost"):
            call()
    sdk.stop()


def test_a_hanging_method_hangs_until_it_is_closed() -> None:
    sdk, _ = ready()
    sdk.hang("set_joints_position")
    calling = threading.Thread(target=turn, args=(sdk, 0.0, 0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda _: None)  # it is refused, as it is stopped by then
        calling.start()
        assert sdk.get_current_joints_position(HEAD)
        sdk.stop()
        assert calling.is_alive()
        sdk.close()
        calling.join(10.0)
    assert not calling.is_alive()
    assert sdk.commands == 0


def test_frozen_cameras_give_one_frame_for_ever_and_each_caller_a_copy() -> None:
    sdk, _ = ready()
    first, second = sdk.read_images(), sdk.read_images()
    assert (first["head"] != second["head"]).any()
    sdk.freeze()
    frozen = sdk.read_images()["head"]
    wanted = frozen.copy()
    frozen[:] = 0
    np.testing.assert_array_equal(sdk.read_images()["head"], wanted)


def test_a_body_that_was_left_alone_is_where_it_was_told_to_be() -> None:
    sdk, clock = ready()
    turn(sdk, 0.3, 0.5)
    clock.pass_s(3600.0)
    assert sdk.body[PARTS["head"]] == pytest.approx([0.3, 0.5])


def test_it_has_every_method_of_an_sdk() -> None:
    assert all(callable(getattr(SimulatedSdk, name)) for name in METHODS)
