"""Robots of all kinds of actions at once: whatever is planned, measured and interrupted, the gate agrees."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vagus.control.gate import Gate
from vagus.control.motion import Motion
from vagus.control.robot_check import Admission, admitted
from vagus.conventions import first_meaningless, group_columns
from vagus.encodings import BinaryEncoding
from vagus.features import ActionFeature, ActionKind, FallbackMode, Limits, StateFeature
from vagus.specs import RobotSpec
from vagus.types import ActionArray, Directive, LinkState, MotionState, Provenance

UNITS = {
    ActionKind.POSITION: "m",
    ActionKind.VELOCITY: "m/s",
    ActionKind.DELTA: "m",
    ActionKind.EFFORT: "Nm",
    ActionKind.BINARY: "",
}
ENCODINGS = ("unit", "signed inverted", "logit", "unit threshold=0.9 hysteresis=0", "logit threshold=-3")
MODES = (
    MotionState.PLAYING,
    MotionState.PLAYING,
    MotionState.FALLBACK,
    MotionState.PAUSED,
    MotionState.WAITING,
)
TICKS = 50


class Robots:
    """Makes up robots, plans and readings."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def size(self, low: float, high: float) -> float:
        return float(10.0 ** self.rng.uniform(low, high))

    def rate(self, scale: float) -> float | None:
        return min(max(self.size(-4, 5) * scale, 1e-12), 1e12) if self.chance(0.7) else None

    def limits(self, kind: ActionKind) -> Limits:
        if kind is ActionKind.BINARY:
            return Limits()
        scale = self.size(-9, 8) if self.chance(0.3) else self.size(-3, 3)
        middle = scale * float(self.rng.choice([0.0, 1.0, 1000.0])) if kind is ActionKind.POSITION else 0.0
        lower = middle - scale if self.chance(0.6) else None
        upper = middle + scale * self.size(-1, 0) if self.chance(0.6) else None
        if kind in (ActionKind.DELTA, ActionKind.EFFORT):
            return Limits(lower, upper, self.rate(scale))
        velocity = self.rate(scale) if kind is ActionKind.POSITION else None
        acceleration = self.rate(scale)
        jerk = self.rate(scale) if acceleration is not None else None
        return Limits(lower, upper, velocity, acceleration, jerk)

    def axis(self, at: int) -> ActionFeature:
        kind = ActionKind(self.rng.choice([kind.value for kind in ActionKind]))
        limits, unit = self.limits(kind), UNITS[kind]
        is_turning = kind is ActionKind.POSITION and self.chance(0.4)
        if is_turning:
            unit = str(self.rng.choice(["rad", "deg", "rev"]))
            limits = Limits(None, None, limits.velocity, limits.acceleration, limits.jerk)
        is_binary = kind is ActionKind.BINARY
        return ActionFeature(
            f"f{at}",
            unit,
            kind,
            limits=limits,
            safe=0.0 if kind is ActionKind.EFFORT or (is_binary and self.chance(0.5)) else None,
            is_measured=self.chance(0.7),
            continuous=is_turning,
            encoding=BinaryEncoding.parse(str(self.rng.choice(ENCODINGS))) if is_binary else None,
            fallback=FallbackMode.REPEAT_LAST if kind is ActionKind.POSITION and self.chance(0.3) else None,
            is_gripper=True if kind is ActionKind.POSITION and self.chance(0.2) else None,
            vouch_unbounded=True,
            vouch_unmeasured=True,
        )

    def group(self, at: int) -> list[ActionFeature]:
        convention = str(self.rng.choice(["rotvec", "quat_xyzw", "quat_wxyz"]))
        limits = Limits(velocity=self.rate(1.0), acceleration=self.rate(1.0))
        is_measured = self.chance(0.7)
        return [
            ActionFeature(
                f"g{at}.{number}",
                "",
                limits=limits,
                rotation=f"g{at}:{convention}",
                is_measured=is_measured,
                vouch_unbounded=True,
                vouch_unmeasured=True,
            )
            for number in range(3 if convention == "rotvec" else 4)
        ]

    def robot(self) -> RobotSpec:
        actions: list[ActionFeature] = []
        for at in range(self.rng.integers(1, 5)):
            actions += self.group(at) if self.chance(0.3) else [self.axis(at)]
        state = tuple(StateFeature(feature.name, feature.unit) for feature in actions)
        rate_hz = float(self.rng.choice([0.01, 1.0, 30.0, 250.0, 10_000.0]))
        return admitted(RobotSpec("any", tuple(actions), state, (), rate_hz), Admission())

    def numbers(self, actions: tuple[ActionFeature, ...]) -> ActionArray:
        """Return numbers that a policy may plan and that a robot may measure, as float32 holds them."""
        while True:
            values = self.rng.normal(size=len(actions)) * self.size(-6, 6)
            if self.chance(0.3):
                values[:] = self.rng.choice(
                    [0.0, 1e-38, 3e38, -3e38, math.pi, -math.pi, 180.0, -0.5], size=len(actions)
                )
            for name, columns in group_columns(actions).items():
                one = self.rng.normal(size=len(columns))
                long = [1e-9, 0.1, math.pi, 8.0 * math.pi] if name.endswith("rotvec") else [1.0, -1.0, 0.51]
                values[columns] = one / np.linalg.norm(one) * self.rng.choice(long)
            values = values.astype(np.float32).astype(np.float64)
            if first_meaningless(actions, values[None]) is None:
                return values

    def directive(self, tick: int, spec: RobotSpec, mode: MotionState, *, reseed: bool) -> Directive:
        told = Provenance(1, 1, 0, 0, 0, 0, LinkState.STREAMING, mode)
        if mode is not MotionState.PLAYING:
            return Directive(mode, told, step_s=2.0 / spec.rate_hz, reseed=reseed)
        ends = [self.numbers(spec.actions), self.numbers(spec.actions) if self.chance(0.8) else None]
        begin, end = (0.0, 0.5) if tick % 2 else (0.5, 1.0)
        return Directive(
            *(mode, told, ends[0], ends[1]),
            begin=begin - (1.0 if self.chance(0.05) else 0.0),
            end=end,
            step_s=2.0 / spec.rate_hz,
            reseed=reseed,
        )


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**63 - 1))
@example(10320)
@example(11187)
def test_whatever_is_admitted_is_driven_without_a_fault_of_ours(seed: int) -> None:
    made = Robots(seed)
    spec = made.robot()
    motion = Motion(spec.actions, [f.name for f in spec.state], tick_s=1 / spec.rate_hz, max_limited_s=1e9)
    gate = Gate(spec.actions, tick_s=1 / spec.rate_hz)
    measured, mode = made.numbers(spec.actions), MotionState.PLAYING
    for tick in range(TICKS):
        if made.chance(0.1):
            mode = MODES[made.rng.integers(len(MODES))]
        if made.chance(0.1):
            measured = made.numbers(spec.actions)
        directive = made.directive(tick, spec, mode, reseed=tick == 0 or made.chance(0.05))
        reading = measured.astype(np.float32)
        command = motion.advance(directive, reading, is_trusted=made.chance(0.95))
        if command.action is not None:
            gate.check(command.action, command.begins_at)  # raises what would be a fault of ours
            measured = command.action if made.chance(0.5) else measured


def test_an_angle_beside_its_seam_may_miss_by_a_few_roundings() -> None:
    wheel = ActionFeature("wheel", "rev", continuous=True, limits=Limits(velocity=1e-12))
    gate = Gate([wheel], tick_s=1e-4)
    stands = -0.5 + 12.0 * np.finfo(np.float64).eps
    gate.check(np.array([stands]), np.array([stands]))
    gate.check(np.array([0.5]))  # nearer than its limiter can tell
