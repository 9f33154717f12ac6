"""Settings of single actions in a robot's mapping file."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from vagus.encodings import BinaryEncoding
from vagus.errors import ConfigError
from vagus.features import ActionFeature, ActionKind, FallbackMode, Limits
from vagus.settings_file import check_keys

__all__ = ["ActionSettings", "check_limit_keys"]


@dataclass(frozen=True, slots=True)
class ActionSettings:
    """Every setting of an action, by the action's name."""

    kinds: dict[str, ActionKind] = field(default_factory=dict)
    """Action → kind: position, velocity, delta, effort, binary."""
    limits: dict[str, Limits] = field(default_factory=dict)
    """Action → bounds: lower, upper, velocity, acceleration, jerk; those not given keep their default."""
    feedback: dict[str, str] = field(default_factory=dict)
    """Action → state feature that measures it; not named: the one of the same name."""
    unmeasured: tuple[str, ...] = ()
    """Actions that nothing measures, whatever names there are."""
    rotation: dict[str, str] = field(default_factory=dict)
    """Action → rotation group that it belongs to: "<name>:rotvec" or "<name>:quat_xyzw"."""
    continuous: tuple[str, ...] = ()
    """Actions that are an angle which turns on and on."""
    safe: dict[str, float] = field(default_factory=dict)
    """Action → what an effort is without a plan, and what a binary is before one."""
    encodings: dict[str, str] = field(default_factory=dict)
    """Binary action → how the policy writes it: unit, signed or logit; then, if needed, inverted,
    threshold=…, hysteresis=…."""
    fallback: dict[str, FallbackMode] = field(default_factory=dict)
    """Action → what it does without a plan: hold, repeat_last, zero or safe."""
    grippers: tuple[str, ...] = ()
    """Actions that hold things, whatever they are called."""
    no_grippers: tuple[str, ...] = ()
    """Actions that do not, whatever they are called."""
    vouch_unbounded: tuple[str, ...] = ()
    """Actions that may be driven though nothing bounds their speed."""
    vouch_unmeasured: tuple[str, ...] = ()
    """Positions that may be driven though nothing measures them."""

    def check_names(self, actions: Collection[str]) -> None:
        """Refuse settings of actions that there are not.

        Raises:
            ConfigError: as said.
        """
        for setting in dataclasses.fields(ActionSettings):
            given: Collection[str] = getattr(self, setting.name)
            unknown = sorted(set(given) - set(actions))
            if unknown:
                raise ConfigError(
                    f"mapping {setting.name}",
                    wanted=f"names of actions ({', '.join(actions)})",
                    got=", ".join(unknown),
                )
        both = sorted(set(self.grippers) & set(self.no_grippers))
        if both:
            raise ConfigError(
                "mapping grippers", wanted="none that stands in no_grippers too", got=", ".join(both)
            )

    def feature(
        self, name: str, unit: str, limits: Limits, *, kind: ActionKind | None = None
    ) -> ActionFeature:
        """Return an action with what the settings say of it.

        Args:
            name: of the action.
            unit: of the action.
            limits: where the settings give none.
            kind: unless the settings say another; None: position.

        Raises:
            SpecError: an encoding that is none.
        """
        encoding = self.encodings.get(name)
        is_gripper = True if name in self.grippers else None
        return ActionFeature(
            name=name,
            unit=unit,
            kind=self.kinds.get(name, kind or ActionKind.POSITION),
            feedback=self.feedback.get(name),
            limits=_with_defaults(self.limits.get(name, Limits()), limits),
            rotation=self.rotation.get(name),
            safe=self.safe.get(name),
            is_measured=name not in self.unmeasured,
            continuous=name in self.continuous,
            encoding=None if encoding is None else BinaryEncoding.parse(encoding),
            fallback=self.fallback.get(name),
            is_gripper=False if name in self.no_grippers else is_gripper,
            vouch_unbounded=name in self.vouch_unbounded,
            vouch_unmeasured=name in self.vouch_unmeasured,
        )


def check_limit_keys(table: Mapping[str, object]) -> None:
    """Refuse limits in a mapping file that there are not.

    Raises:
        ConfigError: as said, with the nearest.
    """
    limits = table.get("limits")
    for name, bounds in limits.items() if isinstance(limits, dict) else ():
        if isinstance(bounds, dict):
            check_keys("mapping", bounds, Limits, f"limits.{name}.")


def _with_defaults(given: Limits, default: Limits) -> Limits:
    stated = {
        bound.name: getattr(given, bound.name)
        for bound in dataclasses.fields(Limits)
        if getattr(given, bound.name) is not None
    }
    return dataclasses.replace(default, **stated)
