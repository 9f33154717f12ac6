"""Settings of a Zenoh link and of a router, and the Zenoh configuration made from them."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import ConfigError
from vagus.setting_ranges import check_count, check_seconds
from vagus.transport.endpoints import check_endpoints

__all__ = ["LinkMode", "RouterConfig", "TlsConfig", "ZenohConfig", "parse_extra"]

ROUTER_HERE = "tcp/127.0.0.1:7447"
"""Endpoint of a router on this machine."""

MAX_MESSAGE_BYTES = 32 << 20
"""Largest message; the receiver drops a larger one before it is complete."""

OPEN_TIMEOUT_MS = 2000
"""Longest attempt to reach a router that accepts and then sends nothing; open() cannot be interrupted."""

DATA_QUEUE_BATCHES = 16
"""64 kB batches that may wait for the socket; the default of 2 cannot take one 150 kB observation."""


@dataclass(frozen=True, slots=True)
class _Patience:
    """Longest wait of a message for room in the queue before it is dropped; Zenoh's own: 1 ms and 50 ms."""

    message_us: int
    fragments_us: int
    """For all the 64 kB fragments of one message together."""


LINK_PATIENCE = _Patience(100_000, 400_000)
"""Patience of a link. With Zenoh's default, half of the large observations are lost at 3 % packet loss. Only
the worker thread waits."""

ROUTER_PATIENCE = _Patience(50_000, 200_000)
"""Patience of a router. Shorter: while it waits for one receiver, messages of the same sender to others wait,
too."""

WAIT_BEFORE_CLOSE_US = 1_000_000
"""Longest wait at close. It must be below every lease: otherwise sessions remain that no router accepts
again."""

PEER_SESSIONS = 1000
"""Largest number of robots that connect to a listening server."""

RX_BUFFER_BYTES = 1 << 20
"""Size of the receive buffer; halves the CPU time per large message."""

