"""A simulated Astribot S1 behind the SDK's methods, for trying and for tests.

Sizes, units, ends and the order of the parts are the real robot's, as far as these are public. It cannot
know masses, contacts, the robot's own filter (`control_way="filter"` acts as direct), whole-body control
(refused), and what the real SDK costs in time. It refuses aloud what the real SDK logs and ignores.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import RobotError
from vagus.integrations.astribot.layout import PARTS
from vagus.integrations.astribot.sdk import CONTROL_WAYS
from vagus.integrations.astribot.simulated_body import GRID_NS, Numbers, SimulatedBody
from vagus.integrations.astribot.simulated_cameras import SimulatedCameras
from vagus.types import Image

__all__ = ["SimulatedSdk"]

LONGEST_JITTER_S = 0.003
"""Longest time that a call takes more than another."""

LONGEST_ALONE_S = 60
"""Longest time that is made up for when nobody called: everything but a rolling chassis stands by then."""


class SimulatedSdk:
    """A simulated Astribot S1, an `AstribotSdk`. All methods may be called from any thread.

    Faults for tests: `hang` and `fail` a method, `freeze` the cameras, `lose` the connection, `push` a part.

    Args:
        chassis: what the chassis takes: a position, or a velocity that it keeps until the next.
        seed: of its jitter and of the cameras' noise.
        jitter_s: longest time that a call waits at random, seconds.
        clock: its time; default: the monotonic clock of the machine.
    """

    def __init__(
        self,
        *,
        chassis: Literal["position", "velocity"] = "position",
        seed: int = 0,
        jitter_s: float = LONGEST_JITTER_S,
        clock: Clock | None = None,
    ) -> None:
        self._clock = MonotonicClock() if clock is None else clock
        self._random = np.random.default_rng(seed)
        self._jitter_s = jitter_s
        self._lock = threading.Lock()
        self._body = SimulatedBody(chassis)
        self._cameras = SimulatedCameras(seed)
        self._camera_lock = threading.Lock()
        self._frozen: dict[str, Image] | None = None
        self._connected_ns: int | None = None
        self._grid = 0
        """Grid steps integrated since `connect`."""
        self._is_stopped = False
        self._is_lost = False
        self._hanging: str | None = None
        self._failing: str | None = None
        self._woken = threading.Event()
        self.commands = 0
        """Waypoints that were carried out."""
        self.refusals: list[str] = []
        """What was refused, in words."""

    # -- the SDK ----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Switch the body on; a second call does nothing."""
        self._begin_call("connect")
        with self._lock:
            if self._connected_ns is None:
                self._connected_ns = self._clock.now_ns()

    def get_current_joints_position(self, names: Sequence[str]) -> list[list[float]]:
        """Return the true numbers of the parts, a list for each."""
        self._begin_call("get_current_joints_position")
        with self._lock:
            self._advance("get_current_joints_position")
            return [self._body.position[PARTS[self._part(name)]].tolist() for name in names]

    def set_joints_position(
        self, names: Sequence[str], position: Sequence[Sequence[float]], *, control_way: str, use_wbc: bool
    ) -> None:
        """Follow a waypoint.

        Raises:
            RobotError: stopped or not connected, unknown parts, wrong lengths, NaN or infinity, another
                control way, whole-body control.
        """
        self._begin_call("set_joints_position")
        with self._lock:
            self._advance("set_joints_position")
            parts = [self._part(name) for name in names]
            self._check_command(parts, position, control_way, use_wbc=use_wbc)
            for part, numbers in zip(parts, position, strict=True):
                self._body.drive_to(part, np.array(numbers, np.float64))
            self.commands += 1

    def read_images(self) -> Mapping[str, Image]:
        """Return what the cameras see now, which the caller may change."""
        self._begin_call("read_images")
        with self._lock:
            self._advance("read_images")
            body, frozen = self._body.position.copy(), self._frozen
        with self._camera_lock:
            frames = frozen or self._cameras.draw(body)
        if frozen is not None:
            return {name: frame.copy() for name, frame in frozen.items()}
        return frames

    def stop(self) -> None:
        """Brake to a stand and refuse every later command."""
        with self._lock:
            if self._connected_ns is not None:
                self._integrate()
            self._is_stopped = True
            self._body.brake()

    def close(self) -> None:
        """Stop, and let go whoever hangs in a call."""
        self.stop()
        self._woken.set()

    # -- for tests --------------------------------------------------------------------------------------

    @property
    def body(self) -> Numbers:
        """True numbers of the body now, (25,)."""
        with self._lock:
            if self._connected_ns is not None:
                self._integrate()
            numbers: Numbers = self._body.position.copy()
        return numbers

    @property
    def is_standing(self) -> bool:
        """Whether the body was told to stop and moves no more."""
        with self._lock:
            if self._connected_ns is not None:
                self._integrate()
            return self._is_stopped and not self._body.velocity.any()

    def hang(self, method: str) -> None:
        """Let every later call of a method hang until `close`."""
        self._hanging = method

    def fail(self, method: str) -> None:
        """Let every later call of a method raise."""
        self._failing = method

    def freeze(self) -> None:
        """Let the cameras give the present frames for ever."""
        frames = dict(self.read_images())
        with self._lock:
            self._frozen = frames

    def lose(self) -> None:
        """Lose the connection: every later call but `stop` and `close` raises."""
        self._is_lost = True

    def push(self, part: str, numbers: Numbers) -> None:
        """Put a part elsewhere, as a person does by hand."""
        with self._lock:
            self._integrate()
            self._body.push(part, numbers)

    # -- parts ------------------------------------------------------------------------------------------

    def _begin_call(self, method: str) -> None:
        if self._hanging == method:
            self._woken.wait()
        if self._is_lost:
            raise RobotError(f"simulated astribot: {method}: the connection is lost")
        if self._failing == method:
            raise RobotError(f"simulated astribot: {method}: a driver reports an error")
        if self._jitter_s:
            with self._lock:
                wait_s = float(self._random.uniform(0.0, self._jitter_s))
            self._woken.wait(wait_s)

    def _advance(self, method: str) -> None:
        if self._connected_ns is None:
            raise RobotError(f"simulated astribot: {method}() before connect()")
        self._integrate()

    def _integrate(self) -> None:
        if self._connected_ns is None:
            return
        due = (self._clock.now_ns() - self._connected_ns) // GRID_NS
        for _ in range(min(due - self._grid, LONGEST_ALONE_S * NS_PER_S // GRID_NS)):
            self._body.advance()
        self._grid = max(due, self._grid)

    def _part(self, name: str) -> str:
        part = name.removeprefix("astribot_")
        if part == name or part not in PARTS:
            raise self._refused(f"wanted names of parts (astribot_torso, …), got {name!r}")
        return part

    def _check_command(
        self, parts: Sequence[str], position: Sequence[Sequence[float]], control_way: str, *, use_wbc: bool
    ) -> None:
        if self._is_stopped:
            raise self._refused("the robot is stopped, and this is a command")
        if control_way not in CONTROL_WAYS or use_wbc:
            wanted = f"a control way of {', '.join(CONTROL_WAYS)} without whole-body control"
            raise self._refused(f"wanted {wanted}, got {control_way!r}, use_wbc={use_wbc}")
        sizes = [PARTS[part].stop - PARTS[part].start for part in parts]
        if len(set(parts)) != len(parts) or [len(numbers) for numbers in position] != sizes:
            raise self._refused(
                f"wanted {sizes} numbers for {', '.join(parts)}, each part once, "
                f"got {[len(numbers) for numbers in position]}"
            )
        if not all(np.isfinite(numbers).all() for numbers in position):
            raise self._refused("wanted finite numbers, got NaN or infinity")

    def _refused(self, why: str) -> RobotError:
        self.refusals.append(why)
        return RobotError(f"simulated astribot: {why}")
