"""Conversation with one client whose requests are batches: they are read, done by its robots, answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vagus.errors import ProtocolError, VagusError
from vagus.gateways.entrance import Entrance
from vagus.gateways.gateway import Gateway
from vagus.gateways.neutral import ForeignReply, ForeignRequest, Operation
from vagus.gateways.robot_rows import RobotRows
from vagus.gateways.wire_answer import WireAnswer, WireOutcome
from vagus.quoting import quoted

__all__ = ["BatchConversation", "BatchDialect", "RequestBatch"]

KILL_REFUSED: Final = ForeignReply(error="kill: this server is stopped by its operator, not over the network")
MAX_ERROR: Final = 1000
"""Longest text of an error, in characters."""

logger = logging.getLogger(__name__)


class RequestBatch(Protocol):
    """The robots in one request for actions."""

    @property
    def rows(self) -> Sequence[ForeignRequest]:
        """Canonical request of each robot."""
        ...

    @property
    def models(self) -> Sequence[str]:
        """Model that each robot names; "": it names none."""
        ...

    def join(self, replies: Sequence[ForeignReply]) -> ForeignReply:
        """Return the answer to the whole request.

        Raises:
            PolicyError: the answers to the rows do not fit together.
        """
        ...


class BatchDialect(Protocol):
    """How one protocol writes requests and answers; used by the threads of all its clients."""

    @property
    def wrong_token(self) -> ForeignReply:
        """Reply to a request without the secret."""
        ...

    def decode(self, payload: memoryview) -> ForeignRequest:
        """Return a request.

        Raises:
            ProtocolError: it cannot be read.
        """
        ...

    def reply_without_robot(self, request: ForeignRequest) -> ForeignReply:
        """Return the reply to what is asked of the server itself: ping, description, an unknown endpoint."""
        ...

    def batch_of(self, request: ForeignRequest, *, most: int) -> RequestBatch:
        """Return the robots in a request for actions.

        Raises:
            ProtocolError: no batch, or one of more than `most` robots.
        """
        ...

    def encode(self, reply: ForeignReply, request: ForeignRequest) -> bytes:
        """Return the answer to a request.

        Raises:
            ProtocolError: the wire cannot carry it.
        """
        ...

    def encode_error(self, text: str) -> bytes:
        """Return the answer to a request that could not be read."""
        ...


class BatchConversation:
    """Answers one client. It has a robot for each row of its batches; a robot is admitted when it is needed.

    Used by one thread.

    Args:
        gateway: admits the robots.
        dialect: of the client.
        robots: its robots; closed by `release`.
        entrance: bounds the work on requests, for all clients together.
        note: called with what is wrong with a request, for the operator.
    """

    def __init__(
        self,
        gateway: Gateway,
        dialect: BatchDialect,
        robots: RobotRows,
        entrance: Entrance,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._robots = robots
        self._entrance = entrance
        self._note = note

    @property
    def has_places(self) -> bool:
        """Whether it has a robot at the gateway."""
        return bool(self._robots)

    def answer(self, payload: memoryview) -> WireAnswer:
        """Return the answer to a request, whatever it is; what goes wrong is said in it."""
        try:
            return self._answer(payload)
        except VagusError as error:
            self._note(quoted(error, MAX_ERROR))
            outcome = WireOutcome.MALFORMED if isinstance(error, ProtocolError) else WireOutcome.FAILED
            return self._error(quoted(error, MAX_ERROR), outcome)
        except Exception as error:
            logger.exception("a request of %s could not be answered", self._robots.address)
            return self._error(f"the gateway failed: {quoted(repr(error))}", WireOutcome.FAILED)

    def refuse(self, reason: str) -> WireAnswer:
        """Return the answer to a request that could not be received."""
        self._gateway.metrics.count_malformed()
        self._note(reason)
        return self._error(reason, WireOutcome.MALFORMED)

    def release(self) -> None:
        """Give back every place at the gateway."""
        self._robots.close()

    def leave(self, *, may_return: bool) -> None:
        """End it; `may_return`: the client may connect anew for its next request, and find its robots."""
        if may_return:
            self._robots.rest()
        self._robots.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _answer(self, payload: memoryview) -> WireAnswer:
        with self._entrance.turn(is_known=self.has_places):
            try:
                request = self._dialect.decode(payload)
            except ProtocolError as error:
                return self.refuse(quoted(error, MAX_ERROR))
            if not self._gateway.check_token(request.token):
                self._note("wrong or no api_token")
                return WireAnswer(
                    self._dialect.encode(self._dialect.wrong_token, request), WireOutcome.UNAUTHORIZED
                )
            if request.operation is not Operation.INFER:
                return self._encoded(self._reply_at_once(request), request)
        return self._encoded(self._infer(request), request)

    def _encoded(self, reply: ForeignReply, request: ForeignRequest) -> WireAnswer:
        try:
            body = self._dialect.encode(reply, request)
        except ProtocolError as error:  # not the client's fault
            return self._error(quoted(error, MAX_ERROR), WireOutcome.FAILED)
        return WireAnswer(body, WireOutcome.ANSWERED if reply.error is None else WireOutcome.MALFORMED)

    def _error(self, text: str, outcome: WireOutcome) -> WireAnswer:
        return WireAnswer(self._dialect.encode_error(text), outcome)

    def _reply_at_once(self, request: ForeignRequest) -> ForeignReply:
        """Return the reply to what needs no policy."""
        if request.operation is Operation.RESET:
            self._robots.reset()
            return ForeignReply()
        if request.operation is Operation.KILL:
            return KILL_REFUSED
        return self._dialect.reply_without_robot(request)

    def _infer(self, request: ForeignRequest) -> ForeignReply:
        try:
            batch = self._dialect.batch_of(request, most=self._gateway.config.max_peers)
        except ProtocolError:
            self._gateway.metrics.count_malformed()
            raise
        self._robots.admit(batch.models)
        return batch.join([answer.reply for answer in self._robots.infer(batch.rows)])
