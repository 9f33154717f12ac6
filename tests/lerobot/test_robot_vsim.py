"""A third-party LeRobot robot, found by name and driven by a served policy."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_robot_vsim import VSim

from process.rig import rig_in
from vagus.cli.run_report import RunSummary
from vagus.control.config import LoopConfig
from vagus.control.loop_stats import EndReason
from vagus.errors import ConfigError, FrameError, RobotError
from vagus.import_path import Option
from vagus.integrations.lerobot import version as lerobot_version
from vagus.integrations.lerobot.robot.robot import LeRobotRobot
from vagus.robots.registry import load_robot
from vagus.specs import ActionKind, CameraSpec, DepthCameraSpec
from vsim_rig import GOAL, NAMES, STRIDE, UNITS, Towards, drive, events

TESTS = Path(__file__).parents[1]
BASE_UNITS = {"x.vel": "m/s", "theta.vel": "deg/s"}
MAPPING = """
units: {x.vel: m/s, theta.vel: deg/s}
limits:
  x.vel: {lower: -1, upper: 1, acceleration: 1}
  theta.vel: {lower: -90, upper: 90}
"""


def vsim(**options: Option) -> LeRobotRobot:
    robot = load_robot("lerobot:vsim", {"id": "sim", **options})
    assert isinstance(robot, LeRobotRobot)
    return robot


def device_of(robot: LeRobotRobot) -> VSim:
    device = robot._device
    assert isinstance(device, VSim)
    return device


def test_a_plug_in_is_found_by_its_name_and_says_what_it_is() -> None:
    spec = vsim().spec
    assert spec.robot_type == "vsim"
    assert {f.name: f.unit for f in spec.actions} == {f.name: f.unit for f in spec.state} == UNITS
    assert {f.kind for f in spec.actions} == {ActionKind.POSITION}
    assert spec.cameras == (CameraSpec("front", 48, 64),)


def test_another_release_of_lerobot_is_refused_unless_somebody_vouches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lerobot_version, "TESTED", ("0.5.9",))
    with pytest.raises(ConfigError, match="--options untested_lerobot true"):
        vsim()
    assert vsim(untested_lerobot=True).spec.robot_type == "vsim"


def test_a_served_policy_drives_it_in_its_own_names_with_what_its_camera_shows(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    robot, policy = vsim(journal=str(journal)), Towards()
    summary = drive(robot, policy, LoopConfig(duration_s=2.0))
    assert (summary.reason, summary.error, summary.camera_errors) == (EndReason.FINISHED, "", 0)
    told = events(journal)
    assert [told[0]["event"], told[-1]["event"]] == ["connect", "disconnect"]
    actions = [entry["action"] for entry in told if entry["event"] == "action"]
    assert len(actions) == summary.commands
    assert all(isinstance(a, dict) and list(a) == list(NAMES) for a in actions)
    assert all(type(value) is float for a in actions if isinstance(a, dict) for value in a.values())
    moved = np.array([list(a.values()) for a in actions if isinstance(a, dict)])
    assert moved.max() <= GOAL + 1e-6
    assert moved[-1].min() > 5 * STRIDE
    assert policy.images[0].shape == (48, 64, 3)
    reds = [int(image[0, 0, 0]) for image in policy.images]
    assert reds[-1] > reds[0]  # the arm is seen to move
    assert not device_of(robot).is_connected


def test_a_camera_that_hangs_costs_requests_but_not_the_joints() -> None:
    robot = vsim(cameras="{front: {type: vsim, fps: 30, width: 64, height: 48, hangs_after: 3}}")
    summary = drive(robot, Towards(), LoopConfig(duration_s=2.0))
    assert summary.reason is EndReason.FINISHED
    assert summary.camera_errors > 0
    assert summary.ticks >= 50  # state was read on every one of them


def test_depth_of_a_camera_comes_with_its_picture_in_millimetres() -> None:
    robot = vsim(cameras="{front: {type: vsim, fps: 30, width: 64, height: 48, use_depth: true}}")
    assert robot.spec.depth_cameras == (DepthCameraSpec("front_depth", 48, 64, 1000.0),)
    robot.connect()
    try:
        robot.read_state()
        frames = robot.read_images()
    finally:
        robot.close()
    assert sorted(frames) == ["front", "front_depth"]
    depth = frames["front_depth"]
    assert depth.shape == (48, 64)
    assert depth.dtype == np.uint16
    assert set(np.unique(depth).tolist()) == {1000, 1001, 1002}
    assert vsim().spec.depth_cameras == ()


def test_a_bus_that_fails_ends_the_run_and_the_arm_is_disconnected(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    robot = vsim(journal=str(journal), fails_after=30)
    summary = drive(robot, Towards(), LoopConfig(duration_s=20.0))
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "lerobot:vsim get_observation: ConnectionError: no status packet" in summary.error
    assert events(journal)[-1]["event"] == "disconnect"
    assert not device_of(robot).is_connected


def test_a_driver_that_repeats_its_last_reading_ends_the_run_at_rest(tmp_path: Path) -> None:
    journal, mapping = tmp_path / "journal", tmp_path / "base.yaml"
    mapping.write_text(MAPPING)
    robot = vsim(has_base=True, mapping=str(mapping), journal=str(journal), freezes_after=30)
    kinds = dict.fromkeys(BASE_UNITS, "velocity")
    summary = drive(robot, Towards({**UNITS, **BASE_UNITS}, kinds), LoopConfig(duration_s=20.0))
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "lerobot:vsim get_observation: nothing new for" in summary.error
    assert events(journal)[-1]["event"] == "disconnect"
    last = events(journal)[-2]["action"]
    assert isinstance(last, dict)
    assert (last["x.vel"], last["theta.vel"]) == (0.0, 0.0)


def test_an_arm_that_is_not_calibrated_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    robot = vsim(journal=str(journal), is_calibrated=False)
    summary = drive(robot, Towards(), LoopConfig(duration_s=20.0))
    assert summary.reason is EndReason.ROBOT_ERROR
    assert "lerobot-calibrate" in summary.error
    assert [entry["event"] for entry in events(journal)] == ["connect", "disconnect"]


def test_a_base_is_commanded_to_rest_by_stop_and_the_arm_stays_where_it_was_sent(tmp_path: Path) -> None:
    mapping = tmp_path / "base.yaml"
    mapping.write_text(MAPPING)
    journal = tmp_path / "journal"
    robot = vsim(has_base=True, mapping=str(mapping), journal=str(journal))
    assert {f.name: f.unit for f in robot.spec.actions} == {**UNITS, **BASE_UNITS}
    assert [f.kind for f in robot.spec.actions[6:]] == [ActionKind.VELOCITY] * 2
    robot.connect()
    robot.command(np.arange(8.0))
    robot.stop()
    robot.stop()
    with pytest.raises(RobotError, match="after stop"):
        robot.command(np.zeros(8))
    robot.close()
    robot.close()
    sent = [list(entry["action"].values()) for entry in events(journal) if isinstance(entry["action"], dict)]
    assert sent == [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 0, 0]]


def test_stop_sends_nothing_to_an_arm_and_nothing_before_the_first_command(tmp_path: Path) -> None:
    both: tuple[dict[str, Option], ...] = ({}, {"has_base": True})
    for options in both:
        journal = tmp_path / f"journal{len(options)}"
        robot = vsim(journal=str(journal), **options)
        robot.connect()
        if not options:
            robot.command(np.zeros(6))
        robot.stop()
        robot.close()
        wanted = ["connect", "disconnect"] if options else ["connect", "action", "disconnect"]
        assert [entry["event"] for entry in events(journal)] == wanted


def test_a_base_whose_bus_fails_in_stop_is_tried_again_and_disconnected() -> None:
    robot = vsim(has_base=True)
    robot.connect()
    robot.command(np.ones(8))
    arm = device_of(robot)
    arm._is_open = False
    with pytest.raises(RobotError, match="send_action"):
        robot.stop()
    arm._is_open = True
    robot.stop()
    assert arm.arm.base == {"x.vel": 0.0, "theta.vel": 0.0}
    robot.close()
    assert not arm.is_connected


def test_the_cameras_are_back_in_the_robot_and_closed_after_close() -> None:
    robot = vsim()
    robot.connect()
    arm = device_of(robot)
    assert arm.cameras == {}
    assert set(robot.read_images()) == {"front"}
    robot.close()
    assert [camera.is_connected for camera in arm.cameras.values()] == [False]
    robot.connect()
    assert robot.read_images()["front"].shape == (48, 64, 3)
    robot.close()


def test_a_robot_whose_cameras_cannot_be_taken_shows_what_it_saw_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    robot = vsim()
    cameras = device_of(robot).cameras
    monkeypatch.setattr(VSim, "cameras", property(lambda _: cameras), raising=False)
    robot.connect()
    with pytest.raises(RobotError, match="camera front"):
        robot.read_images()
    robot.read_state()
    assert robot.read_images()["front"].shape == (48, 64, 3)
    robot.close()
    assert not cameras["front"].is_connected


def test_a_frame_of_another_size_is_no_frame() -> None:
    robot = vsim()
    robot.connect()
    device_of(robot)
    taken = robot._cameras["front"]
    taken._config.height = 50  # type: ignore[attr-defined] # of the simulated camera
    with pytest.raises(
        FrameError, match=r"camera 'front': wanted \(48, 64, 3\) uint8 RGB, got \(50, 64, 3\)"
    ):
        robot.read_images()
    robot.close()


def test_nothing_is_read_or_commanded_before_connect() -> None:
    robot = vsim()
    for call in (robot.read_state, robot.read_images, lambda: robot.command(np.zeros(6))):
        with pytest.raises(RobotError, match="before connect"):
            call()
    robot.stop()
    robot.close()


def test_state_and_images_are_read_at_the_same_time() -> None:
    robot = vsim()
    robot.connect()
    stop = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(robot.read_images()["front"].size)

    thread = threading.Thread(target=look)
    thread.start()
    for at in range(300):
        robot.command(np.full(6, at / 10))
        assert np.isfinite(robot.read_state()).all()
    stop.set()
    thread.join()
    robot.close()
    assert seen
    assert set(seen) == {48 * 64 * 3}


@pytest.mark.process
def test_vagus_run_drives_and_records_it_over_a_real_network(tmp_path: Path) -> None:
    journal, root = tmp_path / "journal", tmp_path / "set"
    camera = ("type", "vsim", "fps", "30", "width", "64", "height", "48")
    dotted = [f"cameras.front.{c}" if at % 2 == 0 else c for at, c in enumerate(camera)]
    with rig_in(tmp_path) as rig:
        rig.serve(policy=f"{TESTS / 'vsim_rig.py'}:Towards")
        robot = ("--robot", "lerobot:vsim", "--options", "id", "sim", "journal", str(journal), *dotted)
        record = ("--record.format", "lerobot", "--record", str(root), "--instruction", "reach")
        done = rig.call("run", *robot, *record, "--name", "arm", "--duration-s", "3", "--json", timeout_s=120)
    assert done.returncode == 0, done.stderr
    said = msgspec.json.decode(done.stdout.splitlines()[-1], type=RunSummary)
    assert (said.reason, said.camera_errors, said.recording) == ("finished", 0, str(root))
    told = events(journal)
    assert [told[0]["event"], told[-1]["event"]] == ["connect", "disconnect"]
    assert sum(entry["event"] == "action" for entry in told) == said.commands
    dataset = LeRobotDataset("local/set", root=root)
    assert (dataset.num_episodes, dataset[0]["task"]) == (1, "reach")
    assert dataset.num_frames >= 0.7 * said.plan_actions
