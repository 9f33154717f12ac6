"""First contact of a client: tries until a server opens a session, or the time for it is up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from vagus.clock import Clock, seconds_to_ns
from vagus.edge.client.handshake import TRANSIENT_REFUSALS, Contract, check_pin
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.replicas import Replicas
from vagus.edge.client.session import (
    Presence,
    SessionOpener,
    fetch_capabilities,
    find_service,
    living_servers,
    nobody_ready,
    pinned,
)
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, ProtocolError, ServerStartingError, SessionRefusedError, VagusError
from vagus.quoting import quoted
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.service_name import ServiceName
from vagus.wire.fill import emptiest
from vagus.wire.schema import Capabilities, EventCode

__all__ = ["CHOICES", "FirstContact", "Patience", "Setback", "keep_trying"]

logger = logging.getLogger(__name__)

RETRY_S = 0.1
"""Pause between tries of the first contact."""
CHOICES = 2
"""Servers whose load is asked for before one is chosen: the better of two random ones. To ask all would
send everybody who asks at the same moment to the same server."""

ResultT = TypeVar("ResultT")
Setback: TypeAlias = LinkError | SessionRefusedError | ProtocolError
"""Errors that may end by themselves: no server yet, no free place, or one that speaks nonsense while another
one may not."""
SETBACKS = (LinkError, SessionRefusedError, ProtocolError)


class Patience:
    """Time limits of the first contact; a server that is starting begins the wait anew."""

    def __init__(self, config: EdgeConfig, now_ns: int) -> None:
        self._start_timeout_ns = seconds_to_ns(config.start_timeout_s)
        self._connect_timeout_ns = seconds_to_ns(config.connect_timeout_s)
        self._begin_ns = now_ns
        self._starting_ns = now_ns
        self._told = ""

    def is_over(self, error: VagusError, now_ns: int) -> bool:
        """Whether to give up after this failure of a try."""
        if isinstance(error, ServerStartingError):
            self._starting_ns = now_ns
            return now_ns - self._begin_ns >= self._start_timeout_ns
        return now_ns - self._starting_ns >= self._connect_timeout_ns

    def news(self, error: VagusError) -> str:
        """Return the line to log while waiting: which server is starting, once per change; else ""."""
        text = str(error) if isinstance(error, ServerStartingError) else ""
        if text == self._told or not text:
            return ""
        self._told = text
        return f"{text}; waiting for it, at most {self._start_timeout_ns / 1e9:g} s"


def keep_trying(
    attempt: Callable[[], ResultT],
    is_over: Callable[[Setback, int], bool],
    patience: Patience,
    *,
    clock: Clock,
    stopping: threading.Event,
) -> ResultT:
    """Repeat `attempt` until it returns; return its result.

    Args:
        attempt: one try; raises a Setback where another may succeed.
        is_over: whether to give up after this error, at this time in nanoseconds.
        patience: tells which server is starting.
        clock: time between the tries.
        stopping: cuts the pauses short.

    Raises:
        LinkError, SessionRefusedError, ProtocolError: of the last try.
        VagusError: any other error of a try, at once.
    """
    while True:
        try:
            return attempt()
        except SETBACKS as error:
            if is_over(error, clock.now_ns()):
                raise
            if news := patience.news(error):
                logger.info("%s", news)
        clock.wait_until_ns(clock.now_ns() + seconds_to_ns(RETRY_S), stopping)


class FirstContact:
    """Opens the first session of a client, with any server of the service that accepts it.

    Args:
        opener: link, robot, settings and identity.
        replicas: learns who is alive, who failed and who must not be used.
        presence: is at the server of the session afterwards, or nowhere.
        service: whom to talk to; None: the only service on the network.
        clock: monotonic.
        draw: random number in [0, 1).
    """

    def __init__(
        self,
        opener: SessionOpener,
        replicas: Replicas,
        presence: Presence,
        *,
        service: ServiceName | None,
        clock: Clock,
        draw: Callable[[], float],
    ) -> None:
        self._opener = opener
        self._link = opener.link
        self._config = opener.config
        self._replicas = replicas
        self._presence = presence
        self._service = service
        self._clock = clock
        self._draw = draw
        self._round_trips_ns: dict[ServerKey, int] = {}

    def open(self, instruction: str, stopping: threading.Event) -> tuple[SessionRef, Contract]:
        """Return the session and its contract; raises as `PolicyClient.open` does."""
        patience = Patience(self._config, self._clock.now_ns())

        def is_over(error: Setback, now_ns: int) -> bool:
            return self._is_final(error) or patience.is_over(error, now_ns)

        try:
            return keep_trying(
                lambda: self._try(instruction), is_over, patience, clock=self._clock, stopping=stopping
            )
        except VagusError:
            self._presence.leave()
            raise

    def _is_final(self, error: Setback) -> bool:
        """Whether another try is useless: not while another server may have the pinned model."""
        if not isinstance(error, SessionRefusedError) or error.code in TRANSIENT_REFUSALS:
            return False
        is_about_pin = bool(self._config.pin_model) and error.code == EventCode.MODEL_CHANGED.value
        return not is_about_pin or self._replicas.are_all_excluded

    def _try(self, instruction: str) -> tuple[SessionRef, Contract]:
        timeout_s = self._config.handshake_timeout_s
        service = find_service(self._link, self._service, timeout_s=timeout_s)
        listed = living_servers(self._link, service.all_alive, timeout_s=timeout_s)
        self._replicas.set_all_alive(pinned(listed, self._config.pin_server))
        self._replicas.retry_now()
        server, wanted = self._emptier(service)
        try:
            self._presence.move_to(server)
            return self._opener.open(
                server,
                wanted,
                instruction=instruction,
                contract=None,
                round_trip_ns=self._round_trips_ns.get(server, 0),
            )
        except SETBACKS:
            self._replicas.set_back(server, self._clock.now_ns())  # so that the next try asks another
            raise

    def _emptier(self, service: ServiceKey) -> tuple[ServerKey, Capabilities]:
        """Return the emptier of two random servers, by what they say now; one that fails is set back."""
        chosen = self._replicas.choose_some(self._clock.now_ns(), CHOICES)
        answers = [(server, self._ask(server)) for server in chosen]
        usable = [(server, said) for server, said in answers if isinstance(said, Capabilities)]
        if usable:
            return usable[emptiest([said.load for _, said in usable], self._draw)]
        if self._replicas.are_all_excluded:
            raise SessionRefusedError(EventCode.MODEL_CHANGED.value, self._why_excluded())
        for _, why in answers:
            if isinstance(why, VagusError):
                raise why
        timeout_s = self._config.handshake_timeout_s
        raise nobody_ready(self._link, service, pin=self._config.pin_server, timeout_s=timeout_s)

    def _ask(self, server: ServerKey) -> Capabilities | Setback:
        """Return what a server says of itself, or why it cannot be used; then it is set back."""
        begin_ns = self._clock.now_ns()
        try:
            said = fetch_capabilities(self._link, server)
            self._round_trips_ns[server] = self._clock.now_ns() - begin_ns
            self._replicas.note_load(server, said.load)
            self._check_pin(server, said)
            _check_working(said)
        except SETBACKS as error:
            self._replicas.set_back(server, self._clock.now_ns())  # so that the next try asks another
            return error
        return said

    def _check_pin(self, server: ServerKey, said: Capabilities) -> None:
        try:
            check_pin(said, self._config)
        except SessionRefusedError as error:
            self._replicas.exclude(server, error.reason)
            raise

    def _why_excluded(self) -> str:
        return "; ".join(self._replicas.excluded.values())


def _check_working(said: Capabilities) -> None:
    """Raise SessionRefusedError if the policy fails for everybody: no robot is connected to begin with it."""
    if said.failing:
        why = f"the policy of server {quoted(said.server)} fails for everybody: {quoted(said.failing)}"
        raise SessionRefusedError(EventCode.NOT_READY.value, why)
