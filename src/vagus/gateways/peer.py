"""One foreign robot at a gateway: its session with a vagus server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S, Clock, seconds_to_ns
from vagus.control.mapping import OrderMapping
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.codec import Reply
from vagus.edge.client.discovery import find_server
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract, Identity
from vagus.edge.client.text_limits import check_instruction
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, SessionRefusedError, SpecError, StateError
from vagus.gateways.metrics import GatewayMetrics
from vagus.gateways.neutral import ForeignReply, ForeignRequest, ForeignRtc, ReplyTiming
from vagus.gateways.wire_mapping import WireMapping, WireObservation
from vagus.specs import rename_robot_spec
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.types import ActionChunk, Prefix
from vagus.wire.contract import policy_spec_from
from vagus.wire.schema import EventCode

__all__ = ["Peer", "PeerReply", "PeerSettings"]

RETRY_NS = 50 * NS_PER_MS
"""Pause between two tries to find a server."""

PASSING = TRANSIENT_REFUSALS - {EventCode.SESSIONS_FULL.value, EventCode.TOO_SLOW.value}
"""Refusals that pass within a moment: the server starts or ends, or has not yet heard that this robot's last
process is gone."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What all robots of a gateway have in common.

    Attributes:
        link: the network.
        mapping: translation between the wire and vagus.
        rename: name in the profile → name in the policy.
        edge: settings of the conversation.
        instruction: instruction for requests that give none.
        answer_timeout_s: longest time from a request to its answer.
        metrics: counters of the gateway.
        clock: monotonic.
    """

    link: Link
    mapping: WireMapping
    rename: Mapping[str, str]
    edge: EdgeConfig
    instruction: str
    answer_timeout_s: float
    metrics: GatewayMetrics
    clock: Clock


@dataclass(frozen=True, slots=True, eq=False)
class PeerReply:
    """Answer to a foreign robot.

    Attributes:
        reply: actions by their names on the wire, (horizon, width) each.
        timing: how long it took.
        step_s: seconds from one action to the next.
    """

    reply: ForeignReply
    timing: ReplyTiming
    step_s: float


class Peer:
    """A foreign robot with a session of its own; a context manager.

    The session opens with the first request, and again, with any server that has the same policy, when its
    server goes. Methods block; any thread may call them, and calls wait for each other.

    Args:
        settings: what all robots of the gateway have in common.
        identity: name in keys, logs and audits.
        service: whom it is served by; None: the only service on the network.
        leave: called once, when the robot has gone.

    Attributes:
        name: name of the robot's session, `<gateway>-<n>`.
    """

    def __init__(
        self,
        settings: PeerSettings,
        identity: Identity,
        *,
        service: ServiceName | None,
        leave: Callable[[], None],
    ) -> None:
        self.name = identity.name
        self._settings = settings
        self._identity = identity
        self._service = service
        self._leave = leave
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._talk: _Talk | None = None

    def open(self) -> Contract:
        """Open the session, if none is open, and return what was agreed on.

        Raises:
            LinkError: no server within the answer timeout.
            SpecError: profile and policy do not fit.
            SessionRefusedError: no server has a place for this robot.
            StateError: the robot has gone.
        """
        with self._lock:
            return self._patiently(self._deadline_ns(), lambda _: self._ready().client.open())

    def infer(self, request: ForeignRequest, rtc: ForeignRtc | None = None) -> PeerReply:
        """Return the actions for an observation.

        Args:
            request: canonical: one array per state group, one picture per camera.
            rtc: what the robot says of the plan that it executes.

        Raises:
            ProtocolError, SpecError: the request is not what the profile says, or profile and policy do not
                fit.
            LinkError: no server, or no answer of one, within the answer timeout.
            PolicyError: the policy failed for this observation.
            SessionRefusedError: no server has a place for this robot.
            StateError: the robot has gone.
        """
        with self._lock, self._settings.metrics.timed() as timed:
            observation = self._settings.mapping.observation_from(request)
            check_instruction(observation.instruction or "")
            deadline_ns = self._deadline_ns()
            reply = self._patiently(deadline_ns, lambda left_s: self._ask(observation, rtc, left_s))
            talk = self._ready()
            chunk = talk.to_robot(reply.chunk)
            actions = self._settings.mapping.actions_to(chunk.robot, observation.state)
            talk.last = chunk
            timing = ReplyTiming(infer_ms=timed.elapsed_ms(), policy_ms=reply.inference_ns / NS_PER_MS)
            return PeerReply(ForeignReply(dict(actions)), timing, 1 / talk.client.open().step_rate_hz)

    def reset(self) -> None:
        """Begin a new episode: the next request carries the boundary.

        A policy that has changed meanwhile is accepted from here on: no plan of the old one is executed.
        """
        with self._lock:
            talk = self._talk
            if talk is None:
                return
            if talk.is_outdated:
                self._end_talk()
            else:
                talk.last = None
                talk.client.begin_episode()

    def close(self) -> None:
        """End the session and free the place. Twice does nothing; it waits for a request in progress."""
        if self._closing.is_set():
            return
        self._closing.set()
        with self._lock:
            self._end_talk()
        self._leave()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _deadline_ns(self) -> int:
        return self._settings.clock.now_ns() + seconds_to_ns(self._settings.answer_timeout_s)

    def _patiently(self, deadline_ns: int, attempt: Callable[[float], ResultT]) -> ResultT:
        """Return what `attempt` returns; without a server that takes it, it is repeated until the deadline.

        Args:
            deadline_ns: monotonic time at which the last try has failed.
            attempt: one try; gets the seconds that are left.
        """
        clock = self._settings.clock
        while True:
            if self._closing.is_set():
                raise StateError(f"robot {self.name} has gone")
            try:
                return attempt(max((deadline_ns - clock.now_ns()) / NS_PER_S, 0.0))
            except (LinkError, SessionRefusedError) as error:
                is_final = isinstance(error, SessionRefusedError) and error.code not in PASSING
                if is_final or clock.now_ns() + RETRY_NS >= deadline_ns:
                    raise
            except SpecError:
                if self._talk is not None:
                    self._talk.is_outdated = True
                raise
            clock.wait_until_ns(clock.now_ns() + RETRY_NS, self._closing)

    def _ask(self, observation: WireObservation, rtc: ForeignRtc | None, left_s: float) -> Reply:
        talk = self._ready()
        said = observation.instruction
        talk.client.instruction = self._settings.instruction if said is None else said
        request = ChunkRequest(
            state=talk.order.state_to_policy(observation.state),
            images=talk.order.images_to_policy(observation.images),
        )
        if rtc is not None and rtc.is_enabled is not False:
            request = self._continuing(request, rtc, talk)
        return talk.client.ask_timed(request, timeout_s=left_s)

    def _continuing(self, request: ChunkRequest, rtc: ForeignRtc, talk: _Talk) -> ChunkRequest:
        """Return `request` with the plan that the robot executes, if it is the one that it was given."""
        contract = talk.client.open()
        if rtc.prefix is None or not len(rtc.prefix) or not contract.uses_rtc:
            return request
        robot = self._settings.mapping.prefix_from(rtc.prefix)
        prefix = talk.rest_of_plan(robot)
        if prefix is None:
            self._settings.metrics.count("rtc_unmatched")
            return request
        horizon = contract.policy.horizon
        return replace(
            request,
            prefix=prefix,
            inference_delay=min(rtc.inference_delay or 0, len(prefix)),
            prefix_horizon=(
                contract.prefix_horizon
                if rtc.execute_horizon is None
                else max(horizon - rtc.execute_horizon, 0)
            ),
        )

    def _ready(self) -> _Talk:
        if self._talk is None:
            self._talk = self._begin_talk()
        return self._talk

    def _begin_talk(self) -> _Talk:
        settings = self._settings
        robot = settings.mapping.robot_spec
        policy = policy_spec_from(find_server(settings.link, self._service, settings.edge)[1])
        order = OrderMapping(robot, policy, settings.rename)
        renamed = rename_robot_spec(robot, settings.rename)
        client = BlockingClient(
            settings.link,
            renamed,
            self._identity,
            settings.edge,
            service=self._service,
            instruction=settings.instruction,
        )
        return _Talk(client, order)

    def _end_talk(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.client.close()


class _Talk:
    """A session's client, the translation of its names, and the last chunk in the profile's order."""

    def __init__(self, client: BlockingClient, order: OrderMapping) -> None:
        self.client = client
        self.order = order
        self.last: ActionChunk | None = None
        self.is_outdated = False

    def to_robot(self, chunk: ActionChunk) -> ActionChunk:
        """Return a chunk of the policy with `robot` in the profile's order."""
        return replace(chunk, robot=self.order.actions_to_robot(chunk.robot))

    def rest_of_plan(self, robot: np.ndarray) -> Prefix | None:
        """Return the part of the last chunk that `robot`, (n, action_dim), is; None: it is not of it."""
        last = self.last
        if last is None or robot.shape[1] != last.robot.shape[1]:
            return None
        for begin in range(len(last.robot)):
            known = last.robot[begin : begin + len(robot)]
            given = robot[: len(known)]
            if np.allclose(given, known, rtol=1e-4, atol=1e-5):
                model = last.model[begin : begin + len(given)]
                return Prefix(model, self.order.actions_to_policy(known))
        return None
