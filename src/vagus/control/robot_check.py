"""Refuses robots whose actions are not bounded or not measured, unless somebody vouches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from vagus.control.fallback import Fallbacks, check_fallbacks, check_names
from vagus.control.limits import Limiter
from vagus.errors import SpecError
from vagus.features import ActionFeature, is_blind, lacking_bounds, told_bounds
from vagus.specs import RobotSpec

__all__ = ["Admission", "admitted"]


def _as_flag(setting: str, names: Sequence[str]) -> str:
    return f"--{setting.replace('_', '-')} {' '.join(names)}"


@dataclass(frozen=True, slots=True)
class Admission:
    """Settings that admit a robot: fallbacks, and what the operator vouches for.

    Attributes:
        fallback: what is commanded without a plan.
        vouch_unbounded: actions that somebody vouches for though nothing bounds them.
        vouch_unmeasured: positions that somebody vouches for though nothing measures them.
        spelled: how the two settings are typed, by their name and the names of actions.
    """

    fallback: Fallbacks = field(default_factory=Fallbacks)
    vouch_unbounded: Collection[str] = ()
    vouch_unmeasured: Collection[str] = ()
    spelled: Callable[[str, Sequence[str]], str] = _as_flag


def admitted(spec: RobotSpec, admission: Admission) -> RobotSpec:
    """Return `spec` with what the operator vouches for marked in it.

    Raises:
        SpecError: an action that nothing bounds, or a position that nothing measures, and nobody vouches for
            it; a fallback that would keep the robot moving; limits that cannot be kept.
    """
    check_names("vouch_unbounded", admission.vouch_unbounded, spec.actions)
    check_names("vouch_unmeasured", admission.vouch_unmeasured, spec.actions)
    check_fallbacks(spec, admission.fallback)
    marked = replace(spec, actions=tuple(_marked(feature, admission) for feature in spec.actions))
    _check_vouched(marked, admission)
    Limiter(marked.actions, tick_s=1.0 / spec.rate_hz)  # refuses what it cannot keep
    return marked


def _marked(feature: ActionFeature, admission: Admission) -> ActionFeature:
    return replace(
        feature,
        vouch_unbounded=feature.vouch_unbounded or feature.name in admission.vouch_unbounded,
        vouch_unmeasured=feature.vouch_unmeasured or feature.name in admission.vouch_unmeasured,
    )


def _check_vouched(spec: RobotSpec, admission: Admission) -> None:
    unbounded = [f for f in spec.actions if lacking_bounds(f) and not f.vouch_unbounded]
    blind = [f for f in spec.actions if is_blind(f) and not f.vouch_unmeasured]
    if not unbounded and not blind:
        return
    got = [f"no {told_bounds(f)} for {f.name} ({f.kind.value})" for f in unbounded]
    got += [f"nothing that measures {f.name}" for f in blind]
    ways, typed = [], []
    if unbounded:
        ways.append(_way_to_bound(unbounded[0]))
        typed.append(admission.spelled("vouch_unbounded", [f.name for f in unbounded]))
    if blind:
        ways.append("name the state feature that measures it with feedback")
        typed.append(admission.spelled("vouch_unmeasured", [f.name for f in blind]))
    raise SpecError(
        f"robot {spec.robot_type}",
        wanted="a bound for every action, and a measurement of every position",
        got="; ".join(got),
        fix=f"{'; '.join(ways)}; or vouch for it: {' '.join(typed)}",
    )


def _way_to_bound(feature: ActionFeature) -> str:
    names = lacking_bounds(feature)
    in_spec = ", ".join(f"{name}=…" for name in names)
    in_file = ", ".join(f"{name}: …" for name in names)
    return (
        f"state limits=Limits({in_spec}) in the robot's spec, or "
        f"`limits: {{{feature.name}: {{{in_file}}}}}` in a mapping file"
    )
