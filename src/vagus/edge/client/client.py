"""The policy client: first contact, then a worker beside the control thread."""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

from vagus.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock, seconds_to_ns
from vagus.edge.client.codec import as_played
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract, check_pin
from vagus.edge.client.inflight import LatencyParts, LatencyWindow
from vagus.edge.client.patience import Patience
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.client.refusals import Refusal
from vagus.edge.client.replica_watch import ReplicaWatch
from vagus.edge.client.replicas import Backoff, Replicas
from vagus.edge.client.session import (
    SessionOpener,
    fetch_capabilities,
    find_service,
    living_servers,
    nobody_ready,
    pinned,
)
from vagus.edge.client.text_limits import check_identity, check_instruction, check_robot
from vagus.edge.client.worker import Conversation, Worker
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import EngineContract, EngineSide
from vagus.errors import LinkError, SessionRefusedError, StateError, VagusError
from vagus.quoting import quoted
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.types import LinkState, Snapshot
from vagus.wire.schema import Capabilities, EventCode

__all__ = ["ClientStatus", "PolicyClient"]

logger = logging.getLogger(__name__)

RETRY_S = 0.1
"""Pause between tries of the first contact."""
NOT_OPEN = "this client is not open; call open() first"

EngineT = TypeVar("EngineT", bound=EngineSide)


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """What a status line shows.

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
        """Return why the robot was stopped, with what is known of the link and what the server said."""
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
            service: whom to talk to; None: the only service on the network.
            instruction: what the robot is to do.
            clock: time, for tests.

        Raises:
            ConfigError: a name, a tag or the instruction is longer than a message carries, or no text.
        """
        check_identity(opener.identity)
        check_robot(opener.robot)
        check_instruction(instruction)
        config = opener.config
        self._opener = opener
        self._config = config
        self._link: Link = opener.link
        self._service = service
        self._instruction = instruction
        self._clock = clock or MonotonicClock()
        self._latency = LatencyWindow()
        self._replicas = Replicas(
            Backoff(seconds_to_ns(config.backoff_initial_s), seconds_to_ns(config.backoff_max_s))
        )
        run_seed = random.getrandbits(64) if config.seed is None else config.seed
        self._worker = Worker(config, opener, self._clock, run_seed=run_seed)
        self._stopping = threading.Event()
        self._replica_watch: ReplicaWatch | None = None
        self._talk: Conversation | None = None
        self._make_engine = make_engine
        self._engine: EngineT | None = None

    # -- first contact ----------------------------------------------------------------------------------

    def open(self) -> Contract:
        """Make the first contact, start the worker, and return what was agreed on.

        Raises:
            LinkError: nobody to talk to within `connect_timeout_s`.
            SessionRefusedError: every server said no.
            SpecError: robot and policy do not fit.
            ConfigError: several services and none chosen, or the robot ticks slower than the policy steps.
        """
        if self._talk is not None or self._stopping.is_set():
            raise StateError("a client is opened once; make a new one")
        session, contract = self._first_session()
        try:
            talk = self._begin_talk(session, contract)
        except VagusError:
            self._leave(session)
            raise
        self._talk = talk
        self._worker.start(talk)
        self._replica_watch = ReplicaWatch(
            self._link, self._worker, session.server.service, pin=self._config.pin_server
        )
        self._replica_watch.start(contract)
        return contract

    def _begin_talk(self, session: SessionRef, contract: Contract) -> Conversation:
        rates = EngineContract(
            contract.step_rate_hz, self._opener.robot.rate_hz, contract.uses_rtc, contract.prefix_horizon
        )
        engine = self._engine = self._make_engine(self._config, rates)
        self._latency = LatencyWindow(initial_ns=_expected_latency_ns(contract))
        protocol = ClientProtocol(self._config, as_played(contract.policy, self._opener.robot), self._latency)
        protocol.opened(session, self._clock.now_ns())
        engine.link_view = protocol.view
        talk = Conversation(engine, protocol, contract, self._replicas)
        talk.instruction = self._instruction
        return talk

    def _first_session(self) -> tuple[SessionRef, Contract]:
        patience = Patience(self._config, self._clock.now_ns())
        while True:
            try:
                return self._try_first_session()
            except (LinkError, SessionRefusedError) as error:
                if self._is_final(error) or patience.is_over(error, self._clock.now_ns()):
                    self._worker.presence.leave()
                    raise
                news = patience.news(error)
                if news:
                    logger.info("%s", news)
            except VagusError:
                self._worker.presence.leave()
                raise
            self._clock.wait_until_ns(self._clock.now_ns() + seconds_to_ns(RETRY_S), self._stopping)

    def _is_final(self, error: LinkError | SessionRefusedError) -> bool:
        """Whether asking again is of no use: no while another server may have the pinned model."""
        if isinstance(error, LinkError) or error.code in TRANSIENT_REFUSALS:
            return False
        is_about_pin = bool(self._config.pin_model) and error.code == EventCode.MODEL_CHANGED.value
        return not is_about_pin or self._replicas.are_all_excluded

    def _try_first_session(self) -> tuple[SessionRef, Contract]:
        timeout_s = self._config.handshake_timeout_s
        service = find_service(self._link, self._service, timeout_s=timeout_s)
        listed = living_servers(self._link, service.all_alive, timeout_s=timeout_s)
        servers = pinned(listed, self._config.pin_server)
        self._replicas.set_all_alive(servers)
        self._replicas.retry_now()
        server = self._replicas.choose(self._clock.now_ns())
        if server is None and self._replicas.are_all_excluded:
            reasons = "; ".join(self._replicas.excluded.values())
            raise SessionRefusedError(EventCode.MODEL_CHANGED.value, reasons)
        if server is None:
            raise nobody_ready(self._link, service, pin=self._config.pin_server, timeout_s=timeout_s)
        try:
            wanted = fetch_capabilities(self._link, server)
            self._check_pin(server, wanted)
            _check_working(wanted)
            self._worker.presence.move_to(server)
            return self._opener.open(server, wanted, instruction=self._instruction, contract=None)
        except (LinkError, SessionRefusedError):
            self._replicas.set_back(server, self._clock.now_ns())  # so that the next try asks another
            raise

    def _check_pin(self, server: ServerKey, said: Capabilities) -> None:
        try:
            check_pin(said, self._config)
        except SessionRefusedError as error:
            self._replicas.exclude(server, error.reason)
            reasons = "; ".join(self._replicas.excluded.values())
            raise SessionRefusedError(error.code, reasons) from error

    # -- for the control thread -------------------------------------------------------------------------

    @property
    def engine(self) -> EngineT:
        """The plan and what to do in each tick; belongs to the control thread."""
        if self._engine is None:
            raise StateError(NOT_OPEN)
        return self._engine

    @property
    def contract(self) -> Contract:
        """What the sessions agreed on."""
        return self._open_talk.contract

    def offer(self, snapshot: Snapshot) -> None:
        """Hand over a snapshot to be sent (control or camera thread); its arrays are the client's now."""
        self._worker.post(partial(self._worker.send, snapshot))

    def draft_failed(self, ticket: int) -> None:
        """No images could be had for this draft (control or camera thread)."""
        self._worker.post(lambda talk: talk.protocol.draft_failed(ticket, self._clock.now_ns()))

    @property
    def instruction(self) -> str:
        """What the robot is to do from the next request on (any thread)."""
        return self._open_talk.instruction

    def set_instruction(self, instruction: str) -> None:
        """Ask for something else from the next request on (any thread).

        Raises:
            ConfigError: it is longer than a request carries, or no text.
        """
        check_instruction(instruction)
        self._open_talk.instruction = instruction

    def instruction_of(self, epoch: int, seq: int) -> str | None:
        """Return what a recent request asked for (any thread); None: it is not known any more."""
        return self._worker.instruction_of(epoch, seq)

    def status(self) -> ClientStatus:
        """Return how the conversation stands (any thread)."""
        protocol = self._open_talk.protocol
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
        talk = self._open_talk
        total = Counter[str]()
        for part in (talk.engine.counters, talk.protocol.counters, self._worker.counters):
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
        self._leave(None if self._talk is None else self._talk.protocol.session)

    def _leave(self, session: SessionRef | None) -> None:
        """Be found nowhere any more, and tell the server so while there is a network."""
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
    def _open_talk(self) -> Conversation:
        if self._talk is None:
            raise StateError(NOT_OPEN)
        return self._talk


def _expected_latency_ns(contract: Contract) -> int:
    """Return what the server's warm-up measured for one robot, or a second where it did not say."""
    rows = [row.max_ms for row in contract.capabilities.latency if row.batch_size == 1]
    return round(rows[0] * NS_PER_MS) if rows and rows[0] > 0 else NS_PER_S


def _check_working(said: Capabilities) -> None:
    """Raise SessionRefusedError if the policy fails for everybody: no robot is connected to begin with it."""
    if said.failing:
        why = f"the policy of server {quoted(said.server)} fails for everybody: {quoted(said.failing)}"
        raise SessionRefusedError(EventCode.NOT_READY.value, why)
