"""Policies by name. A backend's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from types import ModuleType
from typing import cast

from vagus.errors import ConfigError
from vagus.import_path import Option, accepted_options, check_options, load_brought, load_named
from vagus.installed import POLICIES, installed
from vagus.policies.callable import load_callable, policy_of
from vagus.policies.options import OptionValue, options_type_of, read_options
from vagus.policies.policy import Policy
from vagus.specs import PolicySpec

__all__ = [
    "ADDRESSES",
    "BACKENDS",
    "BACKEND_OPTIONS",
    "SERVERS",
    "SERVER_OPTIONS",
    "check_backend_options",
    "check_places",
    "found_policy",
    "is_address",
    "load_policy",
    "options_of",
]

BACKENDS: Mapping[str, str] = {
    "gates": "vagus.demo.gates:GatesPolicy",
    "lerobot": "vagus.integrations.lerobot.policy.policy:LeRobotPolicy",
    "pointact-echo": "vagus.integrations.pointact.echo:EchoPolicy",
    "reach": "vagus.demo.reach:ReachPolicy",
}
"""Name → module:class. What a backend needs beyond the base package is in the extra of its name."""

BACKEND_OPTIONS: Mapping[str, str] = {
    "gates": "vagus.demo.gates_options:GatesOptions",
    "lerobot": "vagus.integrations.lerobot.policy.options:LeRobotOptions",
    "pointact-echo": "vagus.integrations.pointact.echo_options:EchoOptions",
    "reach": "vagus.demo.reach_options:ReachOptions",
}
"""Name → module:class of the backend's own settings, a frozen dataclass; it needs no framework."""

SERVERS: Mapping[str, tuple[str, str]] = {
    "openpi+ws": ("openpi", "vagus.integrations.openpi.policy:OpenPiPolicy"),
    "openpi+wss": ("openpi", "vagus.integrations.openpi.policy:OpenPiPolicy"),
    "gr00t+tcp": ("gr00t", "vagus.integrations.gr00t.policy:Gr00tPolicy"),
    "pointact+tcp": ("pointact", "vagus.integrations.pointact.policy:load_pointact"),
    "pointact+http": ("pointact", "vagus.integrations.pointact.policy:load_pointact"),
    "lerobot+grpc": ("lerobot-grpc", "vagus.integrations.lerobot_grpc.policy:LeRobotGrpcPolicy"),
    "astribot+grpc": ("astribot", "vagus.integrations.astribot.policy:AstribotPolicy"),
    "astribot_lerobot+grpc": ("astribot", "vagus.integrations.astribot.policy:AstribotPolicy"),
    "lerobot+zenoh": ("lerobot-zenoh", "vagus.integrations.lerobot_zenoh.policy:LeRobotZenohPolicy"),
    "lerobot_draft+zenoh": (
        "lerobot-zenoh",
        "vagus.integrations.lerobot_zenoh.draft_policy:LeRobotDraftPolicy",
    ),
}
"""Scheme of an address of a foreign policy server → extra that it needs, and module:class."""

SERVER_OPTIONS: Mapping[str, str] = {
    "openpi+ws": "vagus.integrations.openpi.options:OpenPiOptions",
    "openpi+wss": "vagus.integrations.openpi.options:OpenPiOptions",
    "gr00t+tcp": "vagus.integrations.gr00t.options:Gr00tOptions",
    "pointact+tcp": "vagus.integrations.pointact.options:PointActOptions",
    "pointact+http": "vagus.integrations.pointact.options:PointActOptions",
    "lerobot+grpc": "vagus.integrations.lerobot_grpc.options:LeRobotGrpcOptions",
    "astribot+grpc": "vagus.integrations.astribot.options:AstribotOptions",
    "astribot_lerobot+grpc": "vagus.integrations.astribot.options:AstribotOptions",
    "lerobot+zenoh": "vagus.integrations.lerobot_zenoh.options:LeRobotZenohOptions",
    "lerobot_draft+zenoh": "vagus.integrations.lerobot_zenoh.draft_options:LeRobotDraftOptions",
}
"""The same → module:class of its settings; it needs no extra."""

