"""The server's end of one HTTP connection with PointAct's messages (pure; the rules of HTTP are h11's)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import h11

from vagus.errors import ProtocolError
from vagus.gateways.wire_answer import WireAnswer
from vagus.integrations.pointact.dialect import encode_error
from vagus.integrations.pointact.http_exchange import (
    CONTENT_TYPE,
    STATUSES,
    HttpRefusal,
    refusal_of,
    too_large,
)
from vagus.quoting import quoted

__all__ = ["HttpMessage", "HttpServerEnd"]

MAX_HEAD_BYTES: Final = 1 << 14
"""Longest head of a request; one chunk's head, too."""


@dataclass(frozen=True, slots=True, eq=False)
class HttpMessage:
    """One request.

    Attributes:
        payload: its body; empty, if it is refused.
        refused: why it is not done; "": it is.
        status: of the answer, if it is refused.
        has_body: whether its answer has a body; HEAD's has none.
    """

    payload: memoryview
    refused: str
    status: int
    has_body: bool


class HttpServerEnd:
    """The server's end of one connection: requests come in one by one, each is answered.

    A request that is refused is read to its end, but not kept: its client sends it all before it reads why.

    Args:
        max_bytes: longest body of a request.
    """

    may_return = True

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._to_send = bytearray()
        self._body = bytearray()
        self._size = 0
        self._method = b""
        self._refusal: HttpRefusal | None = None
        self._is_between = False

    @property
    def is_between_messages(self) -> bool:
        """Whether the client owes nothing: it has asked before, and no request has begun."""
        return self._is_between

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be answered on this connection."""
        return self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    def receive(self, data: bytes) -> list[HttpMessage]:
        """Return the request that ends in `data`, if one does.

        Raises:
            ProtocolError: no HTTP/1.1; the answer is in `bytes_to_send`.
        """
        self._is_between = False
        self._http.receive_data(data)
        messages = []
        try:
            while (event := self._http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._keep(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    messages.append(self._message())
        except h11.RemoteProtocolError as error:
            text = f"wanted a request of HTTP/1.1, got another: {quoted(error, 120)}"
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._to_send += self._response(error.error_status_hint, encode_error(text), has_body=True)
            raise ProtocolError(text) from error
        return messages

    def bytes_to_send(self) -> bytes:
        """Return what the client must be told by now, once."""
        taken, self._to_send = bytes(self._to_send), bytearray()
        return taken

    def encode(self, message: HttpMessage, answer: WireAnswer) -> bytes:
        """Return the bytes of the answer to a request."""
        status = message.status if message.refused else STATUSES[answer.outcome]
        data = self._response(status, answer.body, has_body=message.has_body)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._is_between = True
        return data

    def _begin(self, request: h11.Request) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        self._method = request.method
        self._refusal = refusal_of(
            request.method.decode("latin-1"), request.target.decode("latin-1"), headers, most=self._max_bytes
        )
        self._size = 0
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._to_send += self._http.send(go_on) or b""

    def _keep(self, data: bytes | bytearray) -> None:
        self._size += len(data)
        self._refusal = self._refusal or too_large(self._size, self._max_bytes)
        if self._refusal is None:
            self._body += data
        else:
            self._body.clear()

    def _message(self) -> HttpMessage:
        body, self._body = self._body, bytearray()
        refusal, self._refusal = self._refusal or HttpRefusal(0, ""), None
        return HttpMessage(memoryview(body), refusal.text, refusal.status, has_body=self._method != b"HEAD")

    def _response(self, status: int, body: bytes, *, has_body: bool) -> bytes:
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "POST"))
        if self._http.trailing_data[0]:  # the next request came before this answer; few clients do that
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
        parts = [head, *([h11.Data(data=body)] if has_body else []), h11.EndOfMessage()]
        return b"".join(self._http.send(part) or b"" for part in parts)
