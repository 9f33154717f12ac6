"""Gateway for Astribot S1 robots: the gRPC services of openpi's and of LeRobot's programs, at one address."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn, Protocol

import grpc
import numpy as np

from vagus.clock import Clock, MonotonicClock
from vagus.errors import ProtocolError, StateError, VagusError
from vagus.gateways.call_pace import CallPace
from vagus.gateways.callers import MAX_STRANGERS
from vagus.gateways.gateway import Gateway
from vagus.gateways.grpc_listener import GrpcLimits, GrpcListener
from vagus.integrations.astribot.conversation import MAX_DETAILS, failure_of
from vagus.integrations.astribot.messages import (
    AstribotAction,
    AstribotChunk,
    AstribotStatus,
    Method,
    StatusCode,
)
from vagus.integrations.astribot.motion_codec import encode_action, encode_chunk
from vagus.integrations.astribot.observation_stream import ObservationStream
from vagus.integrations.astribot.robots import MAX_CALLS, AstribotRobots
from vagus.integrations.astribot.variants import VARIANTS, AstribotVariant
from vagus.quoting import quoted
from vagus.threads import Supervised

__all__ = ["AstribotListener"]

MAX_BYTES: Final = 100 << 20
"""Largest message that is received, that of the original; `max_message_mb` bounds what is looked at."""
CUT_S: Final = 0.1
"""Time within which a stream that its robot has ended turns out to be a connection that was cut."""
OVERTAKEN: Final = "overtaken: a newer observation came before this one was answered"
_NO_ACTION: Final = np.zeros(0, np.float32)
_NO_ACTIONS: Final = np.zeros((0, 0), np.float32)

logger = logging.getLogger(__name__)


class _Call(Protocol):
    """What this module uses of gRPC's `ServicerContext`."""

    def peer(self) -> str: ...
    def is_active(self) -> bool: ...
    def add_callback(self, callback: Callable[[], None]) -> bool: ...
    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


