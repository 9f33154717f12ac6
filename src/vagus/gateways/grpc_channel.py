"""Channel to a foreign gRPC server whose messages stay bytes. Who uses it hands the package `grpc` in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from vagus.errors import LinkError, ProtocolError, QueryTimeoutError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES
from vagus.quoting import quoted

__all__ = ["GrpcChannel"]

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_FOREIGN_BYTES),
    ("grpc.enable_retries", 0),  # each call has one deadline, and a question is not asked twice
    ("grpc.enable_http_proxy", 0),  # a variable for web browsers is no place to send a robot's pictures to
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection
    ("grpc.client_idle_timeout_ms", 2**31 - 1),  # a robot may pause; to connect again is to load again
)
_NOT_OURS: Final = frozenset({"UNIMPLEMENTED", "UNKNOWN", "INTERNAL"})
"""Statuses of a server that has no such call, or failed in it."""
_WATCH_S: Final = 2.0
"""Ten times the time after which gRPC's thread sees that nobody wants to know the connection's state."""


class GrpcChannel:
    """One channel to one service, for as long as its first connection stands.

    Args:
        library: the module `grpc`.
        address: where the server listens.
        service: name of the service.

    Attributes:
        is_lost: its connection is no more; a new one would be to a server that knows nothing of this one.
    """

    def __init__(self, library: ModuleType, address: ForeignAddress, service: str) -> None:
        self._library = library
        self._service = service
        self._ready = library.ChannelConnectivity.READY
        self._was_ready = False
        self.is_lost = False
        self._channel = library.insecure_channel(address.target, options=_OPTIONS)
        known = frozenset(threading.enumerate())
        self._channel.subscribe(self._note)
        self._watching = [one for one in threading.enumerate() if one not in known and one.is_alive()]
        """gRPC's thread that watches the connection."""

    def call(self, name: str, message: bytes, timeout_s: float) -> bytes:
        """Return the answer to one message.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: the server does not know the call, or refuses.
        """
        ask: Callable[..., bytes] = self._channel.unary_unary(f"/{self._service}/{name}")
        with self._told(name, timeout_s):
            return ask(message, timeout=timeout_s)

    def stream(self, name: str, messages: Sequence[bytes], timeout_s: float) -> bytes:
        """Return the answer to several messages; raises as `call`."""
        ask: Callable[..., bytes] = self._channel.stream_unary(f"/{self._service}/{name}")
        with self._told(name, timeout_s):
            return ask(iter(messages), timeout=timeout_s)

    def close(self) -> None:
        """Close the channel; calls in it are cancelled. It takes up to 0.2 s. Twice does nothing."""
        self.is_lost = True
        self._channel.unsubscribe(self._note)
        watching, self._watching = self._watching, []
        for thread in watching:  # it would fail, with a traceback, on a channel that is closed under it
            thread.join(_WATCH_S)
        self._channel.close()

    def _note(self, state: object) -> None:
        """Take the state of the connection, on a thread of gRPC."""
        is_ready = state is self._ready
        self.is_lost |= self._was_ready and not is_ready
        self._was_ready |= is_ready

    @contextmanager
    def _told(self, name: str, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except self._library.RpcError as error:
            code = error.code().name
            if code == "DEADLINE_EXCEEDED":
                raise QueryTimeoutError(f"no answer to {name} within {timeout_s:.1f} s") from error
            said = f"{name}: {code}, {quoted(error.details())}"
            if code in _NOT_OURS:
                raise ProtocolError(said) from error
            raise LinkError(said) from error
