"""Simulated robot of the demo: a six-joint arm, two cameras, and a target that moves after it was reached.

On demand it has a depth camera, too.

The motion is integrated on a fixed grid by the robot's own clock, up to the time of each call. Commands are
checked independently of the limiter (`audit`). Like many drives, the arm has no command timeout: without
commands, it moves to the last setpoint and stays there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.demo.arm import ACTIONS, CAMERAS, STATE, Floats, random_target, tip_position
from vagus.demo.audit import Audit, CommandAudit
from vagus.demo.depth import DEPTH_SPEC, DepthScene
from vagus.demo.scene import Scene
from vagus.demo.servos import STEP_NS, Joints
from vagus.errors import ConfigError, RobotError
from vagus.quoting import quoted
from vagus.specs import RobotSpec, check_positive
from vagus.types import ActionArray, FloatArray, Frame, Image

__all__ = ["SimReport", "SimRobot"]

TOLERANCE_M = 0.03
"""Distance of the tip from the target's centre at which the target counts as reached: about its radius."""
DWELL_NS = NS_PER_S // 10
"""Time that the tip must stay there; passing by does not count."""
LOOK_STEPS = 5
"""Grid steps between two checks whether the target was reached: 10 ms."""
MIN_MOVE_M = 0.12
"""Smallest distance of a new target from the old one."""


@dataclass(frozen=True, slots=True)
class SimReport:
    """Results since `connect`.

    Attributes:
        targets_reached: number of targets on which the tip came to rest.
        reach_times_s: time from the appearance of each reached target until it was reached, on the robot's
            clock.
        target_age_s: time since the present target appeared.
        tip_distance_m: distance from the tip to the present target.
        audit: counts of commands that should not have been sent.
    """

    targets_reached: int
    reach_times_s: tuple[float, ...]
    target_age_s: float
    tip_distance_m: float
    audit: Audit


