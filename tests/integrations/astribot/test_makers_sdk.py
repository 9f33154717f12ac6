"""The maker's client behind the adapter's methods: what it would ignore is an error, and frames are RGB."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import numpy as np
import pytest

from vagus.errors import RobotError
from vagus.integrations.astribot import makers_sdk
from vagus.integrations.astribot.makers_sdk import CAMERAS, PLACES, MakersClient, MakersSdk
from vagus.integrations.astribot.robot import AstribotRobot, make_astribot_robot
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.sdk import METHODS
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk
from vagus.robots.registry import load_robot

SIZES = {"head_rgbd": (720, 1280), "left_wrist_rgbd": (360, 640), "right_wrist_rgbd": (360, 640)}


class Astribot:
    """The maker's client with its names and habits, around the simulated body."""

    def __init__(self) -> None:
        self.body = SimulatedSdk(jitter_s=0.0)
        self.body.connect()
        self.has_rights = True
        self.active_after = 2
        self.callbacks: dict[str, Callable[..., None]] = {}

    def get_control_rights_status(self) -> bool:
        return self.has_rights

    def get_current_joints_position(self, names: list[str]) -> Sequence[Sequence[float]]:
        return self.body.get_current_joints_position(names)

    def set_joints_position(
        self,
        names: list[str],
        position: list[list[float]],
        control_way: str = "filter",
        use_wbc: bool = False,
    ) -> None:
        if self.has_rights:
            self.body.set_joints_position(names, position, control_way=control_way, use_wbc=use_wbc)

    def stop_robot(self) -> None:
        self.body.stop()

    def activate_camera(self) -> None:
        pass

    def get_cameras_info(self) -> Mapping[str, Mapping[str, object]]:
        self.active_after -= 1
        return {name: {"activate": self.active_after <= 0} for name in CAMERAS}

    def register_image_callback(
        self, name: str, kind: str, callback: Callable[..., None], *, need_decode: bool
    ) -> None:
        assert (kind, need_decode) == ("color", True)
        self.callbacks[name] = callback

    def give_frames(self) -> None:
        for name, callback in self.callbacks.items():
            height, width = SIZES[name]
            blue = np.zeros((height, width, 3), np.uint8)
            blue[..., 0] = 200
            callback(f"/astribot_camera/{name}/color_compress/compressed", object(), width, height, blue)


def connected() -> tuple[MakersSdk, Astribot]:
    client = Astribot()
    sdk = MakersSdk(lambda: client)
    sdk.connect()
    return sdk, client


def test_the_adapter_drives_the_makers_client() -> None:
    client = Astribot()
    robot = AstribotRobot(sdk=MakersSdk(lambda: client), options=AstribotRobotOptions(limits_confirmed=True))
    robot.connect()
    state = robot.read_state()
    robot.command(state[:16].astype(np.float64))
    assert client.body.commands == 1
    robot.stop()
    with pytest.raises(RobotError, match=r"command\(\) after stop"):
        robot.command(state[:16].astype(np.float64))
    robot.close()


def test_frames_are_turned_to_rgb_and_named() -> None:
    sdk, client = connected()
    with pytest.raises(RobotError, match="no frame yet from head, wrist_left, wrist_right"):
        sdk.read_images()
    client.give_frames()
    frames = sdk.read_images()
    assert {name: frame.shape[:2] for name, frame in frames.items()} == {
        "head": (720, 1280),
        "wrist_left": (360, 640),
        "wrist_right": (360, 640),
    }
    assert frames["head"][0, 0].tolist() == [0, 0, 200]
    for topic in ("/astribot_camera/torso_rgbd/color_compress", "nothing", None):
        client.callbacks["head_rgbd"](topic, object(), 0, 0, np.zeros(9, np.uint8))
    client.callbacks["head_rgbd"]("/astribot_camera/head_rgbd/color", object(), 0, 0, np.zeros(9, np.uint8))
    assert sdk.read_images()["head"].shape == (720, 1280, 3)


def test_a_robot_that_somebody_else_controls_is_not_connected() -> None:
    client = Astribot()
    client.has_rights = False
    with pytest.raises(RobotError, match="another program controls the robot"):
        MakersSdk(lambda: client).connect()


def test_a_command_that_the_client_would_ignore_is_an_error() -> None:
    sdk, client = connected()
    client.has_rights = False
    with pytest.raises(RobotError, match="another program controls the robot"):
        sdk.set_joints_position(["astribot_head"], [[0.0, 0.5]], control_way="direct", use_wbc=False)
    client.has_rights = True
    sdk.set_joints_position(["astribot_head"], [[0.0, 0.5]], control_way="direct", use_wbc=False)
    sdk.stop()
    with pytest.raises(RobotError, match="after stop"):
        sdk.set_joints_position(["astribot_head"], [[0.0, 0.5]], control_way="direct", use_wbc=False)
    assert (client.body.commands, client.body.refusals) == (1, [])
    sdk.close()


def test_cameras_that_do_not_come_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makers_sdk, "ACTIVE_S", 0.2)
    client = Astribot()
    client.active_after = 1_000_000
    with pytest.raises(
        RobotError, match="the cameras head_rgbd, left_wrist_rgbd, right_wrist_rgbd are not active"
    ):
        MakersSdk(lambda: client).connect()


def test_a_stop_ends_the_wait_for_cameras() -> None:
    client = Astribot()
    client.active_after = 1_000_000
    sdk = MakersSdk(lambda: client)
    sdk.stop()
    with pytest.raises(RobotError, match="are not active"):
        sdk.connect()
    assert 1_000_000 - client.active_after < 10  # it did not look for ten seconds


def test_nothing_works_before_it_is_connected() -> None:
    sdk = MakersSdk(Astribot)
    with pytest.raises(RobotError, match=r"before connect\(\)"):
        sdk.get_current_joints_position(["astribot_head"])
    sdk.stop()


@pytest.mark.parametrize("place", PLACES)
def test_the_makers_class_is_found_where_its_versions_have_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(place)
    module.Astribot = Astribot  # type: ignore[attr-defined] # a module made here
    for end in range(1, len(place.split("."))):
        monkeypatch.setitem(sys.modules, ".".join(place.split(".")[:end]), ModuleType("package"))
    monkeypatch.setitem(sys.modules, place, module)
    robot = load_robot("astribot", {"sdk": "maker", "limits_confirmed": True})
    robot.connect()
    assert robot.read_state().shape == (25,)
    robot.close()


def test_without_the_makers_sdk_a_sentence_says_what_is_needed() -> None:
    robot = make_astribot_robot(sdk="maker", limits_confirmed=True)
    with pytest.raises(
        RobotError, match=r"the maker's SDK is not on this machine: wanted a module core\.astribot_api"
    ):
        robot.connect()


def test_it_has_every_method_of_an_sdk() -> None:
    assert all(callable(getattr(MakersSdk, name)) for name in METHODS)
    client: MakersClient = Astribot()
    assert client.get_control_rights_status()