REPLAY = "replay:"
"""Prefix of a policy that plays recorded data: replay:PATH, or replay:PATH#episode=3."""
REPLAY_POLICY = "vagus.replay.policy"
REPLAY_OPTIONS = "vagus.replay.options:ReplayOptions"

ADDRESSES = ", ".join(f"{scheme}://host:port" for scheme in SERVERS)

LABELS = frozenset({"model", "revision"})
"""Settings that name what is served, and that a backend without a choice of weights need not take."""
CHUNKING = frozenset({"rtc_schedule", "rtc_max_guidance"})
"""Settings that the constructor of a policy of your own gets beside its options."""


def load_policy(  # noqa: PLR0913 - settings, each with a default
    name: str,
    *,
    options: Mapping[str, OptionValue] | None = None,
    settings: Mapping[str, Option] | None = None,
    spec: PolicySpec | None = None,
    stated: Mapping[str, object] | None = None,
    thing: object | None = None,
    backends: Mapping[str, str] = BACKENDS,
) -> Policy[object]:
    """Return the policy called `name`, loaded.

    Args:
        name: one of `backends`, a name that an installed package brings (entry point of the group
            `vagus.policies`), the address of a foreign server (openpi+ws://host:8000), recorded data
            (replay:PATH), or a path to a policy of your own ("file.py:name", "package.module:name").
        options: the policy's own settings: fields of the dataclass `options_type` of its class, or else
            arguments of its constructor.
        settings: keyword arguments that any backend may take (model, revision, dtype, device …).
        spec: what a function of your own wants and gives.
        stated: what the operator says of the model and its sources; given to a backend that asks for it.
        thing: the policy itself, where a program has it at hand; `name` is its name for messages then.
        backends: name → module:class.

    Raises:
        ConfigError: an unknown name, a missing extra, or an option that the backend does not take.
        PolicyError: it cannot be loaded.
    """
    options, settings = options or {}, settings or {}
    if thing is not None:
        return policy_of(thing, spec=spec, options=_own_options(name, options, settings))
    if (is_recorded := name.startswith(REPLAY)) or is_address(name):
        if spec is not None:
            whose = "a recording: it says it itself" if is_recorded else "an address: its profile says it"
            raise ConfigError("spec", wanted=f"none with {whose}", got="one")
        load = _load_recorded if is_recorded else _load_server
        return load(name, options, settings)
    if name not in backends:
        name = installed(POLICIES).get(name, name)
    if name not in backends and ":" in name:
        return load_callable(name, spec=spec, options=_own_options(name, options, settings))
    make = _constructor(name, backends)
    accepted, stated, kind = accepted_options(make), stated or {}, options_type_of(make)
    if kind is None:
        own: Mapping[str, object] = options
        check_options(f"policy {name!r}", options, None if accepted is None else accepted - set(stated))
    else:
        own = {"options": read_options(f"policy {name!r}", kind, options)}
    check_options(f"policy {name!r}", settings, None if accepted is None else accepted | LABELS)
    given = {key: value for key, value in settings.items() if accepted is None or key in accepted}
    asked = {key: value for key, value in stated.items() if accepted is not None and key in accepted}
    return make(**given, **asked, **own)


def _own_options(
    name: str, options: Mapping[str, OptionValue], settings: Mapping[str, Option]
) -> dict[str, OptionValue]:
    """Return the options of a policy of your own, with the settings of its real-time chunking.

    Raises:
        ConfigError: another setting.
    """
    check_options(f"policy {name!r}", settings, LABELS | CHUNKING)
    return {**{key: value for key, value in settings.items() if key in CHUNKING}, **options}


def is_address(name: str) -> bool:
    """Return whether a policy's name is an address, such as openpi+ws://host:8000."""
    return "://" in name and not name.startswith(REPLAY)


