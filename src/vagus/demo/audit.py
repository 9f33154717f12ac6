"""Audit of the commands that a robot received, independent of the limiter.

A velocity is the change between two commands divided by one nominal tick, whatever their real distance in
time: a late command must not be a longer step. After `FRESH_START_TICKS` without a command, the sequence may
either continue or start again from the measured state (after a pause, or joints moved by hand): a command is
a violation only if neither fits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.demo.arm import Floats
from vagus.specs import ActionFeature

__all__ = ["Audit", "CommandAudit"]

TOLERANCE = 0.02
"""Share by which velocity and acceleration may exceed their limits, because feedback is float32."""
JERK_TOLERANCE = 0.10
POSITION_TOLERANCE = 1e-6
CHANGE_TOLERANCE = 1e-6
"""Change per tick that is never a violation: the resolution of float32 feedback."""
FRESH_START_TICKS = 1.5
WINDOW_TICKS = 10
"""Window of the burst check: more commands than this number plus one in as many ticks are a burst."""
CLOSE_TICKS = 0.3
CLOSE_REPEATS = 3
"""Number of close pairs of commands in a row that are a burst. A late command gives one close pair."""
EXAMPLES_EACH = 3


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts of commands that should not have been sent to a robot.

    Attributes:
        commands: commands received while connected, good or bad.
        position: commands outside the limits of a joint.
        velocity: commands too far from the previous command.
        acceleration: commands with a too large change of velocity.
        jerk: commands with a too large change of acceleration; not in `limit_violations`, because jerk has a
            lower priority in a limiter.
        burst: commands faster than the robot's rate.
        non_finite: commands with NaN or infinity.
        wrong_width: commands without exactly one number per action feature.
        after_stop: commands after `stop()`.
        worst_velocity: largest velocity, as a share of its limit.
        worst_acceleration: largest acceleration, as a share of its limit.
        examples: the first violations of each kind, as text.
    """

    commands: int
    position: int
    velocity: int
    acceleration: int
    jerk: int
    burst: int
    non_finite: int
    wrong_width: int
    after_stop: int
    worst_velocity: float
    worst_acceleration: float
    examples: tuple[str, ...]

    @property
    def limit_violations(self) -> int:
        """Number of violations of position, velocity and acceleration."""
        return self.position + self.velocity + self.acceleration

    @property
    def violations(self) -> int:
        """Number of all violations except jerk."""
        refused = self.non_finite + self.wrong_width + self.after_stop
        return self.limit_violations + self.burst + refused


@dataclass(frozen=True, slots=True)
class _Motion:
    """State of a command sequence: last position, and velocity and acceleration per tick."""

    position: Floats
    velocity: Floats
    acceleration: Floats | None  # None: the sequence is too short to tell

    def followed_by(self, action: Floats, tick_s: float) -> _Motion:
        velocity = (action - self.position) / tick_s
        return _Motion(action, velocity, (velocity - self.velocity) / tick_s)

    def is_same_as(self, other: _Motion) -> bool:
        """Return whether both motions lead to the same judgement of all later commands."""
        if self.acceleration is None or other.acceleration is None:
            return False
        return np.array_equal(self.velocity, other.velocity) and np.array_equal(
            self.acceleration, other.acceleration
        )


