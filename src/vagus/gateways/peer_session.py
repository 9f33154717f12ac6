"""Session of one foreign robot with one vagus server: names, order, and the plan that the robot executes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from vagus.clock import Clock
from vagus.control.mapping import OrderMapping
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.codec import Reply
from vagus.edge.client.discovery import find_server
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, ProtocolError
from vagus.gateways.metrics import GatewayMetrics
from vagus.gateways.neutral import ForeignRtc
from vagus.gateways.wire_mapping import WireMapping, WireObservation
from vagus.specs import rename_robot_spec
from vagus.transport.keys import ServiceKey
from vagus.transport.link import Link
from vagus.transport.service_name import ServiceName
from vagus.types import ActionChunk, FloatArray, Prefix
from vagus.wire.contract import policy_spec_from

__all__ = ["PeerSession", "PeerSettings"]

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Largest differences between an action that was given and the same on its way back."""


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


class PeerSession:
    """Session of a robot; opened again, with any server that has the same policy, when its server goes.

    Args:
        settings: what all robots of the gateway have in common.
        identity: name in keys, logs and audits.
        service: whom it is served by; None: the only service on the network.

    Raises:
        LinkError: no server, or what it says of itself cannot be read.
        SpecError: the names of profile and policy do not fit.

    Attributes:
        is_outdated: the server came back with another policy.
        is_continued: the last chunk continues the plan that the robot said it executes.
    """

    def __init__(
        self, settings: PeerSettings, identity: Identity, service: ServiceName | ServiceKey | None
    ) -> None:
        robot = settings.mapping.robot_spec
        with _blamed_on_server():
            server, said = find_server(settings.link, service, settings.edge)
            policy = policy_spec_from(said)
        self._settings = settings
        self._order = OrderMapping(robot, policy, settings.rename)
        self._client = BlockingClient(
            settings.link,
            rename_robot_spec(robot, settings.rename),
            identity,
            settings.edge,
            service=server.service,
            instruction=settings.instruction,
        )
        self._last: ActionChunk | None = None
        self.is_outdated = False
        self.is_continued = False

    def open(self) -> Contract:
        """Open the session, if it is not, and return what was agreed on; raises as `ask`."""
        with _blamed_on_server():
            return self._client.open()

    def ask(self, observation: WireObservation, rtc: ForeignRtc | None, *, timeout_s: float) -> Reply:
        """Return the chunk for an observation, in the profile's order.

        Raises as `BlockingClient.ask`, but a ProtocolError is the robot's fault: what is wrong with an answer
        of the server is a LinkError.
        """
        said = observation.instruction
        self._client.instruction = self._settings.instruction if said is None else said
        request = ChunkRequest(
            state=self._order.state_to_policy(observation.state),
            images=self._order.images_to_policy(observation.images),
        )
        if rtc is not None and rtc.is_enabled is not False:
            request = self._continuing(request, rtc)
        with _blamed_on_server():
            reply = self._client.ask_timed(request, timeout_s=timeout_s)
        chunk = replace(reply.chunk, robot=self._order.actions_to_robot(reply.chunk.robot))
        self._last = chunk
        self.is_continued = request.prefix is not None
        return replace(reply, chunk=chunk)

    def begin_episode(self) -> None:
        """Begin a new episode: the next request carries the boundary."""
        self._last = None
        self._client.begin_episode()

    def close(self) -> None:
        """End the session. Twice does nothing."""
        self._client.close()

    def _continuing(self, request: ChunkRequest, rtc: ForeignRtc) -> ChunkRequest:
        """Return `request` with the plan that the robot executes, if it is the one that it was given."""
        contract = self.open()
        if rtc.prefix is None or not len(rtc.prefix) or not contract.uses_rtc:
            return request
        prefix = self._rest_of_plan(self._settings.mapping.prefix_from(rtc.prefix), rtc.elapsed)
        if prefix is None:
            self._settings.metrics.count("rtc_unmatched")
            return request
        executed = rtc.execute_horizon
        return replace(
            request,
            prefix=prefix,
            inference_delay=min(rtc.inference_delay or 0, len(prefix)),
            prefix_horizon=(
                contract.prefix_horizon if executed is None else max(contract.policy.horizon - executed, 0)
            ),
        )

    def _rest_of_plan(self, robot: FloatArray, elapsed: int) -> Prefix | None:
        """Return the part of the last chunk that `robot`, (n, action_dim), is; None: it is not of it.

        It begins `elapsed` rows earlier: those were executed since the observation. What was executed before
        the chunk is not known; its first row stands for it.
        """
        last = self._last
        if last is None or robot.shape[1] != last.robot.shape[1]:
            return None
        for begin in range(len(last.robot)):
            known = last.robot[begin : begin + len(robot)]
            if np.allclose(robot[: len(known)], known, rtol=RELATIVE, atol=ABSOLUTE):
                rows = [max(row, 0) for row in range(begin - elapsed, begin + len(known))]
                return Prefix(last.model[rows], self._order.actions_to_policy(last.robot[rows]))
        return None


@contextmanager
def _blamed_on_server() -> Iterator[None]:
    """Turn an answer of a server that cannot be read into a LinkError: no robot is told that it was wrong."""
    try:
        yield
    except ProtocolError as error:
        raise LinkError(f"the server's answer cannot be used: {error}") from error
