"""The simulated arm: six joints, two cameras, a target that moves when it was reached.

It keeps its own time: motion is integrated on a fixed grid up to the moment somebody looks, by its own clock.
It counts what it was sent apart from whoever limited it (`audit`). Like many drives it has no command
timeout: without commands it moves to the last setpoint and stays there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.demo.arm import ACTIONS, CAMERAS, STATE, Floats, random_target, tip_position
from vagus.demo.audit import Audit, CommandAudit
from vagus.demo.scene import Scene
from vagus.demo.servos import STEP_NS, Joints
from vagus.errors import RobotError
from vagus.specs import RobotSpec, check_positive
from vagus.types import ActionArray, FloatArray, Image

__all__ = ["SimReport", "SimRobot"]

TOLERANCE_M = 0.03
"""The target counts as reached when the tip is this near its centre: about its radius."""
DWELL_NS = NS_PER_S // 10
"""The tip must stay there this long; flying past does not count."""
LOOK_STEPS = 5
"""Grid steps between two looks at whether the target was reached: 10 ms."""
MIN_MOVE_M = 0.12
"""A new target is at least this far from the old one."""


@dataclass(frozen=True, slots=True)
class SimReport:
    """What happened since `connect`.

    Attributes:
        targets_reached: how often the tip came to rest on the target.
        reach_times_s: by the robot's clock, from a target's appearing to its being reached, for each reached.
        target_age_s: how long the present target has been there.
        tip_distance_m: from the tip to the present target.
        audit: commands it should not have been sent.
    """

    targets_reached: int
    reach_times_s: tuple[float, ...]
    target_age_s: float
    tip_distance_m: float
    audit: Audit


class SimRobot:
    """A six-joint arm in simulation; a `Robot`. All methods may be called from any thread."""

    def __init__(self, *, rate_hz: float = 100.0, seed: int = 0, clock: Clock | None = None) -> None:
        """Make it; nothing runs before `connect`.

        Args:
            rate_hz: commands per second that it expects.
            seed: decides where the targets appear.
            clock: its time; the machine's monotonic clock if not given.
        """
        check_positive("rate_hz", rate_hz)
        cameras = tuple(replace(camera.spec, may_repeat=True) for camera in CAMERAS)
        self._spec = RobotSpec("sim", ACTIONS, STATE, cameras, rate_hz)
        self._clock = MonotonicClock() if clock is None else clock
        self._random = np.random.default_rng(seed)
        self._scene = Scene()
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
        """Names, units, limits and cameras."""
        return self._spec

    @property
    def target(self) -> Floats:
        """Where the target is now, (3,), metres; for judging, no policy may look."""
        with self._lock:
            place: Floats = self._target.copy()
        return place

    def connect(self) -> None:
        """Start the robot's time; a second call changes nothing."""
        with self._lock:
            if not self._is_connected:
                self._is_connected = True
                self._connected_ns = self._clock.now_ns()

    def read_state(self) -> FloatArray:
        """Return the joints' true positions and velocities, (12,)."""
        with self._lock:
            self._advance("read_state")
            return np.concatenate([self._joints.position, self._joints.velocity]).astype(np.float32)

    def read_images(self) -> Mapping[str, Image]:
        """Return what both cameras see now; the frames are the caller's."""
        with self._lock:
            self._advance("read_images")
            joints, target = self._joints.position.copy(), self._target.copy()
        return self._scene.draw(joints, target)

    def command(self, action: ActionArray) -> None:
        """Take one setpoint, (6,), rad. What cannot be followed is counted and ignored."""
        sent = np.array(action, dtype=np.float64)
        with self._lock:
            now_ns = self._advance("command")
            measured = self._joints.position, self._joints.velocity
            if self._audit.admit(sent, now_ns, is_stopped=self._is_stopped, measured=measured):
                self._joints.drive_to(sent)

    def stop(self) -> None:
        """Brake to a stand; every later command is ignored and counted."""
        with self._lock:
            if self._is_connected:
                self._advance("stop")
            self._is_stopped = True
            self._joints.brake()

    def close(self) -> None:
        """Stop; the report stays readable."""
        self.stop()

    def push(self, change: Floats) -> None:
        """Move the joints by hand, (6,), rad, as a person does while the policy is paused."""
        with self._lock:
            self._advance("push")
            self._joints.push(np.array(change, dtype=np.float64))

    def report(self) -> SimReport:
        """Return what happened since `connect`."""
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

    def _advance(self, what: str) -> int:
        """Bring the joints to the present; return it. The lock is held."""
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