class CommandAudit:
    """Counter of violations in a sequence of commands. Not thread-safe."""

    def __init__(self, features: Sequence[ActionFeature], tick_s: float) -> None:
        self._width = len(features)
        self._tick_s = tick_s
        self._lower = _bounds([f.limits.lower for f in features], -math.inf)
        self._upper = _bounds([f.limits.upper for f in features], math.inf)
        self._velocity = _bounds([f.limits.velocity for f in features], math.inf)
        self._acceleration = _bounds([f.limits.acceleration for f in features], math.inf)
        self._jerk = _bounds([f.limits.jerk for f in features], math.inf)
        self._readings: list[_Motion] = []
        """How the sequence can be read; after a gap there are several, until two commands tell them apart."""
        self._received_ns: deque[int] = deque(maxlen=WINDOW_TICKS + 2)
        self._close_pairs = 0
        self._worst_velocity = 0.0
        self._worst_acceleration = 0.0
        self._examples: list[str] = []
        self._counts = dict.fromkeys(
            (
                "commands",
                "position",
                "velocity",
                "acceleration",
                "jerk",
                "burst",
                "non_finite",
                "wrong_width",
                "after_stop",
            ),
            0,
        )

    def report(self) -> Audit:
        """Return the counts so far."""
        return Audit(
            **self._counts,
            worst_velocity=self._worst_velocity,
            worst_acceleration=self._worst_acceleration,
            examples=tuple(self._examples),
        )

    def admit(
        self, action: Floats, now_ns: int, *, is_stopped: bool, measured: tuple[Floats, Floats]
    ) -> bool:
        """Check one command and count its violations; return whether the robot can follow it.

        Args:
            action: the command as it was sent, of any shape and content.
            now_ns: time of arrival on the robot's clock.
            is_stopped: whether `stop()` was called before.
            measured: position and velocity of the joints now, (action_dim,) each.
        """
        self._counts["commands"] += 1
        if is_stopped:
            return self._refuse("after_stop", "a command came after stop()")
        if action.shape != (self._width,):
            return self._refuse("wrong_width", f"shape {action.shape}, wanted ({self._width},)")
        if not np.isfinite(action).all():
            return self._refuse("non_finite", f"{action.tolist()}")
        gap_ticks = self._judge_timing(now_ns)
        self._judge_motion(np.array(action, dtype=np.float64), gap_ticks, measured)
        return True

    def _refuse(self, what: str, why: str) -> bool:
        self._count(what, why)
        return False

    def _count(self, what: str, why: str) -> None:
        self._counts[what] += 1
        if self._counts[what] <= EXAMPLES_EACH:
            self._examples.append(f"command {self._counts['commands']}: {what}: {why}")

    def _judge_timing(self, now_ns: int) -> float:
        """Count a burst; return the ticks since the last command."""
        received = self._received_ns
        gap_ticks = (now_ns - received[-1]) * 1e-9 / self._tick_s if received else math.inf
        received.append(now_ns)
        self._close_pairs = self._close_pairs + 1 if gap_ticks < CLOSE_TICKS else 0
        if self._close_pairs >= CLOSE_REPEATS:
            self._count("burst", f"{self._close_pairs + 1} commands less than {CLOSE_TICKS} ticks apart")
        elif len(received) == received.maxlen:
            span_ticks = (now_ns - received[0]) * 1e-9 / self._tick_s
            if span_ticks < WINDOW_TICKS:
                self._count("burst", f"{len(received)} commands in {span_ticks:.2f} ticks")
        return gap_ticks

    def _judge_motion(self, action: Floats, gap_ticks: float, measured: tuple[Floats, Floats]) -> None:
        beyond = float(np.max(np.maximum(self._lower - action, action - self._upper)))
        if beyond > POSITION_TOLERANCE:
            self._count("position", f"{beyond:.6f} beyond a bound in {action.tolist()}")
        begins = list(self._readings)
        if not begins or gap_ticks > FRESH_START_TICKS:
            position, velocity = (np.array(part, dtype=np.float64) for part in measured)
            begins += [_Motion(position, velocity, None), _Motion(position, np.zeros_like(velocity), None)]
        motions = [begin.followed_by(action, self._tick_s) for begin in begins]
        severities = [self._severity(motion) for motion in motions]
        kindest = int(np.argmin(severities))
        self._judge_change(motions[kindest], begins[kindest].acceleration)
        within = [m for m, severity in zip(motions, severities, strict=True) if severity <= 1 + TOLERANCE]
        self._readings = _distinct(within or [motions[kindest]])

    def _severity(self, motion: _Motion) -> float:
        return max(self._velocity_share(motion), self._acceleration_share(motion))

    def _velocity_share(self, motion: _Motion) -> float:
        slack = CHANGE_TOLERANCE / self._tick_s
        return float(np.max((np.abs(motion.velocity) - slack) / self._velocity))

    def _acceleration_share(self, motion: _Motion) -> float:
        if motion.acceleration is None:
            return 0.0
        slack = CHANGE_TOLERANCE / self._tick_s**2
        return float(np.max((np.abs(motion.acceleration) - slack) / self._acceleration))

    def _judge_change(self, motion: _Motion, acceleration_before: Floats | None) -> None:
        velocity, acceleration = self._velocity_share(motion), self._acceleration_share(motion)
        self._worst_velocity = max(self._worst_velocity, float(velocity))
        self._worst_acceleration = max(self._worst_acceleration, float(acceleration))
        if velocity > 1 + TOLERANCE:
            self._count("velocity", f"{velocity:.3f} of the limit")
        if acceleration > 1 + TOLERANCE:
            self._count("acceleration", f"{acceleration:.3f} of the limit")
        if motion.acceleration is None or acceleration_before is None:
            return
        jerk = np.abs(motion.acceleration - acceleration_before) / self._tick_s
        slack = CHANGE_TOLERANCE / self._tick_s**3
        if np.max((jerk - slack) / self._jerk) > 1 + JERK_TOLERANCE:
            self._counts["jerk"] += 1


def _distinct(motions: Sequence[_Motion]) -> list[_Motion]:
    """Return the motions without duplicates; two commands after a gap, all of them are the same."""
    kept: list[_Motion] = []
    for motion in motions:
        if not any(motion.is_same_as(other) for other in kept):
            kept.append(motion)
    return kept


def _bounds(values: Sequence[float | None], unset: float) -> Floats:
    return np.array([unset if value is None else value for value in values], dtype=np.float64)