def options_of(name: str) -> type | None:
    """Return the dataclass of a backend's own settings; None: it has none, or it is not one of ours."""
    scheme = name.partition("://")[0] if is_address(name) else ""
    where = BACKEND_OPTIONS.get(name) or SERVER_OPTIONS.get(scheme)
    if name.startswith(REPLAY):
        where = REPLAY_OPTIONS
    if where is None:
        return None
    place, _, attribute = where.partition(":")
    return cast("type", getattr(importlib.import_module(place), attribute))


def found_policy(name: str) -> object | None:
    """Return what a file or an installed package has under `name`, imported; None: it is no such name.

    Raises:
        ConfigError: nothing is there, or it cannot be imported.
    """
    if name.startswith(REPLAY):
        return None
    place = name if ":" in name and not is_address(name) else installed(POLICIES).get(name, "")
    return load_named("policy", place)[1] if place else None


def check_backend_options(name: str, options: Mapping[str, OptionValue]) -> None:
    """Raise ConfigError on options that the backend `name` refuses; those of a policy of your own wait.

    Nothing of the backend itself is imported, so that a mistake is told before anything is connected.
    """
    kind = options_of(name)
    if kind is not None:
        read_options(f"policy {name!r}", kind, options)


def check_places(policy: str, names: Iterable[str], spelled: Callable[[str], str]) -> None:
    """Refuse a backend's own setting that stands among the server's.

    Args:
        policy: the backend that is asked for; "": any.
        names: of settings that the server does not know.
        spelled: how such a setting is given where it belongs.

    Raises:
        ConfigError: names the place.
    """
    backends = [policy] if policy else [*BACKEND_OPTIONS, *(f"{scheme}://" for scheme in SERVER_OPTIONS)]
    kinds = [options_of(backend) for backend in backends]
    own = {entry.name for kind in kinds if kind is not None for entry in fields(kind)}
    for name in names:
        if name in own:
            raise ConfigError(name, wanted=f"it among the backend's options: {spelled(name)}", got="it alone")


def _load_recorded(
    name: str, options: Mapping[str, OptionValue], settings: Mapping[str, Option]
) -> Policy[object]:
    """Return the policy that plays recorded data.

    Raises:
        ConfigError: nothing that can be played is there, or a setting that is not taken.
    """
    check_options(f"policy {name!r}", settings, LABELS)
    kind = options_of(name)
    given = None if kind is None else read_options(f"policy {name!r}", kind, options)
    make = importlib.import_module(REPLAY_POLICY).make_replay_policy
    return cast("Policy[object]", make(name.removeprefix(REPLAY), given))


def _load_server(
    name: str, options: Mapping[str, OptionValue], settings: Mapping[str, Option]
) -> Policy[object]:
    """Return the policy that asks the foreign server at an address, connected.

    Raises:
        ConfigError: an unknown scheme, a missing extra, or a setting that is not taken.
        VagusError: the server cannot be reached, or is none of that kind.
    """
    scheme = name.partition("://")[0]
    if scheme not in SERVERS:
        raise ConfigError("policy", wanted=f"an address like {ADDRESSES}", got=name)
    check_options(f"policy {name!r}", settings, LABELS)
    kind = options_of(name)
    extra, where = SERVERS[scheme]
    place, _, attribute = where.partition(":")
    make = cast("Callable[..., Policy[object]]", getattr(_module_of(extra, place), attribute))
    return make(name, options=None if kind is None else read_options(f"policy {name!r}", kind, options))


def _constructor(name: str, backends: Mapping[str, str]) -> Callable[..., Policy[object]]:
    if name not in backends:
        choices = ", ".join(sorted({*backends, *installed(POLICIES)}))
        raise ConfigError(
            "policy",
            wanted=f"one of {choices}, your own as file.py:name or package.module:name, {REPLAY}PATH, or an "
            f"address like {ADDRESSES}",
            got=name,
        )
    place, _, attribute = backends[name].partition(":")
    return cast("Callable[..., Policy[object]]", getattr(_module_of(name, place), attribute))


def _module_of(name: str, place: str) -> ModuleType:
    return load_brought(place, subject=f"policy {name!r}", extra=name)
