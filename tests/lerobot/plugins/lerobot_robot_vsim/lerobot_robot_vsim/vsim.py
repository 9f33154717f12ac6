"""A simulated six-joint follower arm that moves in real time, and cameras that show where it is."""

import json
import time
from functools import cached_property

import numpy as np
from lerobot.cameras.camera import Camera
from lerobot.robots.robot import Robot

from lerobot_robot_vsim.config_vsim import VSimCameraConfig, VSimConfig

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
BASE = ("x.vel", "theta.vel")
SPEED = 200.0
"""Units per second that a joint moves at most."""

HANG_S = 5.0
"""Longer than a watchdog waits for a call to come back."""


class Arm:
    """Six joints that follow their goals at a bounded speed, and the velocities of a base."""

    def __init__(self) -> None:
        self.position = np.zeros(len(JOINTS))
        self.goal = np.zeros(len(JOINTS))
        self.base = dict.fromkeys(BASE, 0.0)
        self._moved_s = time.monotonic()

    def advance(self) -> None:
        """Move as far as the time since the last call allows."""
        now_s = time.monotonic()
        reach = SPEED * (now_s - self._moved_s)
        self.position = self.position + np.clip(self.goal - self.position, -reach, reach)
        self._moved_s = now_s


class VSimCamera(Camera):
    """Shows the joints as six bars: the brighter, the further a joint has turned; with noise."""

    def __init__(self, config: VSimCameraConfig, arm: Arm) -> None:
        super().__init__(config)
        self._config = config
        self._arm = arm
        self._frames = 0
        self._noise = np.random.default_rng(0)
        self._is_connected = False

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @staticmethod
    def find_cameras() -> list[dict]:
        return []

    def connect(self, warmup: bool = True) -> None:
        self._is_connected = True

    def read(self) -> np.ndarray:
        if not self._is_connected:
            raise ConnectionError("the camera is not connected")
        hangs_after = self._config.hangs_after
        if hangs_after is not None and self._frames >= hangs_after:
            raise TimeoutError("the latest frame is too old")
        self._frames += 1
        bars = np.clip(128 + self._arm.position, 0, 255).astype(np.uint8)
        row = np.repeat(bars, -(-self._config.width // len(JOINTS)))[: self._config.width]
        frame = np.zeros((self._config.height, self._config.width, 3), dtype=np.uint8)
        frame[..., 0] = row
        frame[..., 1] = 40 + self._noise.integers(0, 2, frame.shape[:2], dtype=np.uint8)
        return frame

    def async_read(self, timeout_ms: float = 200) -> np.ndarray:
        return self.read()

    def read_latest(self, max_age_ms: int = 500) -> np.ndarray:
        return self.read()

    def read_latest_depth(self, max_age_ms: int = 500) -> np.ndarray:
        """Return a wall one metre away that the first joint's turn brings nearer, with noise."""
        wall = 1000 - int(self._arm.position[0])
        noise = self._noise.integers(0, 3, (self._config.height, self._config.width, 1), dtype=np.uint16)
        return np.uint16(wall) + noise

    def disconnect(self) -> None:
        self._is_connected = False


class VSim(Robot):
    """The arm, as LeRobot drives one."""

    config_class = VSimConfig
    name = "vsim"

    def __init__(self, config: VSimConfig) -> None:
        super().__init__(config)
        self.config = config
        self.arm = Arm()
        self.cameras = {name: VSimCamera(camera, self.arm) for name, camera in config.cameras.items()}
        self._is_open = False
        self._readings = 0
        self._seen: dict = {}

    @property
    def _motors_ft(self) -> dict[str, type]:
        base = BASE if self.config.has_base else ()
        return dict.fromkeys((*(f"{joint}.pos" for joint in JOINTS), *base), float)

    @cached_property
    def observation_features(self) -> dict[str, type | tuple]:
        cameras = {name: (camera.height, camera.width, 3) for name, camera in self.config.cameras.items()}
        deep = {f"{n}_depth": (c.height, c.width, 1) for n, c in self.config.cameras.items() if c.use_depth}
        return {**self._motors_ft, **cameras, **deep}

    @cached_property
    def action_features(self) -> dict[str, type]:
        return self._motors_ft

    @property
    def is_connected(self) -> bool:
        return self._is_open and all(camera.is_connected for camera in self.cameras.values())

    @property
    def is_calibrated(self) -> bool:
        return self.config.is_calibrated

    def connect(self, calibrate: bool = True) -> None:
        self._is_open = True
        if calibrate and not self.is_calibrated:
            self.calibrate()
        for camera in self.cameras.values():
            camera.connect()
        self._note("connect")

    def calibrate(self) -> None:
        raise RuntimeError("a person would be asked to move the arm here")

    def configure(self) -> None:
        pass

    def get_observation(self) -> dict:
        self._check_open()
        self._readings += 1
        if self._readings == self.config.hangs_after:
            time.sleep(HANG_S)
        if self._is_past(self.config.fails_after):
            raise ConnectionError("no status packet")
        if self._is_past(self.config.freezes_after):
            return self._seen
        self.arm.advance()
        joints = {f"{joint}.pos": float(at) for joint, at in zip(JOINTS, self.arm.position, strict=True)}
        if self._is_past(self.config.lost_after):
            joints["shoulder_pan.pos"] = float("nan")
        base = self.arm.base if self.config.has_base else {}
        frames = {name: camera.read_latest() for name, camera in self.cameras.items()}
        deep = {f"{n}_depth": c.read_latest_depth() for n, c in self.cameras.items() if c._config.use_depth}
        self._seen = {**joints, **base, **frames, **deep}
        return self._seen

    def _is_past(self, readings: int | None) -> bool:
        return readings is not None and self._readings > readings

    def send_action(self, action: dict[str, float]) -> dict[str, float]:
        self._check_open()
        self.arm.advance()
        self.arm.goal = np.array([action[f"{joint}.pos"] for joint in JOINTS])
        if self.config.has_base:
            self.arm.base = {name: action[name] for name in BASE}
        self._note("action", action)
        return action

    def disconnect(self) -> None:
        self._check_open()
        self._is_open = False
        for camera in self.cameras.values():
            camera.disconnect()
        self._note("disconnect")

    def _check_open(self) -> None:
        if not self.is_connected:
            raise ConnectionError("the arm is not connected")

    def _note(self, event: str, action: dict[str, float] | None = None) -> None:
        if self.config.journal:
            with open(self.config.journal, "a", encoding="utf-8") as journal:
                plain = None if action is None else {name: float(value) for name, value in action.items()}
                told = {"event": event, "action": plain, "at_s": time.monotonic()}
                journal.write(json.dumps(told) + "\n")
