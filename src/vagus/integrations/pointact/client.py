"""Connection to a PointAct server, over ZeroMQ or over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from vagus.clock import monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_options import without_token
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import MAX_FOREIGN_BYTES, Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.gateways.question_line import QuestionEnd, QuestionLine
from vagus.gateways.zmtp import RequestEnd
from vagus.integrations.pointact.batches import joined, split_reply
from vagus.integrations.pointact.dialect import ACTION, PROTOCOL, decode_reply, encode_request
from vagus.integrations.pointact.http_client_end import HttpClientEnd
from vagus.integrations.pointact.http_exchange import PATH
from vagus.integrations.pointact.options import PointActOptions
from vagus.policies.policy import ServingMode
from vagus.quoting import quoted
from vagus.specs import RtcSpec

__all__ = ["PointActClient"]

UNKNOWN_ENDPOINT: Final = "Unknown endpoint"
_NO_OPTIONS: Final[Mapping[WirePath, Value]] = {("data", "options", "pred_rot_type"): None}
"""What PointAct's own program says where it wants nothing."""


class PointActClient:
    """Connection to a PointAct server, a `ForeignServer`. It takes several robots in one question.

    What a request has in `beside`, `options` of `get_action` above all, is sent; without any, no option is.

    Args:
        address: where it listens; its transport, `tcp` or `http`, is the wire.
        options: settings.
        token: sent as `api_token`; None: nothing is sent.
    """

    wanted = "a PointAct server"
    loads_when_opened = False
    model_dim = 0
    serving_mode = ServingMode.SHARED
    serving_reason = ""

    def __init__(self, address: ForeignAddress, options: PointActOptions, token: str | None) -> None:
        self.address = address
        self.identity = options.repo_id
        self.settings = options.repo_id
        self.max_rows = options.max_rows
        self._repo_id = options.repo_id
        self._token = token
        self._is_reset_unknown = False
        self._line: QuestionLine | None = None

    @property
    def has_reset(self) -> bool:
        """Whether there is a word for the begin of an episode: the published test server has none."""
        return not self._is_reset_unknown

    @property
    def is_open(self) -> bool:
        """Whether the connection of `open` still stands."""
        return self._line is not None and not self._line.is_lost

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew, and ask whether somebody answers; return nothing: the protocol cannot say more.

        Raises:
            LinkError: no connection, or no answer in time.
            ProtocolError: what answers is no PointAct server, or it refuses.
        """
        self.close()
        self._is_reset_unknown = False  # it may be another program now
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        self._line = QuestionLine.connect(self.address, self._new_end(), timeout_s)
        ping = ForeignRequest(Operation.PING, Envelope(PROTOCOL, endpoint="ping"))
        reply = self._exchange(ping, seconds_left(end_ns))
        if reply.error is not None and not reply.error.startswith(UNKNOWN_ENDPOINT):
            raise ProtocolError(f"the server refuses a ping: {quoted(reply.error)}")
        return {}

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return None: the wire has no words for real-time chunking."""
        del said, horizon
        return None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return one reply per request: asked together, if they have the same keys and options.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none.
            PolicyError: actions of another number of robots.
        """
        asked = [request for request, _ in requests]
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        replies: list[ForeignReply] = []
        for part in [asked] if _are_alike(asked) else [[request] for request in asked]:
            replies += self._ask_together(part, seconds_left(end_ns))
        return replies

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: the server refuses.
        """
        envelope = Envelope(PROTOCOL, endpoint="reset")
        request = ForeignRequest(Operation.RESET, envelope, beside={("data", "options"): {}})
        reply = self._exchange(request, timeout_s)
        self._is_reset_unknown = (reply.error or "").startswith(UNKNOWN_ENDPOINT)
        if reply.error is not None and not self._is_reset_unknown:
            raise ProtocolError(f"the server refuses to begin an episode: {quoted(reply.error)}")

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _new_end(self) -> QuestionEnd:
        if self.address.transport == "http":
            path = self.address.path or PATH
            return HttpClientEnd(self.address.target, path, max_bytes=MAX_FOREIGN_BYTES)
        return RequestEnd(max_bytes=MAX_FOREIGN_BYTES)

    def _ask_together(self, requests: Sequence[ForeignRequest], timeout_s: float) -> list[ForeignReply]:
        named: Mapping[WirePath, Value] = {("repo_id",): self._repo_id} if self._repo_id else {}
        batch = joined([{**request.observation, **named} for request in requests])
        request = ForeignRequest(
            Operation.INFER,
            Envelope(PROTOCOL, endpoint="get_action"),
            batch,
            requests[0].beside or _NO_OPTIONS,
        )
        reply = self._exchange(request, timeout_s)
        if reply.error is not None:
            return [reply] * len(requests)
        try:
            rows = split_reply(reply, len(requests))
        except ProtocolError as error:
            if len(requests) == 1:
                raise
            raise PolicyError(f"{error}; --policy-options max_rows 1 asks for each robot alone") from error
        return [ForeignReply({ACTION: row}, reply.extra) for row in rows]

    def _exchange(self, request: ForeignRequest, timeout_s: float) -> ForeignReply:
        if self._line is None:
            raise LinkError("not connected")
        answer = self._line.exchange(encode_request(replace(request, token=self._token)), timeout_s)
        return without_token(decode_reply(answer, request.operation), self._token)


def _are_alike(requests: Sequence[ForeignRequest]) -> bool:
    """Return whether the requests have the same keys and options, so that they can be asked together."""
    first, *others = requests
    return all(
        set(other.observation) == set(first.observation) and dict(other.beside) == dict(first.beside)
        for other in others
    )