class AstribotListener:
    """Serves Astribot S1 robots; each connection is a robot with a model, a prompt and an episode of its own.

    In the original these are the server's: there the second robot's Configure changes the first one's model.
    Whatever goes wrong with a question is said in its answer; the call of gRPC itself succeeds.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None = None) -> None:
        clock = clock or MonotonicClock()
        self._gateway = gateway
        self._robots = AstribotRobots(gateway, clock)
        limits = GrpcLimits(
            workers=MAX_CALLS * gateway.config.max_peers + MAX_STRANGERS, calls=MAX_CALLS, max_bytes=MAX_BYTES
        )
        self._listener = GrpcListener(grpc, gateway, limits, self._robots.sweep, clock)
        self._streams: set[ObservationStream] = set()
        self._pace = CallPace(gateway.metrics, clock, self._listener.stopping)

    @property
    def address(self) -> str:
        """Address that it listens on, "127.0.0.1:50052"."""
        return self._listener.address

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        self._listener.start([self._handlers(variant) for variant in VARIANTS])

    def close(self) -> None:
        """Answer what is in progress, and stop. Twice does nothing."""
        self._listener.close(self._end)

    def _end(self) -> None:
        for stream in tuple(self._streams):  # one atomic step, whoever adds or takes out meanwhile
            stream.end()
        self._robots.close()

    # -- calls ------------------------------------------------------------------------------------------

    def _handlers(self, variant: AstribotVariant) -> object:
        """Return one service, with bytes as its messages."""
        serve: dict[Method, Callable[[bytes, str], bytes]] = {
            Method.CONFIGURE: partial(self._configure, variant),
            Method.PREDICT: partial(self._predict, variant),
            Method.PREDICT_CHUNK: partial(self._predict_chunk, variant),
            Method.CONTROL: partial(self._control, variant),
            Method.GET_STATUS: partial(self._get_status, variant),
            Method.RESET: partial(self._reset, variant),
        }
        table = {
            method.value: grpc.unary_unary_rpc_method_handler(partial(self._answered, variant, method, one))
            for method, one in serve.items()
        }
        stream = grpc.stream_stream_rpc_method_handler(partial(self._stream_predict, variant))
        return grpc.method_handlers_generic_handler(
            variant.service, {**table, Method.STREAM_PREDICT.value: stream}
        )

    def _configure(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        return variant.encode_status(self._robots.configure(address, variant.decode_config(message)))

    def _predict(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        self._check_size(message)
        conversation = self._robots.find(address)
        if conversation is None:
            return encode_action(_no_action(StatusCode.NOT_READY, self._robots.how_to_begin()))
        return encode_action(conversation.action(variant.decode_observation(message)))

    def _predict_chunk(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        self._check_size(message)
        conversation = self._robots.find(address)
        if conversation is None:
            return encode_chunk(_no_chunk(StatusCode.NOT_READY, self._robots.how_to_begin()))
        return encode_chunk(conversation.chunk(variant.decode_observation(message)))

    def _control(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        command = variant.decode_command(message)
        conversation = self._robots.find(address)
        status = self._unready() if conversation is None else conversation.control(command)
        return variant.encode_status(status)

    def _get_status(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        del message
        conversation = self._robots.find(address)
        return variant.encode_status(self._unready() if conversation is None else conversation.status())

    def _reset(self, variant: AstribotVariant, message: bytes, address: str) -> bytes:
        del message
        conversation = self._robots.find(address)
        return variant.encode_status(self._unready() if conversation is None else conversation.reset())

    def _stream_predict(
        self, variant: AstribotVariant, messages: Iterator[bytes], call: _Call
    ) -> Iterator[bytes]:
        """Answer each observation of a stream, in order."""
        address = _address_of(call)
        stream = ObservationStream()
        if not call.add_callback(stream.cut):
            return
        reader = Supervised(partial(_read, messages, stream), name="astribot-stream")
        self._streams.add(stream)
        try:
            with self._robots.calling(address):
                reader.start()
                try:
                    yield from self._turns(variant, stream, address)
                finally:  # also where gRPC drops this generator, because its robot has gone
                    if stream.is_cut(CUT_S):
                        self._robots.note_left(address)
        except VagusError as error:
            self._pace.refuse(address, error)
            yield _failure(variant, Method.PREDICT, error, None)
        finally:
            self._streams.discard(stream)

    def _turns(self, variant: AstribotVariant, stream: ObservationStream, address: str) -> Iterator[bytes]:
        while not self._listener.stopping.is_set():
            turn = stream.take(self._gateway.config.idle_timeout_s)
            if turn is None:
                break
            for _ in range(turn.overtaken):
                self._gateway.metrics.count("superseded")
                yield encode_action(_no_action(StatusCode.ERROR, OVERTAKEN))
            yield self._told(variant, Method.PREDICT, partial(self._predict, variant), turn.message, address)

    # -- around calls -----------------------------------------------------------------------------------

    def _answered(
        self,
        variant: AstribotVariant,
        method: Method,
        serve: Callable[[bytes, str], bytes],
        message: bytes,
        call: _Call,
    ) -> bytes:
        """Return the answer to one call."""
        address = _address_of(call)
        try:
            with self._robots.calling(address):
                answer = self._told(variant, method, serve, message, address)
                if not call.is_active():
                    self._robots.note_left(address)
                return answer
        except VagusError as error:
            self._pace.refuse(address, error)
            return _failure(variant, method, error, None)

    def _told(
        self,
        variant: AstribotVariant,
        method: Method,
        serve: Callable[[bytes, str], bytes],
        message: bytes,
        address: str,
    ) -> bytes:
        """Return the answer to one question; what goes wrong is in it."""
        self._pace.keep(address)
        try:
            return serve(message, address)
        except VagusError as error:
            self._pace.refuse(address, error)
            failed = error
        except Exception:
            logger.exception("a call of %s failed", quoted(address, 64))
            failed = StateError("the gateway failed; see its log")
        conversation = self._robots.find(address)
        return _failure(variant, method, failed, None if conversation is None else conversation.status())

    def _check_size(self, message: bytes) -> None:
        most = self._gateway.config.max_message_mb << 20
        if len(message) > most:
            raise ProtocolError(f"observation: wanted at most {most} bytes, got {len(message)}")

    def _unready(self) -> AstribotStatus:
        return AstribotStatus(message=self._robots.how_to_begin())


def _read(messages: Iterator[bytes], stream: ObservationStream) -> None:
    """Read a stream until it ends, or its client has gone."""
    try:
        for message in messages:
            stream.put(message)
    except grpc.RpcError:
        pass
    finally:
        stream.end()


def _address_of(call: _Call) -> str:
    address = call.peer()
    return address or call.abort(grpc.StatusCode.CANCELLED, "the client has gone")


def _failure(
    variant: AstribotVariant, method: Method, error: VagusError, status: AstribotStatus | None
) -> bytes:
    """Return the answer that says an error, in the form of a method's answers."""
    text, code = str(error)[:MAX_DETAILS], failure_of(error)
    if method is Method.PREDICT:
        return encode_action(_no_action(code, text))
    if method is Method.PREDICT_CHUNK:
        return encode_chunk(_no_chunk(code, text))
    return variant.encode_status(replace(status or AstribotStatus(), message=text))


def _no_action(status: StatusCode, why: str) -> AstribotAction:
    return AstribotAction(_NO_ACTION, status=status, error_message=why)


def _no_chunk(status: StatusCode, why: str) -> AstribotChunk:
    return AstribotChunk(_NO_ACTIONS, status=status, error_message=why)
