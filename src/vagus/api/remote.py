"""`vagus.RemotePolicy`: a program asks a served policy for chunks and waits for each."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

from vagus.api.observation import GivenObservation
from vagus.api.parts import network
from vagus.api.robot_order import RobotOrder
from vagus.clock import MonotonicClock
from vagus.edge.client.blocking import REPLY_TIMEOUT_S, BlockingClient
from vagus.edge.client.discovery import find_server
from vagus.edge.client.first_contact import Patience, Setback, keep_trying
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.client.session import parse_service
from vagus.edge.client.text_limits import check_identity, check_instruction, check_robot
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError, SessionRefusedError, StateError
from vagus.setting_ranges import check_seconds
from vagus.specs import PolicySpec, RobotSpec, rename_robot_spec
from vagus.transport.host import host_id
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import ActionChunk, Prefix
from vagus.wire.contract import policy_spec_from

__all__ = ["RemotePolicy"]

AT_LEISURE = EdgeConfig(max_action_age_s=3600.0)
"""Whoever waits for a chunk has no plan that grows old meanwhile."""

OF_MOTION = "pace: "
"""What such a warning says is of robots that move on while they wait."""

logger = logging.getLogger(__name__)

_ResultT = TypeVar("_ResultT")


class RemotePolicy:
    """A served policy that a script or a simulator asks for chunks, one at a time; a context manager.

        with vagus.RemotePolicy("tcp/router:7447") as policy:
            chunk = policy.infer({"state": state, "images": {"front": frame}, "prompt": "pick it up"})
            for action in chunk.robot:
                environment.step(action)

    Nothing is sent before the first `infer`, `open`, `spec` or `contract`. Actions come as the policy gives
    them: no limit is applied, and nothing stops a robot. For a real robot use `vagus.connect` or `vagus.run`.

    Any thread may call it; calls wait for each other.
    """

    def __init__(  # noqa: PLR0913 - settings, each with a default
        self,
        endpoint: str | tuple[str, ...] = "",
        *,
        robot: RobotSpec | None = None,
        service: str = "",
        name: str = "",
        instruction: str = "",
        rename: Mapping[str, str] | None = None,
        timeout_s: float = REPLY_TIMEOUT_S,
        edge: EdgeConfig | None = None,
        zenoh: ZenohConfig | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            endpoint: of the router or of a server that listens, e.g. "tcp/router:7447"; "": a router on this
                host.
            robot: names, order, units and cameras of states and actions; they are compared with the policy's.
                None: those of the policy are taken, and nobody compares.
            service: model/revision/name of the policy; "": the only one there is.
            name: of this client, unique among those of a server; "": the host's with a random end.
            instruction: what is to be done where an observation does not say it; "": the policy's default.
            rename: robot name → policy name, for actions, state features and cameras.
            timeout_s: longest wait for one chunk.
            edge: settings of the conversation; None: the defaults, and a policy may be as slow as it is.
            zenoh: settings of the network.

        Raises:
            ConfigError: a setting is wrong.
        """
        if rename and robot is None:
            raise ConfigError("rename", wanted="a robot spec, too", got="robot=None")
        check_seconds("timeout_s", timeout_s)
        check_instruction(instruction)
        name = name or f"{socket.gethostname()}-{secrets.token_hex(3)}"
        self._identity = Identity(name, secrets.token_hex(8), host_id())
        check_identity(self._identity)
        self._zenoh = network(endpoint, zenoh)
        self._service = parse_service(service)
        self._robot = robot
        self._rename = dict(rename or {})
        self._edge = edge or AT_LEISURE
        if robot is None:
            self._edge = replace(self._edge, trust_units=True)  # its units are the policy's, stated or not
        self._timeout_s = timeout_s
        self.instruction = instruction
        self._lock = threading.RLock()
        self._is_closed = False
        self._link: ZenohLink | None = None
        self._talk: _Talk | None = None

    # -- asking -----------------------------------------------------------------------------------------

    def infer(
        self,
        observation: GivenObservation,
        *,
        prefix: ActionChunk | Prefix | None = None,
        inference_delay: int = 0,
        step: int | None = None,
        timeout_s: float | None = None,
    ) -> ActionChunk:
        """Return the chunk for this observation; `chunk.robot` is (n, action_dim), in the robot's units.

        Args:
            observation: a mapping with "state" (state_dim,), "images": camera name → (height, width, 3) uint8
                RGB, "depth": depth camera name → (height, width) uint16, and "instruction" or "prompt"; or an
                `Observation`.
            prefix: what is left of the running plan from this observation on (real-time chunking).
            inference_delay: first actions of it that are executed whatever is answered.
            step: policy step of the observation; None: by the time since the episode began.
            timeout_s: longest wait for the reply; None: that of the constructor. If no session is
                open, one is opened first, within `connect_timeout_s` or `start_timeout_s` of `edge`.

        Raises:
            SpecError: the observation or the prefix is not what the policy wants; or a server is back with
                another model, other names or units than the first session agreed on.
            LinkError: no server, or no reply in time; the next call opens the session again.
            PolicyError: the policy failed for this observation.
            SessionRefusedError: the server takes no more clients, or not this one.
            StateError: it was closed.
        """
        with self._lock:
            talk = self._ready()
            request, said = talk.order.request(observation, talk.client.open(), step=step)
            if prefix is not None or inference_delay:
                request = talk.order.continuing(request, prefix, inference_delay, talk.client.open())
            talk.client.instruction = self.instruction if said is None else said
            check_instruction(talk.client.instruction)
            chunk = talk.client.ask(request, timeout_s=self._timeout_s if timeout_s is None else timeout_s)
            return talk.order.chunk_to_robot(chunk)

    def reset(self) -> None:
        """Begin a new episode: the next request carries the boundary."""
        talk = self._talk
        if talk is not None:
            talk.client.begin_episode()

    # -- session ----------------------------------------------------------------------------------------

    def open(self) -> Contract:
        """Open the session, if none is open, and return what was agreed on.

        Raises:
            LinkError, SessionRefusedError, SpecError, StateError: as `infer`.
        """
        with self._lock:
            return self._ready().client.open()

    @property
    def contract(self) -> Contract:
        """What was agreed on: policy, model hash, rate, warnings; opens the session if none is open."""
        return self.open()

    @property
    def spec(self) -> PolicySpec:
        """What the policy wants and gives, in its own names and order; opens the session if none is open."""
        return self.open().policy

    def close(self) -> None:
        """End the session and leave the network. Twice does nothing."""
        with self._lock:
            self._is_closed = True
            talk, self._talk = self._talk, None
            link, self._link = self._link, None
            if talk is not None:
                talk.client.close()
            if link is not None:
                link.close()

    def __enter__(self) -> RemotePolicy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _ready(self) -> _Talk:
        """Return the conversation with its session open."""
        if self._is_closed:
            raise StateError("this remote policy was closed; make another")
        if self._link is None:
            link = ZenohLink(self._zenoh)
            try:
                link.open()
            except BaseException:
                link.close()
                raise
            self._link = link
        link = self._link
        if self._talk is None:
            talk = self._patiently(lambda: self._begun(link))
            for warning in talk.client.open().warnings:
                if not warning.startswith(OF_MOTION):
                    logger.warning("%s", warning)
            self._talk = talk
        self._patiently(self._talk.client.open)
        return self._talk

    def _begun(self, link: ZenohLink) -> _Talk:
        server, said = find_server(link, self._service, self._edge)
        policy = policy_spec_from(said)
        robot = self._robot or _mirror(policy)
        order = RobotOrder(robot, policy, self._rename)
        renamed = rename_robot_spec(robot, self._rename)
        check_robot(renamed)
        client = BlockingClient(
            link,
            renamed,
            self._identity,
            self._edge,
            service=server.service,
            instruction=self.instruction,
        )
        client.open()
        if self._robot is None:
            logger.info("no robot spec: names, order and units are those of the policy")
        return _Talk(client, order)

    def _patiently(self, attempt: Callable[[], _ResultT]) -> _ResultT:
        """Return what `attempt` returns; a server may need its time to appear or to start."""
        clock = MonotonicClock()
        patience = Patience(self._edge, clock.now_ns())

        def is_over(error: Setback, now_ns: int) -> bool:
            return isinstance(error, SessionRefusedError) or patience.is_over(error, now_ns)

        return keep_trying(attempt, is_over, patience, clock=clock, stopping=threading.Event())


@dataclass(frozen=True, slots=True)
class _Talk:
    """A client, and the robot's order of what it asks with."""

    client: BlockingClient
    order: RobotOrder


def _mirror(policy: PolicySpec) -> RobotSpec:
    """Return a robot as the policy wants it."""
    return RobotSpec(
        "unspecified", policy.actions, policy.state, policy.cameras, policy.rate_hz, policy.depth_cameras
    )
