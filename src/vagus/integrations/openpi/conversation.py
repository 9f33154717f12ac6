"""One openpi client's conversation: each frame of it is answered by one frame. Methods block."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from vagus.clock import NS_PER_MS
from vagus.errors import ProtocolError, VagusError
from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.metrics import GatewayMetrics
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignRequest, ForeignRtc, Operation
from vagus.gateways.peer import Peer
from vagus.integrations.openpi.dialect import (
    RESET_DONE,
    decode_request,
    encode_reply,
    rtc_of,
    timing_values,
)
from vagus.quoting import quoted

__all__ = ["VLLM_PATH", "OpenPiAnswer", "OpenPiConversation"]

VLLM_PATH: Final = "/v1/realtime/robot/openpi"
"""Path at which vLLM-Omni serves robots. Its clients get errors and the end of a reset as binary frames."""
SESSION: Final = ("session_id",)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenPiAnswer:
    """Frame that answers a frame.

    Attributes:
        frame: bytes for a binary frame, text for a text frame.
        failure: what went wrong, for the log; "": nothing.
        is_last: the connection is closed after it, as openpi does after an error.
    """

    frame: bytes | str
    failure: str = ""
    is_last: bool = False


class OpenPiConversation:
    """Conversation with one client, one frame after the other.

    Args:
        peer: the robot's session.
        metrics: counters of the gateway.
        path: what the client connected to.
    """

    def __init__(self, peer: Peer, metrics: GatewayMetrics, *, path: str = "/") -> None:
        self._peer = peer
        self._metrics = metrics
        self._is_vllm = path.partition("?")[0] == VLLM_PATH
        self._session: str | None = None
        self._total_ms: float | None = None

    def answer(self, frame: bytes | str) -> OpenPiAnswer:
        """Return the frame that answers `frame`; whatever goes wrong is an answer, too."""
        try:
            return self._carry_out(*self._read(frame))
        except VagusError as error:
            return self._failed(str(error))
        except Exception:
            logger.exception("the request of robot %s could not be answered", self._peer.name)
            return self._failed("the gateway could not answer this request; its log says why")

    def sent_after(self, duration_ns: int) -> None:
        """Note the time from the last request to its sent answer, for the next answer."""
        self._total_ms = duration_ns / NS_PER_MS

    def _read(self, frame: bytes | str) -> tuple[ForeignRequest, ForeignRtc | None]:
        try:
            request = _request_in(frame)
            return request, rtc_of(request)
        except ProtocolError:
            self._metrics.count_malformed()
            raise

    def _carry_out(self, request: ForeignRequest, rtc: ForeignRtc | None) -> OpenPiAnswer:
        if request.operation is Operation.RESET:
            self._peer.reset()
            return OpenPiAnswer(_said({"status": RESET_DONE}) if self._is_vllm else RESET_DONE)
        self._begin_if_new(request.observation.get(SESSION))
        answered = self._peer.infer(request, rtc)
        timing = replace(answered.timing, previous_total_ms=self._total_ms)
        reply = replace(answered.reply, extra={**answered.reply.extra, **timing_values(timing)})
        return OpenPiAnswer(encode_reply(reply, request.envelope))

    def _begin_if_new(self, session: Value) -> None:
        """Begin an episode where a RoboArena client goes on with another session on one connection."""
        known, self._session = self._session, session if isinstance(session, str) else None
        if known is not None and known != self._session:
            self._peer.reset()

    def _failed(self, sentence: str) -> OpenPiAnswer:
        if self._is_vllm:
            return OpenPiAnswer(_said({"type": "error", "message": sentence}), sentence)
        return OpenPiAnswer(sentence, sentence, is_last=True)


def _said(entries: dict[Key, Value]) -> bytes:
    return encode_message(entries, ArrayDialect.OPENPI)


def _request_in(frame: bytes | str) -> ForeignRequest:
    if isinstance(frame, str):
        raise ProtocolError(f"message: wanted a binary frame of msgpack, got the text {quoted(frame, 40)}")
    request = decode_request(frame)
    if request.operation not in (Operation.INFER, Operation.RESET):
        endpoint = quoted(request.envelope.endpoint, 40)
        raise ProtocolError(f"endpoint: wanted infer or reset, got {endpoint}")
    return request
