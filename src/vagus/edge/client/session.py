"""Opens sessions over a link, and closes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from vagus.clock import NS_PER_MS
from vagus.edge.asking import processor_time_s
from vagus.edge.client.handshake import (
    Contract,
    Identity,
    check_ack,
    check_pin,
    least_executed,
    open_message,
)
from vagus.edge.client.pace import check_pace
from vagus.edge.client.protocol import SessionRef
from vagus.edge.config import EdgeConfig
from vagus.errors import (
    ConfigError,
    LinkError,
    ProtocolError,
    QueryTimeoutError,
    ServerStartingError,
    VagusError,
)
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.transport.keys import (
    ALL_SERVERS_ALIVE,
    ALL_SERVERS_STARTING,
    ServerKey,
    ServiceKey,
    server_from_key,
)
from vagus.transport.link import Declaration, Link, Sample
from vagus.transport.service_name import ServiceName, nearest
from vagus.wire.codec import decode, encode
from vagus.wire.schema import Ack, Capabilities, CloseMessage, SessionRequest

__all__ = [
    "Presence",
    "Services",
    "SessionOpener",
    "fetch_capabilities",
    "find_service",
    "find_services",
    "living_servers",
    "nobody_ready",
    "parse_service",
    "pinned",
]


class Presence:
    """Token and chunk subscription at one server at a time."""

    def __init__(self, link: Link, identity: Identity, on_sample: Callable[[Sample], None]) -> None:
        self._link = link
        self._identity = identity
        self._on_sample = on_sample
        self._declarations: tuple[Declaration, ...] = ()
        self.server: ServerKey | None = None

    def move_to(self, server: ServerKey) -> None:
        """Move the presence to this server."""
        if self.server == server:
            return
        self.leave()
        keys = server.client(self._identity.name)
        self._declarations = (
            self._link.subscribe(keys.chunk, self._on_sample),
            self._link.token(keys.alive(self._identity.instance)),
        )
        self.server = server

    def leave(self) -> None:
        """Withdraw the presence. Twice does nothing."""
        for declaration in self._declarations:
            declaration.undeclare()
        self._declarations = ()
        self.server = None


STATUS_TIMEOUT_S = 1.0
"""Longest wait for the capabilities of a server; only an answer proves that it lives."""


def living_servers(link: Link, pattern: str, *, timeout_s: float) -> frozenset[ServerKey]:
    """Return the servers whose tokens match `pattern`.

    Raises:
        LinkError: the network is away.
    """
    servers = map(_server_from, link.tokens(pattern, timeout_s=timeout_s))
    return frozenset(server for server in servers if server is not None)


def parse_service(text: str, *, setting: str = "service") -> ServiceName | None:
    """Parse the name of a service; None for "".

    Args:
        text: as a person names it.
        setting: what the error calls it.

    Raises:
        ConfigError: it is no such name.
    """
    return ServiceName.of(text, setting=setting) if text else None


@dataclass(frozen=True, slots=True)
class Services:
    """Services on a network: servers that accept sessions, and servers that are starting."""

    alive: frozenset[ServerKey]
    starting: frozenset[ServerKey]

    def named(self, wanted: ServiceName | None) -> frozenset[ServiceKey]:
        """Return the services that match `wanted`; None: all."""
        there = {server.service for server in (*self.alive, *self.starting)}
        return frozenset(there if wanted is None else wanted.among(there))

    def lacks(self, wanted: ServiceName) -> LinkError:
        """Return the error for a missing service, with those that are there and the nearest name."""
        texts = {server.service.text for server in (*self.alive, *self.starting)}
        hint = nearest(wanted.text, texts)
        return LinkError(f"no server of {wanted.text!r} is there; on this network are: {self}{hint}")

    def __str__(self) -> str:
        alive = {server.service.text for server in self.alive}
        starting = {server.service.text for server in self.starting} - alive
        return ", ".join((*sorted(alive), *(f"{text} (starting)" for text in sorted(starting))))


def find_services(link: Link, *, timeout_s: float) -> Services:
    """Return the services on the network.

    Raises:
        LinkError: the network is away.
    """
    # in this order: one that turns from the one to the other meanwhile is seen in one of the two at least
    starting = living_servers(link, ALL_SERVERS_STARTING, timeout_s=timeout_s)
    return Services(living_servers(link, ALL_SERVERS_ALIVE, timeout_s=timeout_s), starting)


def find_service(link: Link, wanted: ServiceName | None = None, *, timeout_s: float) -> ServiceKey:
    """Return the wanted service, or the only one; its servers may still be starting.

    Raises:
        LinkError: there is none, or the network is away; the error lists who is there.
        ConfigError: there are several; the error lists them.
    """
    there = find_services(link, timeout_s=timeout_s)
    meant = there.named(wanted)
    if len(meant) == 1:
        return next(iter(meant))
    if meant:
        listed = ", ".join(sorted(service.text for service in meant))
        got = "none given" if wanted is None else repr(wanted.text)
        raise ConfigError(
            "service", wanted="one of those on this network", got=got, fix=f"--service: {listed}"
        )
    if wanted is not None and (there.alive or there.starting):
        raise there.lacks(wanted)
    what = "vagus server" if wanted is None else f"server of {wanted.text!r}, nor of any other service,"
    raise LinkError(f"no {what} on this network; start one with `vagus serve`, or check --connect")


def pinned(servers: frozenset[ServerKey], pin: str) -> frozenset[ServerKey]:
    """Return all servers, or the pinned one, named with or without its suffix."""
    return frozenset(s for s in servers if pin in ("", s.server, s.server.rpartition("-")[0]))


def nobody_ready(link: Link, service: ServiceKey, *, pin: str = "", timeout_s: float) -> LinkError:
    """Return the error for a service without a server that accepts sessions.

    A ServerStartingError where one is there and still loads or warms up.

    Raises:
        LinkError: the network is away.
        ProtocolError: the answer of a server is malformed.
    """
    starting = pinned(living_servers(link, service.all_starting, timeout_s=timeout_s), pin)
    if starting:
        said = fetch_capabilities(link, min(starting, key=lambda server: server.path))
        return ServerStartingError(f"server {quoted(said.server)} of {service.text} is {quoted(said.phase)}")
    which = f" called {pin!r}" if pin else ""
    return LinkError(f"no server of {service.text}{which} is alive; start one with `vagus serve`")


def fetch_capabilities(link: Link, server: ServerKey, *, timeout_s: float = STATUS_TIMEOUT_S) -> Capabilities:
    """Return the capabilities of a server.

    Raises:
        LinkError: it is not reachable or does not answer.
        ProtocolError: its answer is malformed.
    """
    answers = link.query(server.status, b"", timeout_s=timeout_s)
    if not answers:
        raise LinkError(f"server {server.server} serves its status but gave no answer")
    return decode(answers[0], Capabilities)


@dataclass(frozen=True, slots=True)
class SessionOpener:
    """Opens sessions for one robot.

    Attributes:
        link: the network.
        robot: what the robot offers, in the policy's names.
        config: settings of this side.
        identity: who we are.
        waits_for_answers: no plan is played meanwhile, so there is no buffer time.
        can_move: the robot changes to another server when its server asks for it.
    """

    link: Link
    robot: RobotSpec
    config: EdgeConfig
    identity: Identity
    waits_for_answers: bool = False
    can_move: bool = False

    def open(
        self,
        server: ServerKey,
        wanted: Capabilities,
        *,
        instruction: str,
        contract: Contract | None,
        round_trip_ns: int = 0,
        timeout_s: float | None = None,
    ) -> tuple[SessionRef, Contract]:
        """Open a session; return it with its contract.

        Args:
            server: where.
            wanted: what it says of itself.
            instruction: what the robot is to do.
            contract: what the first session agreed on; None for the first.
            round_trip_ns: measured round trip of the network; 0: not known.
            timeout_s: longest wait for the answer; None: as the settings say.

        Raises:
            LinkError: the server is not reachable or does not answer.
            SessionRefusedError: it said no, or is too slow for these settings.
            SpecError: it said yes to something that the robot must not be driven by.
            ProtocolError: its answer is malformed.
        """
        if contract is None:
            check_pin(wanted, self.config)  # before anything is opened that would have to be closed again
            check_pace(wanted, self.config)
        asked = open_message(
            self.robot, wanted, self.config, self.identity, instruction=instruction, contract=contract
        )
        asked = replace(asked, round_trip_ms=round_trip_ns / NS_PER_MS, can_move=self.can_move)
        if self.waits_for_answers:
            asked = replace(asked, buffer_time_s=0.0, execute_horizon=0, observe_steps=0)
        key = server.client(self.identity.name).session
        payload = encode(SessionRequest(open=asked))
        timeout_s = self.config.handshake_timeout_s if timeout_s is None else timeout_s
        answers = self._ask(server, key, payload, timeout_s=timeout_s, is_first=contract is None)
        if not answers:
            raise LinkError(f"server {server.server} gave no answer to the session open")
        ack = decode(answers[0], Ack)
        try:
            agreed = check_ack(ack, asked, self.config, contract)
        except VagusError:
            if ack.accepted:
                self.close(SessionRef(server, ack.epoch))
            raise
        session = SessionRef(
            server,
            ack.epoch,
            least_executed(ack, agreed),
            processor_s=processor_time_s(agreed.capabilities.decode_per_s),
            continues_awaited=agreed.uses_rtc and agreed.capabilities.continues_awaited,
        )
        return session, agreed

    def _ask(
        self, server: ServerKey, key: str, payload: bytes, *, timeout_s: float, is_first: bool
    ) -> Sequence[bytes]:
        try:
            return self.link.query(key, payload, timeout_s=timeout_s)
        except QueryTimeoutError:
            raise
        except LinkError as error:
            if not is_first:
                raise
            raise LinkError(
                f"{error}; server {server.server} is alive and said what it is, so look at the access rules: "
                f"a router that has some knows a robot by the common name of its certificate, and here it is "
                f"--name {self.identity.name}"
            ) from error

    def close(self, session: SessionRef) -> bool:
        """Tell the server that the session is over; return whether it heard."""
        key = session.server.client(self.identity.name).session
        payload = encode(SessionRequest(close=CloseMessage(epoch=session.epoch)))
        try:
            self.link.query(key, payload, timeout_s=STATUS_TIMEOUT_S)
        except LinkError:
            return False  # it closes the session itself once our token is gone
        return True


def _server_from(key: str) -> ServerKey | None:
    try:
        return server_from_key(key)
    except ProtocolError:
        return None  # a token of another program under our root is none of our servers
