"""The policy client: first contact, then a worker beside the control thread."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Generic, TypeVar

from vagus.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.edge.client.codec import as_played
from vagus.edge.client.discovery import own_draw
from vagus.edge.client.exchange import DraftFailed, Exchange
from vagus.edge.client.first_contact import FirstContact
from vagus.edge.client.handshake import Contract
from vagus.edge.client.inflight import LatencyParts, LatencyWindow
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.client.refusals import Refusal
from vagus.edge.client.replica_watch import ReplicaWatch
from vagus.edge.client.replicas import Backoff, Replicas
from vagus.edge.client.session import SessionOpener
from vagus.edge.client.text_limits import check_identity, check_instruction, check_robot
from vagus.edge.client.worker import Worker
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import EngineContract, EngineSide
from vagus.errors import StateError, VagusError
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.types import LinkState, Snapshot

__all__ = ["ClientStatus", "PolicyClient"]

NOT_OPEN = "this client is not open; call open() first"

EngineT = TypeVar("EngineT", bound=EngineSide)


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """Status of a policy client, for a status line.

    Attributes:
        link: link state.
        server: server that the session is with, "" without one.
        latency_ms: last round trip, None before the first.
        dead_reason: why the link is dead.
        lost_reason: why the last session was lost.
        said: the last refusal since a chunk was merged, in the server's words.
        refusals: every reason that a request was refused for, and how often.
        parts: where the time of the last round trip went, None before the first.
        mean_parts: the same in the mean of all.
        round_trips: how many these are.
    """

    link: LinkState
    server: str
    latency_ms: float | None
    dead_reason: str
    lost_reason: str
    said: str = ""
    refusals: tuple[Refusal, ...] = ()
    parts: LatencyParts | None = None
    mean_parts: LatencyParts | None = None
    round_trips: int = 0

    def cause_of(self, stop_reason: str) -> str:
        """Return why the robot was stopped, with the reasons of the link and of the server."""
        if self.dead_reason.startswith(stop_reason):
            return self.dead_reason
        said = "" if self.said in self.dead_reason else f"the server said: {self.said}"
        return "; ".join(part for part in (stop_reason, self.dead_reason, said) if part)


class PolicyClient(Generic[EngineT]):
    """The robot's side of a session; the engine, for the control thread, is made when the first one is open.

    `open` makes the first contact and starts the worker; from then on the control thread drives `engine`
    and hands over snapshots by `offer`. Nothing here raises into the control thread.
    """

    def __init__(
        self,
        opener: SessionOpener,
        make_engine: Callable[[EdgeConfig, EngineContract], EngineT],
        *,
        service: ServiceName | None = None,
        instruction: str = "",
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is sent before `open`.

        Args:
            opener: link (not closed by this object), robot spec in the policy's names, settings, identity.
            make_engine: makes what the control thread drives: `Engine`.
            service: whom to exchange to; None: the only service on the network.
            instruction: what the robot is to do.
            clock: time, for tests.

        Raises:
            ConfigError: a name, a tag or the instruction is longer than a message carries, or no text.
        """
        check_identity(opener.identity)
        check_robot(opener.robot)
        check_instruction(instruction)
        config = opener.config
        opener = self._opener = replace(opener, can_move=not config.pin_server)
        self._config = config
        self._link: Link = opener.link
        self._service = service
        self._instruction = instruction
        self._clock = clock or MonotonicClock()
        self._latency = LatencyWindow()
        self._replicas = Replicas(
            Backoff(seconds_to_ns(config.backoff_initial_s), seconds_to_ns(config.backoff_max_s)), own_draw
        )
        run_seed = random.getrandbits(64) if config.seed is None else config.seed
        self._worker = Worker(config, opener, self._clock, run_seed=run_seed)
        self._stopping = threading.Event()
        self._replica_watch: ReplicaWatch | None = None
        self._exchange: Exchange | None = None
        self._make_engine = make_engine
        self._engine: EngineT | None = None

    # -- first contact ----------------------------------------------------------------------------------

    def open(self) -> Contract:
        """Make the first contact, start the worker, and return what was agreed on.

        Raises:
            LinkError: nobody to exchange to within `connect_timeout_s`.
            SessionRefusedError: every server said no.
            SpecError: robot and policy do not fit.
            ConfigError: several services and none chosen, or the robot ticks slower than the policy steps.
        """
        if self._exchange is not None or self._stopping.is_set():
            raise StateError("a client is opened once; make a new one")
        contact = FirstContact(
            self._opener,
            self._replicas,
            self._worker.presence,
            service=self._service,
            clock=self._clock,
            draw=own_draw,
        )
        session, contract = contact.open(self._instruction, self._stopping)
        try:
            exchange = self._begin_exchange(session, contract)
        except VagusError:
            self._leave(session)
            raise
        self._exchange = exchange
        self._worker.start(exchange)
        self._replica_watch = ReplicaWatch(
            self._link, self._worker.post, session.server.service, pin=self._config.pin_server
        )
        self._replica_watch.start(contract)
        return contract

    def _begin_exchange(self, session: SessionRef, contract: Contract) -> Exchange:
        rates = EngineContract(
            contract.step_rate_hz, self._opener.robot.rate_hz, contract.uses_rtc, contract.prefix_horizon
        )
        engine = self._engine = self._make_engine(self._config, rates)
        self._latency = LatencyWindow(initial_ns=_expected_latency_ns(contract))
        protocol = ClientProtocol(self._config, as_played(contract.policy, self._opener.robot), self._latency)
        protocol.opened(session, self._clock.now_ns())
        engine.link_view = protocol.view
        exchange = Exchange(engine, protocol, contract, self._replicas)
        exchange.instruction = self._instruction
        return exchange

    # -- for the control thread -------------------------------------------------------------------------

    @property
    def engine(self) -> EngineT:
        """The plan and what to do in each tick; belongs to the control thread."""
        if self._engine is None:
            raise StateError(NOT_OPEN)
        return self._engine

    @property
    def contract(self) -> Contract:
        """Contract of the sessions."""
        return self._open_exchange.contract

    def offer(self, snapshot: Snapshot) -> None:
        """Hand over a snapshot to be sent (control or camera thread); its arrays are the client's now."""
        self._worker.post(snapshot)

    def draft_failed(self, ticket: int) -> None:
        """Tell that no images could be read for this draft (control or camera thread)."""
        self._worker.post(DraftFailed(ticket))

    @property
    def instruction(self) -> str:
        """Instruction from the next request on (any thread)."""
        return self._open_exchange.instruction

    def set_instruction(self, instruction: str) -> None:
        """Set the instruction from the next request on (any thread).

        Raises:
            ConfigError: it is longer than a request carries, or no text.
        """
        check_instruction(instruction)
        self._open_exchange.instruction = instruction

    def instruction_of(self, epoch: int, seq: int) -> str | None:
        """Return the instruction of a recent request (any thread); None: it is not known any more."""
        return self._worker.instruction_of(epoch, seq)

    def status(self) -> ClientStatus:
        """Return the status of the link (any thread)."""
        protocol = self._open_exchange.protocol
        session, newest_ns = protocol.session, self._latency.newest_ns
        return ClientStatus(
            link=protocol.state,
            server="" if session is None else session.server.server,
            latency_ms=None if newest_ns is None else newest_ns / NS_PER_MS,
            dead_reason=protocol.dead_reason,
            lost_reason=protocol.lost_reason,
            said=protocol.refusals.newest,
            refusals=protocol.refusals.all,
            parts=protocol.latency.newest,
            mean_parts=protocol.latency.mean,
            round_trips=protocol.latency.count,
        )

    def counters(self) -> Mapping[str, int]:
        """Return everything counted so far by engine, protocol and worker (any thread)."""
        exchange = self._open_exchange
        total = Counter[str]()
        for part in (exchange.engine.counters, exchange.protocol.counters, self._worker.counters):
            total.update(part.copy())
        return total

    # -- end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the session and the worker; the link stays open. Twice does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._replica_watch is not None:
            self._replica_watch.stop()
        self._worker.stop()
        self._leave(None if self._exchange is None else self._exchange.protocol.session)

    def _leave(self, session: SessionRef | None) -> None:
        """Withdraw the presence, and tell the server if there is a network."""
        if session is not None and self._link.health().is_connected:
            self._opener.close(session)
        self._worker.presence.leave()

    def __enter__(self) -> PolicyClient[EngineT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _open_exchange(self) -> Exchange:
        if self._exchange is None:
            raise StateError(NOT_OPEN)
        return self._exchange


def _expected_latency_ns(contract: Contract) -> int:
    """Return the latency that the server's warm-up measured for one robot, or a second if unknown."""
    rows = [row.max_ms for row in contract.capabilities.latency if row.batch_size == 1]
    return round(rows[0] * NS_PER_MS) if rows and rows[0] > 0 else NS_PER_S
