"""Inference times for `vagus plan`: of a server on the network, of a file with its status, or of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from vagus.cli.survey import survey
from vagus.edge.client.session import parse_service
from vagus.errors import ConfigError, LinkError
from vagus.malformed import MALFORMED
from vagus.planning.latency_table import typed_table
from vagus.planning.planner import Device
from vagus.planning.served_device import device_of
from vagus.transport.keys import ServiceKey
from vagus.transport.service_name import ServiceName
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.wire.schema import Capabilities

__all__ = ["DeviceProfile", "profile_from_file", "profile_from_network", "profile_from_table", "profile_of"]

MAX_FILE_BYTES = 16 << 20
MOST_PLANNED = 1000
"""Robots on one device beyond which nothing is simulated: it would take minutes."""
UNKNOWN_DECODING = "the server's processor keeps up: how fast it decodes frames is not known"


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What is known of a device before robots are asked about.

    Attributes:
        source: where that is from, in words.
        device: the device.
        rate_hz: policy steps per second of the training; None: not known.
        horizon: actions in a chunk; None: not known.
        max_sessions: robots that the server lets connect; None: not known.
        assumptions: what these times rest on.
    """

    source: str
    device: Device
    rate_hz: float | None = None
    horizon: int | None = None
    max_sessions: int | None = None
    assumptions: tuple[str, ...] = ()


class StatusRow(msgspec.Struct, frozen=True):
    """What this needs of a server in the output of `vagus status --json`."""

    service: str
    server: str
    capabilities: Capabilities | None


def profile_from_table(entries: Sequence[str]) -> DeviceProfile:
    """Return what a typed table says.

    Raises:
        ConfigError: the table is wrong.
    """
    table = typed_table(entries)
    device = Device(table, max(table), max_robots=MOST_PLANNED)
    return DeviceProfile("the table as typed", device, assumptions=(UNKNOWN_DECODING,))


def profile_from_network(network: ZenohConfig, service: str) -> DeviceProfile:
    """Return what the servers of a service have measured.

    Raises:
        ConfigError: there are several services, or nothing was measured.
        LinkError: nobody answers.
    """
    wanted = parse_service(service)
    with ZenohLink(network) as link:
        found = survey(link, wanted)
    if not found:
        raise LinkError("the router answers but no server is there; start one with `vagus serve`")
    answers = [server.capabilities for server in found if server.capabilities is not None]
    if not answers:
        raise LinkError(f"no server answers: {found[0].trouble}")
    return profile_of(answers, wanted)


def profile_from_file(path: Path, service: str) -> DeviceProfile:
    """Return what the servers in a file of `vagus status --json` have measured.

    Raises:
        ConfigError: it is no such file, or nobody in it has measured anything.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        rows = msgspec.json.decode(content, type=list[StatusRow], strict=False)
    except OSError as error:
        raise ConfigError("status", wanted="a file", got=f"{path}: {error.strerror}") from error
    except MALFORMED as error:
        wanted = "what `vagus status --json` prints"
        raise ConfigError("status", wanted=wanted, got=f"{path}: {error}") from error
    answers = [row.capabilities for row in rows if row.capabilities is not None]
    if not answers:
        raise ConfigError("status", wanted="a server that has answered", got=f"none in {path}")
    return profile_of(answers, parse_service(service))


def profile_of(answers: Iterable[Capabilities], wanted: ServiceName | None) -> DeviceProfile:
    """Return the profile of one service: that of its slowest server.

    Raises:
        ConfigError: there is not exactly one service, or nothing was measured.
    """
    by_service: dict[ServiceKey, list[Capabilities]] = {}
    for said in answers:
        by_service.setdefault(ServiceKey.of(said.model, said.revision, said.service_name), []).append(said)
    meant = tuple(by_service) if wanted is None else wanted.among(by_service)
    if len(meant) != 1:
        listed = ", ".join(sorted(key.text for key in by_service))
        got = "none given" if wanted is None else repr(wanted.text)
        raise ConfigError(
            "service", wanted="one of those that are there", got=got, fix=f"--service: {listed}"
        )
    servers = by_service[meant[0]]
    measured = [said for said in servers if said.latency] or servers
    devices = {said.server: device_of(said) for said in measured}
    slowest = max(measured, key=lambda said: (devices[said.server].ms(1), said.server))
    more = f", the slowest of {len(measured)} servers" if len(measured) > 1 else ""
    return DeviceProfile(
        source=f"measured by {slowest.server} of {meant[0].text}{more}",
        device=_without_places(devices[slowest.server], slowest),
        rate_hz=slowest.rate_hz or None,
        horizon=slowest.horizon or None,
        max_sessions=slowest.load.max_sessions or None,
        assumptions=_assumed(slowest),
    )


def _without_places(device: Device, said: Capabilities) -> Device:
    """Return the device without the limit of its server's sessions, which a restart can raise."""
    return device if said.serving_mode == "exclusive" else replace(device, max_robots=MOST_PLANNED)


def _assumed(said: Capabilities) -> tuple[str, ...]:
    per_s = device_of(said).requests_per_s
    if math.isinf(per_s):
        return (UNKNOWN_DECODING,)
    return (
        f"the server's processor takes {per_s:.0f} requests per second, measured with an idle device and "
        "JPEG frames of the policy's size; three tenths are kept in reserve",
    )
