"""Entrants of a study: the policy, loaded once per set of settings; what cannot work is told first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from vagus.edge.client.handshake import Identity, open_message
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError
from vagus.policies.policy import Policy
from vagus.server.capabilities import loaded, unloaded
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy, load_model
from vagus.specs import PolicySpec, RobotSpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.trials.play_method import METHODS, PlayMethod, play_methods
from vagus.trials.study_run import Entrant
from vagus.wire.contract import check_fit

__all__ = ["StudyEntry", "chosen_methods", "config_for", "enter"]

RATE_TOLERANCE = 1e-3
"""Relative difference below which two rates count as equal."""
TRIAL = Identity("trial", "trial")


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """What takes part.

    Attributes:
        entrants: the ways of playing, each with its policy.
        plain: the policy as its operator set it up.
        notes: what is left out, and what is unusual but allowed.
    """

    entrants: tuple[Entrant, ...]
    plain: ServedPolicy[object]
    notes: tuple[str, ...]


def chosen_methods(names: Sequence[str]) -> list[PlayMethod]:
    """Return the methods with these names, for chunks of 16 actions; of none: all.

    Raises:
        ConfigError: an unknown name, or one that is there twice.
    """
    for name in names:
        if name not in METHODS:
            raise ConfigError("methods", wanted=f"some of {', '.join(METHODS)}", got=repr(name))
        if names.count(name) > 1:
            raise ConfigError("methods", wanted="each once", got=f"{name} twice")
    return [METHODS[name] for name in names or METHODS]


def enter(
    names: Sequence[str],
    config: ServeConfig,
    world: RobotSpec,
    open_policies: ExitStack,
    *,
    trust_units: bool,
) -> StudyEntry:
    """Return the entrants of a study.

    Args:
        names: methods that were asked for; none: all that this policy can.
        config: which policy, and its operator's settings.
        world: the robot in the world.
        open_policies: takes every policy that was loaded, and closes it.
        trust_units: whether units that one side does not state are taken on trust.

    Raises:
        ConfigError: an unknown method, a policy that cannot be served or lacks what a method needs, a rate
            that is not the world's.
        SpecError: actions, state or cameras of policy and world differ.
        PolicyError: the policy cannot be loaded.
    """
    chosen = [method.name for method in chosen_methods(names)]
    pool = _Pool(config, open_policies)
    plain = pool.served({}, {})
    methods = play_methods(plain.spec.horizon)
    _check_rate(plain.spec, world)
    notes = _check_specs(plain, world, trust_units=trust_units)
    entrants: list[Entrant] = []
    for name in chosen:
        found = _tried(methods[name], plain, pool, config)
        if isinstance(found, Entrant):
            entrants.append(found)
        elif names:
            raise found
        else:
            notes.append(f"left out: {found}")
    if not entrants:
        raise ConfigError("methods", wanted="one that this policy can play", got="; ".join(notes))
    return StudyEntry(tuple(entrants), plain, tuple(notes))


def config_for(
    config: ServeConfig, settings: Mapping[str, object], options: Mapping[str, str]
) -> ServeConfig:
    """Return the settings of a server for a way of playing.

    Args:
        config: as the policy's operator set it up.
        settings: of the way of playing, in place of the operator's.
        options: of the policy alone, beside the operator's.
    """
    changes = {**settings, "options": {**config.options, **options}}
    return replace(config, **changes)  # type: ignore[arg-type] # their types are those of its fields


class _Pool:
    """Loads the policy once for each set of settings."""

    def __init__(self, config: ServeConfig, open_policies: ExitStack) -> None:
        self._config = config
        self._open_policies = open_policies
        self._served: dict[str, ServedPolicy[object]] = {}

    def served(self, settings: Mapping[str, str | float], options: Mapping[str, str]) -> ServedPolicy[object]:
        """Return the policy with the settings and options of a method beside its operator's."""
        key = repr((sorted(settings.items()), sorted(options.items())))
        if key not in self._served:
            config = config_for(self._config, settings, options)
            policy: Policy[object] = load_model(config)
            self._open_policies.callback(policy.close)
            self._served[key] = ServedPolicy.of(policy, config)
        return self._served[key]


def _tried(
    method: PlayMethod, plain: ServedPolicy[object], pool: _Pool, config: ServeConfig
) -> Entrant | ConfigError:
    """Return a method with its policy, or what the policy lacks."""
    subject, fix = f"method {method.name}", "choose others with --methods"
    settings = {**method.policy, **method.options}
    if not settings:
        return Entrant(method, plain.policy, plain.spec)
    if method.uses_rtc and plain.spec.rtc is None:
        wanted = "a policy with real-time chunking"
        return ConfigError(subject, wanted=wanted, got=f"{config.policy}, which has none", fix=fix)
    try:
        served = pool.served(method.policy, method.options)
    except ConfigError as error:
        told = ", ".join(f"{name} {value}" for name, value in settings.items())
        return ConfigError(subject, wanted=f"a policy that takes {told}", got=str(error), fix=fix)
    return Entrant(method, served.policy, served.spec)


def _check_rate(policy: PolicySpec, world: RobotSpec) -> None:
    if math.isclose(policy.rate_hz, world.rate_hz, rel_tol=RATE_TOLERANCE):
        return
    raise ConfigError(
        "rate",
        wanted=f"a world of {policy.rate_hz:g} Hz, the rate of the policy's training",
        got=f"{world.rate_hz:g} Hz",
        fix=f"--world-options rate_hz {policy.rate_hz:g}, if that is what its steps are; or "
        f"--trained-rate-hz {world.rate_hz:g}, if the policy was trained at that rate",
    )


def _check_specs(served: ServedPolicy[object], world: RobotSpec, *, trust_units: bool) -> list[str]:
    """Check what a server checks before it lets a robot in; return warnings.

    Raises:
        SpecError: the two do not fit.
    """
    edge = EdgeConfig(rate_hz=world.rate_hz, trust_units=trust_units)
    config = ServeConfig(policy="trial")
    model, revision, name = config.service_parts
    known = loaded(unloaded(config, ServerKey(ServiceKey.of(model, revision, name), "trial")), served, ())
    asked = open_message(world, known, edge, TRIAL, instruction="", contract=None)
    return check_fit(asked, known, trust_units=trust_units)
