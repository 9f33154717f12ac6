"""Decorator that declares the inputs and outputs of a function, so that it can be served as a policy.

    import vagus

    @vagus.policy(actions={"x": "m"}, state={"x": "m"}, horizon=16, rate_hz=10, shared=True)
    def act(observation):
        return np.repeat(observation.state[None], 16, axis=0)

The function returns actions in the robot's units, (n, action_dim) with n up to the horizon. A function with a
second parameter gets the whole `Row`: step, prefix, delay, seed, and `row.session`, a dict that lasts for one
episode of one robot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from vagus.errors import ConfigError
from vagus.specs import (
    ActionFeature,
    ActionKind,
    BinaryEncoding,
    CameraSpec,
    DepthCameraSpec,
    PolicySpec,
    RtcSpec,
    StateFeature,
)

__all__ = ["PolicyDeclaration", "SpecTable", "declaration_of", "policy"]

ActT = TypeVar("ActT", bound=Callable[..., object])

DECLARED = "__vagus_policy__"


@dataclass(frozen=True, slots=True)
class SpecTable:
    """Spec of a policy of your own, as written in a manifest or in `@policy`."""

    actions: dict[str, str] = field(default_factory=dict)
    """Action name → unit, in order; empty: the policy has its own spec."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Action name → kind, for actions that are not positions: velocity, delta, effort, binary."""
    encodings: dict[str, str] = field(default_factory=dict)
    """Binary action → encoding: unit (0 to 1), signed (−1 to +1) or logit; then, if needed, inverted,
    threshold=…, hysteresis=…. Default: unit."""
    state: dict[str, str] = field(default_factory=dict)
    """State feature name → unit, in order."""
    cameras: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Camera name → height and width."""
    optional_cameras: tuple[str, ...] = ()
    """Cameras and depth cameras that the policy does not need."""
    depth_cameras: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Depth camera name → height and width; a robot's must have the same."""
    depth_units_per_m: float = 1000.0
    """Units of depth to the metre that the policy expects; 1000: millimetres. A robot's must be the same."""
    horizon: int = 1
    """Largest number of actions in a chunk."""
    rate_hz: float = 30.0
    """Policy steps per second."""
    prefix_horizon: int | None = None
    """Step up to which the policy continues `row.prefix` (real-time chunking); unset: it ignores the
    prefix."""
    instruction: str = ""
    """Instruction for robots that give none."""

    def to_spec(self) -> PolicySpec:
        """Return the policy spec.

        Raises:
            ConfigError: an unknown kind, or the kind of an action that does not exist.
            SpecError: sizes that make no sense, a unit that does not fit its kind, an encoding of no binary.
        """
        _check_known("kinds", self.kinds, "actions", self.actions)
        _check_known("encodings", self.encodings, "actions", self.actions)
        _check_known(
            "optional_cameras", self.optional_cameras, "cameras", [*self.cameras, *self.depth_cameras]
        )
        return PolicySpec(
            policy_type="callable",
            actions=tuple(
                ActionFeature(name, unit, kind=self._kind(name), encoding=self._encoding(name))
                for name, unit in self.actions.items()
            ),
            state=tuple(StateFeature(name, unit) for name, unit in self.state.items()),
            cameras=tuple(
                CameraSpec(name, *size, is_required=name not in self.optional_cameras)
                for name, size in self.cameras.items()
            ),
            horizon=self.horizon,
            model_dim=max(len(self.actions), 1),
            rate_hz=self.rate_hz,
            rtc=None if self.prefix_horizon is None else RtcSpec(self.prefix_horizon),
            default_instruction=self.instruction,
            depth_cameras=tuple(
                DepthCameraSpec(
                    name, *size, self.depth_units_per_m, is_required=name not in self.optional_cameras
                )
                for name, size in self.depth_cameras.items()
            ),
        )

    def _kind(self, name: str) -> ActionKind:
        kind = self.kinds.get(name, ActionKind.POSITION.value)
        try:
            return ActionKind(kind)
        except ValueError as error:
            choices = ", ".join(k.value for k in ActionKind)
            raise ConfigError(f"kind of {name}", wanted=f"one of {choices}", got=repr(kind)) from error

    def _encoding(self, name: str) -> BinaryEncoding | None:
        return BinaryEncoding.parse(self.encodings[name]) if name in self.encodings else None


def _check_known(setting: str, names: Iterable[str], what: str, known: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigError(setting, wanted=f"names of {what} ({list(known)})", got=f"{unknown}")


@dataclass(frozen=True, slots=True)
class PolicyDeclaration:
    """Declaration that `@policy` attaches to a function."""

    spec: PolicySpec
    version: str
    is_shared: bool
    weights_files: tuple[str, ...] | None = None


def policy(  # noqa: PLR0913 - each is one line of the user's decorator
    *,
    actions: Mapping[str, str],
    state: Mapping[str, str],
    horizon: int,
    rate_hz: float,
    cameras: Mapping[str, tuple[int, int]] | None = None,
    depth_cameras: Mapping[str, tuple[int, int]] | None = None,
    depth_units_per_m: float = 1000.0,
    kinds: Mapping[str, str] | None = None,
    encodings: Mapping[str, str] | None = None,
    prefix_horizon: int | None = None,
    instruction: str = "",
    version: str = "",
    shared: bool = False,
    weights_files: Sequence[str] | None = None,
) -> Callable[[ActT], ActT]:
    """Declare the inputs and outputs of a function, so that it can be served as a policy.

    Args:
        actions: action name → unit, in order.
        state: state feature name → unit, in order.
        horizon: largest number of actions that it returns.
        rate_hz: policy steps per second.
        cameras: camera name → (height, width).
        depth_cameras: depth camera name → (height, width); frames come as `observation.depth`, uint16.
        depth_units_per_m: units of depth to the metre; 1000: millimetres.
        kinds: action name → kind, for actions that are not "position".
        encodings: binary action → encoding: "unit" (the default), "signed" or "logit"; then, if needed,
            "inverted", "threshold=…", "hysteresis=…", in one text.
        prefix_horizon: step up to which it continues `row.prefix`; None: it ignores the prefix.
        instruction: instruction for robots that give none.
        version: part of the model's identity, besides code and weights; raise it for any other change.
        weights_files: files and folders that it reads, relative to its own folder; None: all files that
            Python opens until the end of the warm-up, without those that a library opens by itself
            (safetensors).
        shared: it keeps state only in `row.session`, so one process may serve many robots.
    """
    table = SpecTable(
        actions=dict(actions),
        kinds=dict(kinds or {}),
        encodings=dict(encodings or {}),
        state=dict(state),
        cameras=dict(cameras or {}),
        depth_cameras=dict(depth_cameras or {}),
        depth_units_per_m=depth_units_per_m,
        horizon=horizon,
        rate_hz=rate_hz,
        prefix_horizon=prefix_horizon,
        instruction=instruction,
    )
    files = None if weights_files is None else tuple(weights_files)
    declaration = PolicyDeclaration(table.to_spec(), version, shared, files)

    def declare(act: ActT) -> ActT:
        setattr(act, DECLARED, declaration)
        return act

    return declare


def declaration_of(thing: object) -> PolicyDeclaration | None:
    """Return the declaration that `@policy` attached to `thing`, or None."""
    declaration = getattr(thing, DECLARED, None)
    return declaration if isinstance(declaration, PolicyDeclaration) else None
