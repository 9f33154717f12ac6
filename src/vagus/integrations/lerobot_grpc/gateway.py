"""Gateway for LeRobot's robot clients: the gRPC service `transport.AsyncInference`, without LeRobot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Protocol

import grpc

from vagus.clock import Clock, MonotonicClock
from vagus.errors import LinkError, ProtocolError, SessionRefusedError, SpecError, StateError, VagusError
from vagus.gateways.call_pace import CallPace
from vagus.gateways.callers import MAX_STRANGERS
from vagus.gateways.gateway import Gateway
from vagus.gateways.grpc_listener import GrpcLimits, GrpcListener
from vagus.integrations.lerobot_grpc.conversation import WaitingCall
from vagus.integrations.lerobot_grpc.conversations import MAX_CALLS, Conversations
from vagus.integrations.lerobot_grpc.dialect import decode_setup
from vagus.integrations.lerobot_grpc.protobuf import PART_BYTES, ObservationParts, decode_part
from vagus.quoting import quoted

__all__ = ["LeRobotGrpcListener"]

SERVICE: Final = "transport.AsyncInference"
"""Its name since July 2025, in every release that has it; before, it was `async_inference.AsyncInference`."""
EMPTY: Final = b""
"""The message `Empty`, and `Actions` without data."""
MAX_DETAILS: Final = 1500
"""Longest text of an error, in characters; gRPC takes some kilobytes of them."""
MAX_SETUP_BYTES: Final = 1 << 20
MAX_PARTS: Final = 1024
"""Most parts of one observation. LeRobot's are 2 MiB each."""
ENDS_WITHIN_S: Final = 0.5
"""Time within which a call ends whose connection is lost, once its stream has ended."""

STATUS: Final[tuple[tuple[type[VagusError], grpc.StatusCode], ...]] = (
    (SessionRefusedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (LinkError, grpc.StatusCode.UNAVAILABLE),  # LeRobot's client tries again by itself
    (StateError, grpc.StatusCode.FAILED_PRECONDITION),
    (ProtocolError, grpc.StatusCode.INVALID_ARGUMENT),
    (SpecError, grpc.StatusCode.INVALID_ARGUMENT),
)
"""Error → status of the call; any other is INTERNAL."""

logger = logging.getLogger(__name__)


class _Call(Protocol):
    """What this module uses of gRPC's `ServicerContext`."""

    def peer(self) -> str: ...
    def cancel(self) -> bool: ...
    def add_callback(self, callback: Callable[[], None]) -> bool: ...
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class LeRobotGrpcListener:
    """Serves LeRobot's robot clients; each connection is a robot with a session of its own.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None = None) -> None:
        clock = clock or MonotonicClock()
        self._gateway = gateway
        self._conversations = Conversations(gateway, clock)
        limits = GrpcLimits(
            workers=MAX_CALLS * (2 * gateway.config.max_peers + MAX_STRANGERS),
            calls=MAX_CALLS,
            max_bytes=2 * PART_BYTES,
        )
        self._listener = GrpcListener(grpc, gateway, limits, self._conversations.sweep, clock)
        self._pace = CallPace(gateway.metrics, clock, self._listener.stopping)

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:8080"."""
        return self._listener.address

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        self._listener.start([self._handlers()])

    def close(self) -> None:
        """Answer what is in progress, and stop. Twice does nothing."""
        self._listener.close(self._conversations.close)

    # -- calls ------------------------------------------------------------------------------------------

    def _handlers(self) -> object:
        """Return the service, with bytes as its messages."""
        unary = grpc.unary_unary_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Ready": unary(self._guarded(self._ready)),
                "SendPolicyInstructions": unary(self._guarded(self._send_policy_instructions)),
                "SendObservations": grpc.stream_unary_rpc_method_handler(
                    self._guarded(self._send_observations)
                ),
                "GetActions": unary(self._guarded(self._get_actions)),
            },
        )

    def _ready(self, _: bytes, address: str, __: _Call) -> bytes:
        self._conversations.reset(address)
        return EMPTY

    def _send_policy_instructions(self, message: bytes, address: str, _: _Call) -> bytes:
        if len(message) > MAX_SETUP_BYTES:
            raise ProtocolError(f"setup: wanted at most {MAX_SETUP_BYTES} bytes, got {len(message)}")
        self._conversations.introduce(address, decode_setup(message))
        return EMPTY

    def _send_observations(self, messages: Iterator[bytes], address: str, call: _Call) -> bytes:
        conversation = self._conversations.find(address)
        with conversation.receiving(call.cancel):
            payload = self._received(messages, call)
        if payload is None:
            self._conversations.note_left(address)
        elif conversation.put(payload):
            self._gateway.metrics.count("superseded")
        return EMPTY

    def _received(self, messages: Iterator[bytes], call: _Call) -> bytes | memoryview | None:
        """Return the observation that a stream carries; None: it was ended before."""
        parts = ObservationParts(self._gateway.config.max_message_mb << 20)
        try:
            for count, message in enumerate(messages, start=1):
                whole = parts.add(decode_part(message))
                if whole is not None:
                    return whole
                if count >= MAX_PARTS:
                    raise ProtocolError(f"observation: wanted at most {MAX_PARTS} parts, got more")
        except grpc.RpcError:
            return None
        if _is_over_soon(call):  # the stream of a client that was killed can end before its call does
            return None
        raise ProtocolError("observation: wanted a part that ends it, got the end of the stream")

    def _get_actions(self, _: bytes, address: str, call: _Call) -> bytes:
        conversation = self._conversations.find(address)
        waiting = WaitingCall()
        if not call.add_callback(lambda: conversation.end(waiting)):
            waiting.is_over = True
        try:
            return conversation.answer(waiting)
        except VagusError as error:
            self._pace.tell(address, error, "got no actions")
            return EMPTY  # LeRobot has no field for an error
        finally:
            if waiting.is_over:
                self._conversations.note_left(address)

    # -- around calls -----------------------------------------------------------------------------------

    def _guarded(self, serve: Callable[..., bytes]) -> Callable[..., bytes]:
        """Return `serve` with its errors as gRPC has them."""

        def serve_guarded(request: object, call: _Call) -> bytes:
            address = call.peer()  # later it may not be known any more
            if not address:
                return call.abort(grpc.StatusCode.CANCELLED, "the client has gone")
            try:
                with self._conversations.calling(address):
                    return self._paced(serve, request, address, call)
            except VagusError as error:
                code = next(
                    (code for kind, code in STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL
                )
                text = str(error)
            except Exception:
                logger.exception("a call of %s failed", quoted(address, 64))
                code, text = grpc.StatusCode.INTERNAL, "the gateway failed; see its log"
            return call.abort(code, text[:MAX_DETAILS])

        return serve_guarded

    def _paced(self, serve: Callable[..., bytes], request: object, address: str, call: _Call) -> bytes:
        self._pace.keep(address)
        try:
            return serve(request, address, call)
        except VagusError as error:
            self._pace.refuse(address, error)
            raise


def _is_over_soon(call: _Call) -> bool:
    """Return whether a call ends by itself, which the end of a lost connection tells a moment later."""
    over = threading.Event()
    return not call.add_callback(over.set) or over.wait(ENDS_WITHIN_S)