class SimRobot:
    """Simulated six-joint arm, a `Robot`. All methods may be called from any thread."""

    def __init__(
        self, *, rate_hz: float = 100.0, seed: int = 0, depth: bool = False, clock: Clock | None = None
    ) -> None:
        """Make the robot; its time starts at `connect`.

        Args:
            rate_hz: expected commands per second.
            seed: seed of the target positions.
            depth: it has a depth camera "front_depth", (240, 320), in millimetres.
            clock: clock of the robot; default: the monotonic clock of the machine.

        Raises:
            SpecError: a rate that is none.
            ConfigError: `depth` is neither True nor False.
        """
        check_positive("rate_hz", rate_hz)
        if not isinstance(depth, bool):
            raise ConfigError("depth of robot 'sim'", wanted="true or false", got=quoted(repr(depth)))
        cameras = tuple(replace(camera.spec, may_repeat=True) for camera in CAMERAS)
        self._spec = RobotSpec("sim", ACTIONS, STATE, cameras, rate_hz, (DEPTH_SPEC,) if depth else ())
        self._clock = MonotonicClock() if clock is None else clock
        self._random = np.random.default_rng(seed)
        self._scene = Scene()
        self._depth = DepthScene() if depth else None
        self._lock = threading.Lock()
        self._joints = Joints()
        self._audit = CommandAudit(ACTIONS, 1.0 / rate_hz)
        self._is_connected = False
        self._is_stopped = False
        self._grid = 0
        """Grid steps integrated since `connect`."""
        self._connected_ns = 0
        self._target: Floats = random_target(self._random)
        self._target_since = 0
        """Grid step at which the target appeared."""
        self._near_since: int | None = None  # the tip is not at the target
        self._reach_times_s: list[float] = []

    @property
    def spec(self) -> RobotSpec:
        """Spec of the arm: names, units, limits and cameras."""
        return self._spec

    @property
    def target(self) -> Floats:
        """Present position of the target, (3,), metres; for evaluation only, not for a policy."""
        with self._lock:
            place: Floats = self._target.copy()
        return place

    def connect(self) -> None:
        """Start the robot's time; a second call does nothing."""
        with self._lock:
            if not self._is_connected:
                self._is_connected = True
                self._connected_ns = self._clock.now_ns()

    def read_state(self) -> FloatArray:
        """Return the joints' true positions and velocities, (12,)."""
        with self._lock:
            self._advance("read_state")
            return np.concatenate([self._joints.position, self._joints.velocity]).astype(np.float32)

    def draw(self) -> dict[str, Image]:
        """Return the present frames of the colour cameras, which the caller may change."""
        return self._scene.draw(*self._moment("draw"))

    def read_images(self) -> Mapping[str, Frame]:
        """Return the present frames of all cameras, which the caller may change."""
        joints, target = self._moment("read_images")
        frames: dict[str, Frame] = {**self._scene.draw(joints, target)}
        if self._depth is not None:
            frames[DEPTH_SPEC.name] = self._depth.measure(joints, target)
        return frames

    def command(self, action: ActionArray) -> None:
        """Set one setpoint, (6,), rad. A setpoint that cannot be followed is counted and ignored."""
        sent = np.array(action, dtype=np.float64)
        with self._lock:
            now_ns = self._advance("command")
            measured = self._joints.position, self._joints.velocity
            if self._audit.admit(sent, now_ns, is_stopped=self._is_stopped, measured=measured):
                self._joints.drive_to(sent)

    def stop(self) -> None:
        """Brake to a standstill; every later command is ignored and counted."""
        with self._lock:
            if self._is_connected:
                self._advance("stop")
            self._is_stopped = True
            self._joints.brake()

    def close(self) -> None:
        """Stop the robot; `report` still works."""
        self.stop()

    def push(self, change: Floats) -> None:
        """Move the joints by (6,) rad, as a person does by hand while the policy is paused."""
        with self._lock:
            self._advance("push")
            self._joints.push(np.array(change, dtype=np.float64))

    def report(self) -> SimReport:
        """Return the results since `connect`."""
        with self._lock:
            if self._is_connected:
                self._advance("report")
            distance = np.linalg.norm(tip_position(self._joints.position) - self._target)
            return SimReport(
                targets_reached=len(self._reach_times_s),
                reach_times_s=tuple(self._reach_times_s),
                target_age_s=_grid_s(self._grid - self._target_since),
                tip_distance_m=float(distance),
                audit=self._audit.report(),
            )

    def _moment(self, what: str) -> tuple[Floats, Floats]:
        """Return the present joint angles (6,) and the target's position (3,), which belong together."""
        with self._lock:
            self._advance(what)
            return self._joints.position.copy(), self._target.copy()

    def _advance(self, what: str) -> int:
        """Integrate the motion up to now; return this time. The caller holds the lock."""
        if not self._is_connected:
            raise RobotError(f"sim: {what}() before connect()")
        now_ns = self._clock.now_ns()
        due = (now_ns - self._connected_ns) // STEP_NS
        while self._grid < due:
            if self._joints.is_still() and not self._is_tip_on_target():
                self._near_since = None
                self._grid = due
                break
            self._joints.advance()
            self._grid += 1
            if self._grid % LOOK_STEPS == 0:
                self._look_for_success()
        return now_ns

    def _is_tip_on_target(self) -> bool:
        if self._is_stopped:
            return False
        distance: float = np.linalg.norm(tip_position(self._joints.position) - self._target)
        return distance <= TOLERANCE_M

    def _look_for_success(self) -> None:
        if not self._is_tip_on_target():
            self._near_since = None
            return
        if self._near_since is None:
            self._near_since = self._grid
        if (self._grid - self._near_since) * STEP_NS < DWELL_NS:
            return
        self._reach_times_s.append(_grid_s(self._grid - self._target_since))
        self._near_since = None
        self._target_since = self._grid
        self._target = self._next_target()

    def _next_target(self) -> Floats:
        while True:
            place = random_target(self._random)
            if np.linalg.norm(place - self._target) >= MIN_MOVE_M:
                return place


def _grid_s(steps: int) -> float:
    return steps * STEP_NS / NS_PER_S
