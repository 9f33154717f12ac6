"""The client's end of one HTTP connection with PointAct's messages (pure; the rules of HTTP are h11's)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

from vagus.errors import ProtocolError
from vagus.gateways.neutral import Operation
from vagus.integrations.pointact.dialect import decode_reply
from vagus.integrations.pointact.http_exchange import CONTENT_TYPE
from vagus.quoting import quoted

__all__ = ["HttpClientEnd", "HttpReply"]

MAX_HEAD_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class HttpReply:
    """One answer.

    Attributes:
        payload: its body.
        refused: why there is no answer of PointAct in it; "": there is.
    """

    payload: memoryview
    refused: str


class HttpClientEnd:
    """The client's end of one connection: a POST goes out, one answer comes in.

    Args:
        host: host and port, for the header.
        path: what is asked.
        max_bytes: longest answer; a longer one is not kept, and refused when it ends.
    """

    def __init__(self, host: str, path: str, *, max_bytes: int) -> None:
        self._host = host
        self._path = path
        self._max_bytes = max_bytes
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._to_send = bytearray()
        self._body = bytearray()
        self._size = 0
        self._status = 0
        self._kind = ""

    @property
    def is_ready(self) -> bool:
        """Whether a question may be asked."""
        return self._http.our_state is h11.IDLE

    @property
    def is_over(self) -> bool:
        """Whether no more can be asked on this connection."""
        return self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    def ask(self, payload: bytes) -> None:
        """Send a question."""
        headers = [
            ("Host", self._host),
            ("Content-Type", CONTENT_TYPE),
            ("Accept", CONTENT_TYPE),
            ("Content-Length", str(len(payload))),
        ]
        request = h11.Request(method="POST", target=self._path, headers=headers)
        for event in (request, h11.Data(data=payload), h11.EndOfMessage()):
            self._to_send += self._http.send(event) or b""

    def bytes_to_send(self) -> bytes:
        """Return what the server must be told by now, once."""
        taken, self._to_send = bytes(self._to_send), bytearray()
        return taken

    def receive(self, data: bytes) -> list[HttpReply]:
        """Return the answers that end in `data`; b"": the server sends no more.

        Raises:
            ProtocolError: no HTTP/1.1, or what nobody asked for.
        """
        if data and self.is_ready:  # h11 would keep it for the next question
            raise ProtocolError("wanted no answer, because nothing was asked, got one")
        try:
            self._http.receive_data(data)
            replies = self._replies()
        except h11.RemoteProtocolError as error:
            raise ProtocolError(f"wanted an answer of HTTP/1.1, got another: {quoted(error, 120)}") from error
        if replies and self._http.trailing_data[0]:
            raise ProtocolError("wanted one answer, got bytes behind it")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return replies

    def _replies(self) -> list[HttpReply]:
        replies = []
        while (event := self._http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Response):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._keep(event.data)
            elif isinstance(event, h11.EndOfMessage):
                replies.append(self._reply())
            elif isinstance(event, h11.ConnectionClosed):
                break
        return replies

    def _begin(self, response: h11.Response) -> None:
        named = {name: value.decode("latin-1") for name, value in response.headers}
        self._status = response.status_code
        self._kind = named.get(b"content-type", "").partition(";")[0].strip().lower()
        self._size = 0

    def _keep(self, data: bytes | bytearray) -> None:
        self._size += len(data)
        if self._size <= self._max_bytes:
            self._body += data
        else:
            self._body.clear()

    def _reply(self) -> HttpReply:
        body, self._body = self._body, bytearray()
        refused = ""
        if self._size > self._max_bytes:
            refused = f"wanted at most {self._max_bytes} bytes, got {self._size}"
        elif self._kind != CONTENT_TYPE:  # a proxy, or another server: its words are not PointAct's
            refused = f"wanted {CONTENT_TYPE}, got {quoted(self._kind, 40) or 'no type'}, {self._told()}"
        elif self._status >= HTTPStatus.BAD_REQUEST and not _may_be_error(body):
            refused = f"wanted an error with {self._told()}, got an answer"
        return HttpReply(memoryview(body), refused)

    def _told(self) -> str:
        known = {status.value: f" ({status.phrase})" for status in HTTPStatus}
        return f"status {self._status}{known.get(self._status, '')}"


def _may_be_error(body: bytes | bytearray) -> bool:
    """Return whether a body is an error of PointAct, or nothing that can be read."""
    try:
        return decode_reply(bytes(body), Operation.INFER).error is not None
    except ProtocolError:
        return True
