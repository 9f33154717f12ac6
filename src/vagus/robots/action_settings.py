"""Settings of actions in the mapping file of a robot."""

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
    """Settings of actions, by action name."""

    kinds: dict[str, ActionKind] = field(default_factory=dict)
    """Action → kind: position, velocity, delta, effort, binary."""
    limits: dict[str, Limits] = field(default_factory=dict)
    """Action → limits: lower, upper, velocity, acceleration, jerk; a limit not given keeps its default."""
    feedback: dict[str, str] = field(default_factory=dict)
    """Action → state feature that measures it; default: the state feature of the same name."""
    unmeasured: tuple[str, ...] = ()
    """Actions that no state feature measures, even if one has the same name."""
    rotation: dict[str, str] = field(default_factory=dict)
    """Action → rotation group that it belongs to: "<name>:rotvec" or "<name>:quat_xyzw"."""
    continuous: tuple[str, ...] = ()
    """Actions that are an angle without end stops."""
    safe: dict[str, float] = field(default_factory=dict)
    """Action → value of an effort while there is no plan, or of a binary before the first plan."""
    encodings: dict[str, str] = field(default_factory=dict)
    """Binary action → encoding in the policy: unit, signed or logit; then, if needed, inverted, threshold=…,
    hysteresis=…."""
    fallback: dict[str, FallbackMode] = field(default_factory=dict)
    """Action → fallback while there is no plan: hold, repeat_last, zero or safe."""
    grippers: tuple[str, ...] = ()
    """Actions that are grippers, whatever their names are."""
    no_grippers: tuple[str, ...] = ()
    """Actions that are no grippers, whatever their names are."""
    held: tuple[str, ...] = ()
    """Positions that stay where they are measured, whatever a policy says; their ends are not used."""
    averaged_ticks: dict[str, int] = field(default_factory=dict)
    """Position → targets of the plan whose mean is commanded; each two more add a tick of lag."""
    ready: dict[str, float] = field(default_factory=dict)
    """Position → place to which it moves before an episode (`--move-to-ready`)."""
    vouch_unbounded: tuple[str, ...] = ()
    """Actions that may be commanded although nothing limits their speed."""
    vouch_unmeasured: tuple[str, ...] = ()
    """Positions that may be commanded although nothing measures them."""

    def check_names(self, actions: Collection[str]) -> None:
        """Raise ConfigError for settings of an action that the robot does not have.

        Raises:
            ConfigError: an unknown action, or one in both `grippers` and `no_grippers`.
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
        """Return an action feature with its settings.

        Args:
            name: name of the action.
            unit: unit of the action.
            limits: limits for which the settings give no value.
            kind: kind, unless the settings give another; None: position.

        Raises:
            SpecError: an unknown encoding.
        """
        encoding = self.encodings.get(name)
        is_gripper = True if name in self.grippers else None
        is_held = name in self.held
        bounds = _with_defaults(self.limits.get(name, Limits()), limits)
        return ActionFeature(
            name=name,
            unit=unit,
            kind=self.kinds.get(name, kind or ActionKind.POSITION),
            feedback=self.feedback.get(name),
            limits=dataclasses.replace(bounds, lower=None, upper=None) if is_held else bounds,
            rotation=self.rotation.get(name),
            safe=self.safe.get(name),
            is_measured=name not in self.unmeasured,
            continuous=name in self.continuous,
            encoding=None if encoding is None else BinaryEncoding.parse(encoding),
            fallback=self.fallback.get(name),
            is_gripper=False if name in self.no_grippers else is_gripper,
            is_held=is_held,
            ready=self.ready.get(name),
            averaged_ticks=self.averaged_ticks.get(name, 1),
            vouch_unbounded=name in self.vouch_unbounded,
            vouch_unmeasured=name in self.vouch_unmeasured,
        )


def check_limit_keys(table: Mapping[str, object]) -> None:
    """Raise ConfigError for a limit in a mapping file that does not exist.

    Raises:
        ConfigError: an unknown limit; the error names the nearest ones.
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
