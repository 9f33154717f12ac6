"""Policies by name. A backend's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import cast

from vagus.errors import ConfigError
from vagus.import_path import Option, accepted_options, check_options
from vagus.installed import POLICIES, installed
from vagus.policies.callable import load_callable
from vagus.policies.policy import Policy
from vagus.specs import PolicySpec

__all__ = ["BACKENDS", "backend_module", "load_policy"]

BACKENDS: Mapping[str, str] = {
    "lerobot": "vagus.integrations.lerobot.policy.policy:LeRobotPolicy",
    "reach": "vagus.demo.reach:ReachPolicy",
}
"""Name → module:class. What a backend needs beyond the base package is in the extra of its name."""

LABELS = frozenset({"model", "revision"})
"""Settings that name what is served, and that a backend without a choice of weights need not take."""


def load_policy(
    name: str,
    *,
    options: Mapping[str, Option] | None = None,
    settings: Mapping[str, Option] | None = None,
    spec: PolicySpec | None = None,
    stated: Mapping[str, object] | None = None,
    backends: Mapping[str, str] = BACKENDS,
) -> Policy[object]:
    """Return the policy called `name`, loaded.

    Args:
        name: one of `backends`, a name that an installed package brings (entry point of the group
            `vagus.policies`), or a path to a policy of your own ("file.py:name", "package.module:name").
        options: keyword arguments of that backend's constructor.
        settings: keyword arguments that any backend may take (model, revision, dtype, device …).
        spec: what a function of your own wants and gives.
        stated: what the operator says of the model and its sources; given to a backend that asks for it.
        backends: name → module:class.

    Raises:
        ConfigError: an unknown name, a missing extra, or an option that the backend does not take.
        PolicyError: it cannot be loaded.
    """
    options, settings = options or {}, settings or {}
    if name not in backends:
        name = installed(POLICIES).get(name, name)
    if name not in backends and ":" in name:
        check_options(f"policy {name!r}", settings, LABELS)
        return load_callable(name, spec=spec, options=options)
    make = _constructor(name, backends)
    accepted, stated = accepted_options(make), stated or {}
    check_options(f"policy {name!r}", options, None if accepted is None else accepted - set(stated))
    check_options(f"policy {name!r}", settings, None if accepted is None else accepted | LABELS)
    given = {key: value for key, value in settings.items() if accepted is None or key in accepted}
    asked = {key: value for key, value in stated.items() if accepted is not None and key in accepted}
    return make(**given, **asked, **options)


def _constructor(name: str, backends: Mapping[str, str]) -> Callable[..., Policy[object]]:
    if name not in backends:
        choices = ", ".join(sorted({*backends, *installed(POLICIES)}))
        raise ConfigError(
            "policy", wanted=f"one of {choices}, or your own as file.py:name or package.module:name", got=name
        )
    place, _, attribute = backends[name].partition(":")
    return cast("Callable[..., Policy[object]]", getattr(backend_module(name, place), attribute))


def backend_module(name: str, place: str) -> ModuleType:
    """Return the module at `place`, which needs what backend `name` needs.

    Raises:
        ConfigError: that is not installed.
    """
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"policy {name!r}",
            wanted=f"the package {error.name}",
            got="an installation without it",
            fix=f'pip install "vagus[{name}]"',
        ) from error
