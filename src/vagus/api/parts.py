"""Parts of a run: network, identity, policy client, mapping and motion, put together from the settings."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import SessionOpener, parse_service
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import ConfigError, SpecError
from vagus.quoting import quoted
from vagus.specs import RobotSpec, rename_robot_spec
from vagus.transport.host import host_id
from vagus.transport.link import Link
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["RunSettings", "check_spec", "make_client", "make_motion", "network", "told_settings"]


KINDS = {"service": str, "name": str, "instruction": str, "edge": EdgeConfig, "loop": LoopConfig}
"""Setting → its type."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Settings of a run that are neither the network's nor the recorder's.

    Attributes:
        service: model/revision/name of the policy; "": the only one there is.
        name: name of this robot, unique among the robots of a server; "": the host's.
        instruction: what the robot is to do; "": the policy's default.
        rename: robot name → policy name, for actions, state features and cameras.
        tags: free text for the server's log and audit.
        edge: settings of the policy client.
        loop: settings of the control loop.
    """

    service: str = ""
    name: str = ""
    instruction: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    edge: EdgeConfig = field(default_factory=EdgeConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        for name, kind in KINDS.items():
            given = getattr(self, name)
            if not isinstance(given, kind):
                raise ConfigError(name, wanted=f"a {kind.__name__}", got=quoted(repr(given)))
        for name in ("rename", "tags"):
            table = getattr(self, name)
            if not (
                isinstance(table, Mapping) and all(isinstance(w, str) for pair in table.items() for w in pair)
            ):
                raise ConfigError(name, wanted="a mapping of texts to texts", got=quoted(repr(table)))

    @property
    def robot_name(self) -> str:
        """The name of this robot."""
        return self.name or socket.gethostname()


def check_spec(spec: object) -> None:
    """Raise SpecError unless this is the spec of a robot."""
    if not isinstance(spec, RobotSpec):
        got = f"a {quoted(type(spec).__name__)}"
        raise SpecError("robot", wanted="a vagus.RobotSpec, such as `spec` of its driver", got=got)


def network(connect: str | tuple[str, ...], zenoh: ZenohConfig | None) -> ZenohConfig:
    """Return the network's settings with these endpoints, e.g. "tcp/router:7447".

    Raises:
        ConfigError: endpoints stand in both, or are no texts.
    """
    config = zenoh or ZenohConfig()
    given: object = (connect,) if isinstance(connect, str) else connect
    if not (isinstance(given, (tuple, list)) and all(isinstance(one, str) for one in given)):
        raise ConfigError("endpoint", wanted="a text such as tcp/router:7447", got=quoted(repr(connect)))
    endpoints = tuple(endpoint for endpoint in given if endpoint)
    if not endpoints:
        return config
    if config.connect != ZenohConfig().connect:
        raise ConfigError(
            "connect", wanted="endpoints once", got=f"{list(endpoints)}, and {list(config.connect)} in zenoh"
        )
    return replace(config, connect=endpoints)


def make_client(link: Link, spec: RobotSpec, settings: RunSettings) -> PolicyClient[Engine]:
    """Return a policy client that is not open yet.

    Args:
        link: open; not closed by the client.
        spec: the robot in its own names, admitted.
        settings: whom to talk to, and as whom.
    """
    identity = Identity(settings.robot_name, secrets.token_hex(8), host_id(), dict(settings.tags))
    opener = SessionOpener(link, rename_robot_spec(spec, settings.rename), settings.edge, identity)
    service = parse_service(settings.service)
    return PolicyClient(opener, Engine, service=service, instruction=settings.instruction)


def told_settings(settings: RunSettings, record: RecorderConfig, network: ZenohConfig) -> dict[str, object]:
    """Return the settings of a run by section for its recording; of the network, only what is no secret.

    Extra settings of the network may hold passwords: only their names are told.
    """
    return {
        "service": settings.service,
        "instruction": settings.instruction,
        "edge": settings.edge,
        "loop": settings.loop,
        "record": record,
        "network": replace(network, extra=()),
        "network_extra": tuple(setting.partition("=")[0] for setting in network.extra),
    }


def make_motion(mapping: OrderMapping, spec: RobotSpec, settings: RunSettings) -> Motion:
    """Return the motion of this robot, with the fallbacks and limits of the settings."""
    loop = settings.loop
    return Motion(
        mapping.actions,
        mapping.state_names,
        tick_s=1 / spec.rate_hz,
        fallbacks=loop.fallback.renamed(settings.rename),
        max_limited_s=loop.max_limited_s,
        return_time_s=loop.return_time_s,
    )