SHORT_RETRY = {"period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 1.5}
"""Settings of Zenoh's own reconnection, for routers and for links that do not reopen."""


class LinkMode(enum.Enum):
    """Way to join the network."""

    CLIENT = "client"
    """Connect through one router; try the next endpoint when it is gone."""
    PEER = "peer"
    """Connect directly: a server listens, a robot connects to it."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Certificates for mutual TLS: all three files, or none."""

    ca: Path | None = None
    """PEM file of the authority that signed all certificates."""
    certificate: Path | None = None
    """PEM file of the own certificate; access rules identify this process by its common name."""
    private_key: Path | None = None
    """PEM file of the private key of the own certificate."""
    verify_name: bool = True
    """Refuse a router whose certificate is for another host name."""

    def __post_init__(self) -> None:
        files = {"ca": self.ca, "certificate": self.certificate, "private_key": self.private_key}
        missing = [name for name, path in files.items() if path is None]
        if missing and len(missing) < len(files):
            raise ConfigError(
                "tls",
                wanted="ca, certificate and private_key, or none of them",
                got=f"no {' and no '.join(missing)}",
            )
        for name, path in files.items():
            if path is not None and not path.is_file():
                raise ConfigError(f"tls {name}", wanted="a PEM file", got=f"{path}, which is not there")
            if path is not None:  # read again at every reopening; a policy or driver may change the directory
                object.__setattr__(self, name, path.absolute())

    @property
    def is_on(self) -> bool:
        """Whether the files are given."""
        return self.ca is not None


@dataclass(frozen=True, slots=True)
class ZenohConfig:
    """Settings of the network link of a robot, server or tool."""

    mode: LinkMode = LinkMode.CLIENT
    """client: through a router; peer: directly between server and robots, without a router."""
    connect: tuple[str, ...] = ()
    """Endpoints to connect to, e.g. tls/router.lab:7447; a client uses the first that answers. None:
    tcp/127.0.0.1:7447, unless there are endpoints to listen on."""
    listen: tuple[str, ...] = ()
    """Endpoints to listen on, e.g. tcp/0.0.0.0:7447; in peer mode only, and then without connect."""
    tls: TlsConfig = TlsConfig()
    """Certificates for mutual TLS."""
    open_timeout_s: float = 3.0
    """Longest wait for the first connection, in seconds."""
    lease_s: float = 2.0
    """The other side closes the connection after this time without any message, in seconds."""
    send_buffer_bytes: int = 262_144
    """Size of the kernel's send buffer. A smaller one loses observations on a lossy network; in a larger one,
    urgent messages wait behind large ones. 0: the system's default."""
    shared_memory: bool = True
    """Send large messages between processes of one host through /dev/shm. A process keeps about 20 MB for
    each process of its host that it has outlived; turn this off for what runs for months."""
    reopen_on_loss: bool = True
    """Replace the session when its transport is lost. Without this, messages can arrive under a wrong key."""
    checksum: bool = True
    """Drop messages whose checksum is wrong. A link that breaks in the middle of a message damages it."""
    watchdog_s: float = 3.0
    """Replace a session that had no router for this time although a router answers, in seconds; 0: never."""
    extra: tuple[str, ...] = ()
    """More Zenoh settings as path=JSON5, e.g. transport/link/tx/keep_alive=8; applied last."""

    def __post_init__(self) -> None:
        check_seconds("open_timeout_s", self.open_timeout_s)
        check_seconds("lease_s", self.lease_s)
        check_seconds("watchdog_s", self.watchdog_s, or_zero=True)
        if self.lease_s * 1e6 <= WAIT_BEFORE_CLOSE_US:
            raise ConfigError("lease_s", wanted="more than 1 second", got=f"{self.lease_s:g}")
        check_count("send_buffer_bytes", self.send_buffer_bytes, least=0)
        self._check_endpoints()
        parse_extra(self.extra)

    @property
    def reached(self) -> tuple[str, ...]:
        """Endpoints to connect to; none for a peer that listens."""
        return self.connect or (() if self.listen else (ROUTER_HERE,))

    def _check_endpoints(self) -> None:
        if self.mode is LinkMode.CLIENT and self.listen:
            raise ConfigError(
                "client mode",
                wanted="endpoints to connect to and none to listen on",
                got=f"listen {list(self.listen)}",
                fix="a server that robots reach without a router: --mode peer",
            )
        if self.connect and self.listen:
            raise ConfigError(
                "peer mode",
                wanted="endpoints to listen on (a server) or to connect to (a robot), not both",
                got=f"connect {list(self.connect)}, listen {list(self.listen)}",
                fix="several parties that all reach each other need a router: vagus router",
            )
        check_endpoints((*self.reached, *self.listen), is_secured=self.tls.is_on)

    def to_json5(self) -> str:
        """Return the Zenoh configuration, without `extra`."""
        settings = {
            "mode": self.mode.value,
            "connect": {"endpoints": list(self.reached), "timeout_ms": 0, "retry": SHORT_RETRY},
            "listen": {"endpoints": list(self.listen)},
            "scouting": scouting(),
            "transport": transport(self, (*self.reached, *self.listen), LINK_PATIENCE),
        }
        return json.dumps(settings)


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Settings of a Zenoh router in this process."""

    listen: tuple[str, ...] = ("tcp/0.0.0.0:7447",)
    """Endpoints to listen on; port 0 picks a free one."""
    connect: tuple[str, ...] = ()
    """Endpoints of other routers to connect to; repeated until they answer."""
    tls: TlsConfig = TlsConfig()
    """Certificates for mutual TLS: only a certificate of the same authority is accepted."""
    access_control: Path | None = None
    """JSON5 file with the access rules (see docs/security.md); unset: everything is allowed."""
    max_sessions: int = 5000
    """Largest number of robots, servers and tools that are connected at once."""
    lease_s: float = 2.0
    """The other side closes the connection after this time without any message, in seconds."""
    send_buffer_bytes: int = 131_072
    """Size of the kernel's send buffer; a small one keeps urgent messages from waiting behind large ones. 0:
    the system's default."""
    shared_memory: bool = True
    """Send large messages of one host through /dev/shm; it keeps 20 MB for each process that is gone."""
    extra: tuple[str, ...] = ()
    """More Zenoh settings as path=JSON5; applied last."""

    def __post_init__(self) -> None:
        check_seconds("lease_s", self.lease_s)
        if not self.listen:
            raise ConfigError("router", wanted="at least one endpoint to listen on", got="none")
        check_count("max_sessions", self.max_sessions)
        check_count("send_buffer_bytes", self.send_buffer_bytes, least=0)
        if self.access_control is not None and not self.access_control.is_file():
            raise ConfigError(
                "access_control", wanted="a JSON5 file", got=f"{self.access_control}, which is not there"
            )
        check_endpoints((*self.listen, *self.connect), is_secured=self.tls.is_on)
        parse_extra(self.extra)

    def to_json5(self, listen: tuple[str, ...]) -> str:
        """Return the Zenoh configuration for these endpoints, without `extra` and access rules."""
        settings = {
            "mode": "router",
            "connect": {
                "endpoints": list(self.connect),
                "timeout_ms": -1,  # in the background, for ever
                "exit_on_failure": False,
                "retry": SHORT_RETRY,
            },
            "listen": {"endpoints": list(listen), "exit_on_failure": True},
            "scouting": scouting(),
            "adminspace": {"enabled": False},
            "transport": transport(self, (*self.listen, *self.connect), ROUTER_PATIENCE),
        }
        return json.dumps(settings)


def parse_extra(extra: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (path, JSON5) for each `path=JSON5`.

    Raises:
        ConfigError: an entry has no path or no value.
    """
    pairs = tuple(
        (path.strip(), value.strip()) for path, _, value in (entry.partition("=") for entry in extra)
    )
    for entry, (path, value) in zip(extra, pairs, strict=True):
        if not path or not value:
            raise ConfigError("extra", wanted="path=JSON5, e.g. transport/link/tx/keep_alive=8", got=entry)
    return pairs


def scouting() -> dict[str, object]:
    """Return settings that turn off discovery: only configured endpoints are used."""
    return {"delay": 0, "multicast": {"enabled": False}, "gossip": {"enabled": False}}


def transport(
    config: ZenohConfig | RouterConfig, endpoints: tuple[str, ...], patience: _Patience
) -> dict[str, object]:
    """Return the `transport` section of Zenoh's configuration."""
    protocols = sorted({endpoint.partition("/")[0] for endpoint in endpoints})
    buffers = {"so_sndbuf": config.send_buffer_bytes} if config.send_buffer_bytes else {}
    drop = {
        "wait_before_drop": patience.message_us,
        "max_wait_before_drop_fragments": patience.fragments_us,
    }
    congestion = {"drop": drop, "block": {"wait_before_close": WAIT_BEFORE_CLOSE_US}}
    return {
        "unicast": {
            "open_timeout": OPEN_TIMEOUT_MS,
            "accept_timeout": OPEN_TIMEOUT_MS,
            "accept_pending": 1000,
            "max_sessions": config.max_sessions if isinstance(config, RouterConfig) else PEER_SESSIONS,
        },
        "shared_memory": {"enabled": config.shared_memory},
        "link": {
            "protocols": protocols,
            "tx": {
                "lease": round(config.lease_s * 1000),
                "keep_alive": 4,
                "queue": {"size": {"data": DATA_QUEUE_BATCHES}, "congestion_control": congestion},
            },
            "rx": {"buffer_size": RX_BUFFER_BYTES, "max_message_size": MAX_MESSAGE_BYTES},
            "tcp": buffers,
            "tls": tls_section(config.tls) | (buffers if config.tls.is_on else {}),
        },
    }


def tls_section(tls: TlsConfig) -> dict[str, object]:
    """Return the `transport/link/tls` section, with the same certificate to listen and to connect."""
    if not tls.is_on:
        return {}
    return {
        "root_ca_certificate": str(tls.ca),
        "enable_mtls": True,
        "listen_certificate": str(tls.certificate),
        "listen_private_key": str(tls.private_key),
        "connect_certificate": str(tls.certificate),
        "connect_private_key": str(tls.private_key),
        "verify_name_on_connect": tls.verify_name,
        "close_link_on_expiration": True,
    }
