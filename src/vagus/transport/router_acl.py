"""Access rules of a router, which limit each robot to its own keys.

Everything is denied unless a rule allows it, and no rule denies: if two subjects match one certificate, Zenoh
lets the rule that allows win. A subject is the common name of a certificate, never a pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vagus.errors import ConfigError
from vagus.transport.acl_rule import EGRESS, INGRESS, Rule, allow
from vagus.transport.client_pattern import ClientPattern
from vagus.transport.keys import ROOT, begins_keys, sanitise
from vagus.transport.lerobot_acl import LeRobotParties

__all__ = ["access_control"]

ANY_SERVER = f"{ROOT}/*/*/*/*"
"""Pattern of every server of every service; the verbatim first chunk must be written out."""


NO_LEROBOT = LeRobotParties()
NO_TENANTS: Mapping[str, Sequence[str]] = {}


def access_control(
    robots: Iterable[str],
    servers: Iterable[str],
    *,
    tools: Iterable[str] = (),
    gateways: Iterable[str] = (),
    tenants: Mapping[str, Sequence[str]] = NO_TENANTS,
    lerobot: LeRobotParties = NO_LEROBOT,
) -> dict[str, object]:
    """Return the `access_control` section of a router's configuration.

    Args:
        robots: client names; each is the common name of that robot's certificate.
        servers: configured server names; each is the common name of that server's certificate.
        tools: common names of operators' certificates, which may only read (`vagus status`).
        gateways: common names of the certificates of processes with gateways. The robots of such a process
            are called <name>-1, <name>-2 …: its gateways carry this name, or this name, a dash and more.
        tenants: common name of a certificate for many robots → their names, or beginnings of names and `*`,
            like lab-a-*. To the router all of them are one robot.
        lerobot: parties of LeRobot's remote inference over Zenoh; a name may also be one of the above.

    Raises:
        ConfigError: the keys of one server, gateway or tenant would include those of another party, a name
            has two roles, or a tenant has no robots.
    """
    robots, servers, tools, gateways = tuple(robots), tuple(servers), tuple(tools), tuple(gateways)
    _check_names((*robots, *servers, *tools, *gateways, *tenants), servers)
    _check_gateways(gateways, robots)
    patterns = {name: _patterns(name, texts) for name, texts in tenants.items()}
    _check_tenants(patterns, robots, gateways)
    rules: list[Rule] = []
    subjects: list[dict[str, object]] = []
    policies: list[dict[str, object]] = []
    parties = (
        *((f"robot {name}", name, _robot(name)) for name in robots),
        *((f"server {name}", name, _server(name)) for name in servers),
        *((f"gateway {name}", name, _gateway(name)) for name in gateways),
        *((f"tenant {name}", name, _tenant(name, own)) for name, own in patterns.items()),
        *((f"tool {name}", name, _seeing(name)) for name in tools),
        *lerobot.grants(),
    )
    for party, name, granted in parties:
        rules += granted
        subjects.append({"id": party, "cert_common_names": [name]})
        policies.append({"rules": [rule["id"] for rule in granted], "subjects": [party]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    }


def _check_names(names: tuple[str, ...], servers: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError("access", wanted="each name once, in one role", got=f"{', '.join(twice)} twice")
    for name in servers:
        longer = [other for other in servers if other.startswith(f"{name}-")]
        if longer:  # a server's keys are its name, a dash and a random end
            raise ConfigError(
                "access",
                wanted="no server name that is another's with a dash and more",
                got=f"{name!r} and {longer[0]!r}",
            )


def _check_gateways(gateways: tuple[str, ...], robots: tuple[str, ...]) -> None:
    for name in gateways:
        if not begins_keys(name):
            raise ConfigError(
                "access",
                wanted="a gateway's name of letters, digits, . and _, with single - between",
                got=repr(name),
            )
        inside = [other for other in (*robots, *gateways) if other.startswith(f"{name}-")]
        if inside:  # the keys of its robots are its name, a dash and a number
            raise ConfigError(
                "access",
                wanted="no robot and no gateway whose name is a gateway's with a dash and more",
                got=f"{name!r} and {inside[0]!r}",
            )


def _patterns(name: str, texts: Sequence[str]) -> tuple[ClientPattern, ...]:
    subject = f"access: tenant {name}"
    if isinstance(texts, str) or not texts:
        raise ConfigError(subject, wanted="a list of names, or beginnings of names and `*`", got=repr(texts))
    return tuple(ClientPattern.of(text, subject=subject) for text in texts)


def _check_tenants(
    tenants: Mapping[str, tuple[ClientPattern, ...]], robots: tuple[str, ...], gateways: tuple[str, ...]
) -> None:
    others = [
        *((f"robot {name}", ClientPattern(sanitise(name), is_beginning=False)) for name in robots),
        *((f"gateway {name}", ClientPattern(f"{name}-", is_beginning=True)) for name in gateways),
        *((f"tenant {name}", pattern) for name, patterns in tenants.items() for pattern in patterns),
    ]
    for name, patterns in tenants.items():
        for pattern in patterns:
            for party, other in others:
                if party != f"tenant {name}" and pattern.overlaps(other):
                    raise ConfigError(
                        "access",
                        wanted="no two parties that can have a robot of the same name",
                        got=f"tenant {name} with {pattern}, and {party} with {other}",
                    )


def _robot(name: str) -> tuple[Rule, ...]:
    return _client(name, f"{ANY_SERVER}/{sanitise(name)}")


def _gateway(name: str) -> tuple[Rule, ...]:
    return _client(name, f"{ANY_SERVER}/{sanitise(name)}-$*")


def _tenant(name: str, patterns: tuple[ClientPattern, ...]) -> tuple[Rule, ...]:
    return _client(name, *(f"{ANY_SERVER}/{pattern.key_chunk}" for pattern in patterns))


def _client(name: str, *own: str) -> tuple[Rule, ...]:
    def each(end: str) -> tuple[str, ...]:
        return tuple(f"{client}/{end}" for client in own)

    asked = (*each("session"), *each("reset"))
    return (
        allow(f"{name}: sends observations", INGRESS, ("put",), *each("obs")),
        allow(f"{name}: asks", INGRESS, ("query",), *asked),
        allow(f"{name}: gets answers", EGRESS, ("reply",), *asked),
        allow(f"{name}: listens", INGRESS, ("declare_subscriber",), *each("chunk")),
        allow(f"{name}: gets chunks", EGRESS, ("put",), *each("chunk")),
        # without being told who listens and answers, its publishers and queriers send nothing
        allow(f"{name}: sees subscriptions", EGRESS, ("declare_subscriber",), f"{ANY_SERVER}/*/obs"),
        allow(
            f"{name}: sees queryables",
            EGRESS,
            ("declare_queryable",),
            f"{ANY_SERVER}/*/session",
            f"{ANY_SERVER}/*/reset",
        ),
        allow(f"{name}: is alive", INGRESS, ("liveliness_token",), *each("*/alive")),
        *_seeing(name),
    )


def _server(name: str) -> tuple[Rule, ...]:
    own = f"{ROOT}/*/*/*/{sanitise(name)}-$*"
    asked = (f"{own}/*/session", f"{own}/*/reset", f"{own}/status")
    return (
        allow(f"{name}: listens", INGRESS, ("declare_subscriber",), f"{own}/*/obs"),
        allow(f"{name}: gets observations", EGRESS, ("put",), f"{own}/*/obs"),
        allow(f"{name}: sends chunks", INGRESS, ("put",), f"{own}/*/chunk"),
        allow(f"{name}: sees subscriptions", EGRESS, ("declare_subscriber",), f"{ANY_SERVER}/*/chunk"),
        allow(f"{name}: serves", INGRESS, ("declare_queryable",), *asked),
        allow(f"{name}: is asked", EGRESS, ("query",), *asked, f"{ANY_SERVER}/status"),
        allow(f"{name}: answers", INGRESS, ("reply",), *asked),
        allow(f"{name}: is alive", INGRESS, ("liveliness_token",), f"{own}/alive", f"{own}/starting"),
        allow(
            f"{name}: watches robots",
            INGRESS,
            ("declare_liveliness_subscriber", "liveliness_query"),
            f"{own}/*/*/alive",
        ),
        allow(f"{name}: sees robots", EGRESS, ("liveliness_token",), f"{own}/*/*/alive"),
        *_seeing(name),  # it invites robots to servers that have less to do
    )


def _seeing(name: str) -> tuple[Rule, ...]:
    status, there = f"{ANY_SERVER}/status", (f"{ANY_SERVER}/alive", f"{ANY_SERVER}/starting")
    return (
        allow(f"{name}: asks for status", INGRESS, ("query",), status),
        allow(f"{name}: gets status", EGRESS, ("reply",), status),
        allow(f"{name}: sees status", EGRESS, ("declare_queryable",), status),
        allow(
            f"{name}: watches servers", INGRESS, ("declare_liveliness_subscriber", "liveliness_query"), *there
        ),
        allow(f"{name}: sees servers", EGRESS, ("liveliness_token",), *there),
    )
