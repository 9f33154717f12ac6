"""Connection to an openpi server over a WebSocket."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from vagus.errors import LinkError, ProtocolError
from vagus.gateways.call_thread import CallThread
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_options import without_token
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES, Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, ForeignRtc, Operation
from vagus.gateways.profile import Profile
from vagus.integrations.openpi.dialect import decode_metadata, decode_reply, encode_request
from vagus.integrations.openpi.metadata import OWN_KEY, check_metadata
from vagus.integrations.openpi.options import ARRAY_DIALECTS, OpenPiOptions
from vagus.policies.policy import ServingMode
from vagus.quoting import quoted
from vagus.specs import RtcSpec

__all__ = ["OpenPiClient"]

CLOSE_TIMEOUT_S: Final = 0.5
"""Longest wait for the server's word when the connection is closed, on the connection's own thread."""
SILENT: Final = logging.Logger("websockets", logging.CRITICAL + 1)  # noqa: LOG001 - none that anybody sets
"""Log of websockets itself, which would show the key to whoever logs everything."""


class OpenPiClient:
    """Connection to an openpi server, a `ForeignServer`. One request at a time, as openpi takes them.

    Args:
        address: where it listens.
        options: settings.
        token: sent as `Authorization: Api-Key`; None: nothing is sent.
        profile: what metadata of our own gateways are compared with; None: nothing is compared.
    """

    wanted = "an openpi server (WebSocket)"
    identity = ""
    loads_when_opened = False
    serving_mode = ServingMode.SHARED
    serving_reason = ""
    max_rows = 1
    model_dim = 0
    settings = ""

    def __init__(
        self,
        address: ForeignAddress,
        options: OpenPiOptions,
        token: str | None,
        profile: Profile | None = None,
    ) -> None:
        self.address = address
        self._profile = profile
        self.has_reset = options.sends_reset
        endpoint = "infer" if options.sends_reset else ""
        self._envelope = Envelope("openpi", dialect=ARRAY_DIALECTS[options.arrays], endpoint=endpoint)
        self._token = token
        self._headers = {} if token is None else {"Authorization": f"Api-Key {token}"}
        self._conversation: _Conversation | None = None

    @property
    def is_open(self) -> bool:
        """Whether the connection of `open` still stands."""
        return self._conversation is not None and self._conversation.is_open

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew; return the server's metadata.

        Raises:
            LinkError: no WebSocket connection, or no metadata in time.
            ProtocolError: what answers is no openpi server.
            ConfigError: the metadata contradict the profile.
        """
        self.close()
        conversation = self._conversation = _Conversation()
        begin = partial(conversation.begin, self.address.url, self._headers, timeout_s)
        frame = conversation.call(begin, timeout_s, "no metadata")
        if isinstance(frame, str):
            raise ProtocolError(f"metadata: wanted a binary frame, got the text {quoted(frame, 120)!r}")
        said = decode_metadata(frame)
        if self._profile is not None:
            check_metadata(said, self._profile)
        return said

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return the real-time chunking that the metadata offers, as our own gateway's does; None: none."""
        own = said.get(OWN_KEY)
        return RtcSpec(max(horizon // 2, 1)) if isinstance(own, dict) and own.get("rtc") is True else None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return the reply to the one request.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        (request, rtc), *_ = requests
        values = {**request.observation, **_rtc_values(rtc)}
        return [self._exchange(replace(request, envelope=self._envelope, observation=values), timeout_s)]

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: the server refuses.
        """
        envelope = replace(self._envelope, endpoint="reset")
        reply = self._exchange(ForeignRequest(Operation.RESET, envelope), timeout_s)
        if reply.error is not None:
            raise ProtocolError(f"the server refuses to begin an episode: {quoted(reply.error)}")

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.end()

    def _exchange(self, request: ForeignRequest, timeout_s: float) -> ForeignReply:
        conversation = self._conversation
        if conversation is None:
            raise LinkError("not connected")
        exchange = partial(conversation.exchange, encode_request(request), timeout_s)
        reply = without_token(decode_reply(conversation.call(exchange, timeout_s, "no answer")), self._token)
        if reply.error is not None:
            self.close()  # openpi closes after an error, and whoever does not has lost our trust
        return reply


class _Conversation:
    """One WebSocket, with the thread that uses it."""

    def __init__(self) -> None:
        self._socket: ClientConnection | None = None
        self._stack = ExitStack()
        self._is_ended = False
        self._thread = CallThread("vagus-openpi", self._stack.close)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return self._socket is not None and self._socket.protocol.close_code is None and not self._is_ended

    def call(self, work: partial[bytes | str], timeout_s: float, what: str) -> bytes | str:
        """Return a frame of the server.

        Raises:
            LinkError: the connection is lost, no frame came in time, or what answers is no WebSocket server.
        """
        try:
            return self._thread.call(work, timeout_s, what)
        except TimeoutError as error:
            raise LinkError(f"{what} within {timeout_s:.1f} s") from error
        except InvalidHandshake as error:
            raise LinkError(f"no WebSocket: {quoted(error)}") from error
        except ConnectionClosed as error:
            raise LinkError(f"the server has closed the connection ({quoted(error)})") from error
        except (WebSocketException, OSError, EOFError) as error:
            raise LinkError(f"{type(error).__name__}: {quoted(error)}") from error

    def begin(self, url: str, headers: Mapping[str, str], timeout_s: float) -> bytes | str:
        """Connect, on the thread; return the first frame."""
        connecting = connect(
            url,
            additional_headers=headers,
            compression=None,  # as openpi's own client
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_FOREIGN_BYTES,
            max_queue=(2, 1),  # frames that wait in memory, not 16; an answer too many leaves room for pings
            logger=SILENT,
            proxy=None,  # a variable for web browsers is no place to send a robot's pictures and key to
            ping_interval=None,  # openpi answers no ping while it infers; each call has its own deadline
        )
        self._socket = self._stack.enter_context(connecting)
        return self._socket.recv(timeout_s)

    def exchange(self, frame: bytes, timeout_s: float) -> bytes | str:
        """Send a frame and return the next one of the server, on the thread.

        Raises:
            ProtocolError: a frame is there that nothing has asked for: what it answers is not known.
        """
        if self._socket is None:
            raise EOFError("not connected")
        with suppress(TimeoutError):
            self._socket.recv(0)
            raise ProtocolError("the server has spoken without being asked")
        self._socket.send(frame)
        return self._socket.recv(timeout_s)

    def end(self) -> None:
        """Let the thread end; a call that hangs in it fails."""
        self._is_ended = True
        self._thread.end()
        opened = self._socket
        if opened is not None:
            with suppress(OSError, ValueError):
                opened.socket.shutdown(socket.SHUT_RDWR)


def _rtc_values(rtc: ForeignRtc | None) -> dict[tuple[Key, ...], Value]:
    """Return the keys in which kai0's clients say it."""
    if rtc is None or rtc.prefix is None:
        return {}
    return {
        ("prev_action_chunk",): rtc.prefix.tolist(),
        ("inference_delay",): rtc.inference_delay,
        ("execute_horizon",): rtc.execute_horizon,
        ("enable_rtc",): True,
        ("max_guidance_weight",): rtc.max_guidance_weight,
    }
