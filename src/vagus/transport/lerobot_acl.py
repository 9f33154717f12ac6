"""Access rules for the key trees of LeRobot's remote inference: version 1, and the draft before it (pure).

In version 1 the server makes the id of a session, and no key shows whose it is. So the rules limit a robot to
sessions of its deployments; they cannot tell two robots of one deployment apart. In the draft, the name of a
robot is a segment of its keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vagus.errors import ConfigError
from vagus.transport.acl_rule import EGRESS, INGRESS, Rule, allow

__all__ = ["LeRobotParties"]

DEPLOYMENTS = "lerobot/inference/v1/deployments"
"""Start of the keys of version 1."""

DRAFT = "@lerobot"
"""First chunk of the keys of the draft; verbatim, so that a wildcard never matches it."""

WATCHES = ("declare_liveliness_subscriber", "liveliness_query")

_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_SLUG = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")
_SERVER = "server"
"""Segment of the draft's own server token; a robot of this name could pass for a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeRobotParties:
    """Parties of LeRobot's remote inference on a router; each name is the common name of a certificate.

    Raises:
        ConfigError: a name is a robot and a server of one generation, or cannot stand in a key.
    """

    robots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Version 1: robot → deployments that it may use. A backend of vagus (`lerobot+zenoh://`) is a robot."""
    servers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Version 1: server → deployments that it serves. A gateway of vagus at this router is a server."""
    draft_robots: Sequence[str] = ()
    """Draft: robots; each name is also the robot's `client_uuid`."""
    draft_servers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Draft: server → models that it serves, as they stand in keys: lerobot-smolvla_base."""

    def __post_init__(self) -> None:
        for robots, servers in ((self.robots, self.servers), (self.draft_robots, self.draft_servers)):
            both = sorted(set(robots) & set(servers))
            if both:
                raise ConfigError("access", wanted="a robot or a server", got=f"{both[0]!r} as both")
        for table in (self.robots, self.servers, self.draft_servers):
            lone = [name for name, given in table.items() if isinstance(given, str) or not given]
            if lone:
                raise ConfigError(
                    "access", wanted=f"a list of names for {lone[0]!r}", got=f"{table[lone[0]]!r}"
                )
        for deployment in _listed(self.robots, self.servers):
            _check(_DEPLOYMENT, deployment, "a deployment of letters, digits and _ . -")
        for name in (*self.draft_robots, *_listed(self.draft_servers)):
            _check(_SLUG, name, "a robot or model of the draft of letters, digits and _ . -")
        if _SERVER in self.draft_robots:
            raise ConfigError("access", wanted="a robot of another name", got=repr(_SERVER))

    def grants(self) -> Iterator[tuple[str, str, tuple[Rule, ...]]]:
        """Return (party, common name, rules) of each party."""
        roles: tuple[tuple[str, Mapping[str, Sequence[str]], Callable[..., tuple[Rule, ...]]], ...] = (
            ("lerobot robot", self.robots, _robot),
            ("lerobot server", self.servers, _server),
            ("lerobot draft robot", {name: (name,) for name in self.draft_robots}, _draft_robot),
            ("lerobot draft server", self.draft_servers, _draft_server),
        )
        for role, table, rules in roles:
            for name, given in table.items():
                party = f"{role} {name}"
                yield party, name, rules(party, tuple(given))


def _listed(*tables: Mapping[str, Sequence[str]]) -> Iterator[str]:
    return (one for table in tables for given in table.values() for one in given)


def _check(form: re.Pattern[str], name: str, wanted: str) -> None:
    if form.fullmatch(name) is None:
        raise ConfigError("access", wanted=wanted, got=repr(name))


def _keys(roots: tuple[str, ...], *tails: str) -> tuple[str, ...]:
    return tuple(f"{root}/{tail}" for root in roots for tail in tails)


def _robot(party: str, deployments: tuple[str, ...]) -> tuple[Rule, ...]:
    roots = tuple(f"{DEPLOYMENTS}/{deployment}" for deployment in deployments)
    instances = _keys(roots, "instances/*")
    sessions = _keys(instances, "sessions/*")
    asked = (*_keys(roots, "describe"), *_keys(instances, "open"), *_keys(sessions, "control"))
    sent, received = _keys(sessions, "obs", "language/request"), _keys(sessions, "act", "language/result")
    return (
        *_asking(party, asked),
        *_exchange(party, sent, received),
        allow(f"{party}: is alive", INGRESS, ("liveliness_token",), *_keys(sessions, "alive")),
        *_watching(party, "servers", _keys(instances, "alive")),
    )


def _server(party: str, deployments: tuple[str, ...]) -> tuple[Rule, ...]:
    roots = tuple(f"{DEPLOYMENTS}/{deployment}" for deployment in deployments)
    instances = _keys(roots, "instances/*")
    sessions = _keys(instances, "sessions/*")
    asked = (*_keys(roots, "describe"), *_keys(instances, "open"), *_keys(sessions, "control"))
    received, sent = _keys(sessions, "obs", "language/request"), _keys(sessions, "act", "language/result")
    tokens, beats = _keys(instances, "gateways/*/*"), _keys(instances, "gateways/beats")
    return (
        *_answering(party, asked),
        # a standby hears what is answered, too
        *_exchange(party, sent, (*received, *_keys(sessions, "act"))),
        allow(f"{party}: is alive", INGRESS, ("liveliness_token",), *_keys(instances, "alive"), *tokens),
        *_watching(party, "robots", (*_keys(sessions, "alive"), *tokens)),
        *_exchange(f"{party} and its standby", beats, beats),
    )


def _draft_robot(party: str, names: tuple[str, ...]) -> tuple[Rule, ...]:
    any_service = (f"{DRAFT}/*/*/*",)
    own = _keys(any_service, *names)
    return (
        *_asking(party, (*_keys(any_service, "status", "session"), *_keys(own, "reset"))),
        *_exchange(party, _keys(own, "obs"), _keys(own, "action")),
        # its server's are declared for every robot: wider than what the robot may use
        allow(f"{party}: sees subscriptions", EGRESS, ("declare_subscriber",), *_keys(any_service, "*/obs")),
        allow(f"{party}: sees resets", EGRESS, ("declare_queryable",), *_keys(any_service, "*/reset")),
        allow(f"{party}: is alive", INGRESS, ("liveliness_token",), *_keys(own, "alive")),
        *_watching(party, "servers", _keys(any_service, "server/alive")),
    )


def _draft_server(party: str, models: tuple[str, ...]) -> tuple[Rule, ...]:
    services = tuple(f"{DRAFT}/{model}/*/*" for model in models)
    return (
        *_answering(party, _keys(services, "status", "session", "*/reset")),
        *_exchange(party, _keys(services, "*/action"), _keys(services, "*/obs")),
        allow(f"{party}: is alive", INGRESS, ("liveliness_token",), *_keys(services, "server/alive")),
        *_watching(party, "robots", _keys(services, "*/alive")),
    )


def _exchange(party: str, sent: tuple[str, ...], received: tuple[str, ...]) -> tuple[Rule, ...]:
    return (
        allow(f"{party}: sends", INGRESS, ("put",), *sent),
        # without being told who listens, its publishers send nothing
        allow(f"{party}: sees who listens", EGRESS, ("declare_subscriber",), *sent),
        allow(f"{party}: listens", INGRESS, ("declare_subscriber",), *received),
        allow(f"{party}: receives", EGRESS, ("put",), *received),
    )


def _asking(party: str, asked: tuple[str, ...]) -> tuple[Rule, ...]:
    return (
        allow(f"{party}: asks", INGRESS, ("query",), *asked),
        allow(f"{party}: gets answers", EGRESS, ("reply",), *asked),
        allow(f"{party}: sees who answers", EGRESS, ("declare_queryable",), *asked),
    )


def _answering(party: str, asked: tuple[str, ...]) -> tuple[Rule, ...]:
    return (
        allow(f"{party}: serves", INGRESS, ("declare_queryable",), *asked),
        allow(f"{party}: is asked", EGRESS, ("query",), *asked),
        allow(f"{party}: answers", INGRESS, ("reply",), *asked),
    )


def _watching(party: str, whom: str, keys: tuple[str, ...]) -> tuple[Rule, ...]:
    return (
        allow(f"{party}: watches {whom}", INGRESS, WATCHES, *keys),
        allow(f"{party}: sees {whom}", EGRESS, ("liveliness_token",), *keys),
    )
