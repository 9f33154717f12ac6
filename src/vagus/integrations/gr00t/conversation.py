"""Conversation with one GR00T client: its requests are read, done by its robots, and answered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vagus.errors import ProtocolError, VagusError
from vagus.gateways.gateway import Gateway
from vagus.gateways.neutral import ForeignReply, ForeignRequest, Operation
from vagus.gateways.peer import Peer, PeerReply
from vagus.integrations.gr00t.batches import ForeignBatch, batch_of
from vagus.integrations.gr00t.description import description_of
from vagus.integrations.gr00t.dialect import (
    PING_REPLY,
    WRONG_TOKEN,
    decode_request,
    encode_error,
    encode_reply,
    unknown_endpoint,
)
from vagus.integrations.gr00t.entrance import Entrance
from vagus.quoting import quoted
from vagus.threads import ThreadPool

__all__ = ["Gr00tConversation"]

KILL_REFUSED = ForeignReply(error="kill: this server is stopped by its operator, not over the network")
MAX_ERROR = 1000
"""Longest text of an error, in characters."""

logger = logging.getLogger(__name__)


class Gr00tConversation:
    """Answers one client. It has a robot for each row of its batches; a robot is admitted when it is needed.

    Used by one thread.

    Args:
        gateway: admits the robots.
        address: where the client is, for logs and audits.
        entrance: bounds the work on requests, for all clients together.
        note: called with what is wrong with a request, for the operator.
    """

    def __init__(
        self,
        gateway: Gateway,
        address: str,
        entrance: Entrance,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._note = note
        self._gateway = gateway
        self._address = address
        self._entrance = entrance
        self._robots: list[Peer] = []
        self._rows: ThreadPool | None = None

    @property
    def has_places(self) -> bool:
        """Whether it has a robot at the gateway."""
        return bool(self._robots)

    def answer(self, frame: memoryview) -> bytes:
        """Return the answer to a request, whatever it is; what goes wrong is said in it."""
        try:
            return self._answer(frame)
        except VagusError as error:
            self._note(quoted(error, MAX_ERROR))
            return encode_error(quoted(error, MAX_ERROR))
        except Exception as error:
            logger.exception("a request of %s could not be answered", self._address)
            return encode_error(f"the gateway failed: {quoted(repr(error))}")

    def refuse(self, reason: str) -> bytes:
        """Return the answer to a request that could not be received."""
        self._gateway.metrics.count_malformed()
        self._note(reason)
        return encode_error(reason)

    def release(self) -> None:
        """Give back every place at the gateway."""
        self._keep(0)
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    # -- parts ------------------------------------------------------------------------------------------

    def _answer(self, frame: memoryview) -> bytes:
        with self._entrance.turn(is_known=self.has_places):
            try:
                request = decode_request(frame)
            except ProtocolError as error:
                return self.refuse(quoted(error, MAX_ERROR))
            reply = self._reply_at_once(request)
            if reply is not None:
                return self._encoded(reply, request)
        return self._encoded(self._infer(request), request)

    def _encoded(self, reply: ForeignReply, request: ForeignRequest) -> bytes:
        return encode_reply(reply, request, version=self._gateway.config.version)

    def _reply_at_once(self, request: ForeignRequest) -> ForeignReply | None:
        """Return the reply to what needs no robot; None to a request for actions."""
        if not self._gateway.check_token(request.token):
            self._note("wrong or no api_token")
            return WRONG_TOKEN
        if request.operation is Operation.INFER:
            return None
        if request.operation is Operation.RESET:
            for robot in self._robots:
                robot.reset()
            return ForeignReply()
        if request.operation is Operation.DESCRIBE:
            profile, version = self._gateway.mapping.profile, self._gateway.config.version
            return ForeignReply(extra=description_of(profile, version))
        fixed = {Operation.PING: PING_REPLY, Operation.KILL: KILL_REFUSED}
        return fixed.get(request.operation) or unknown_endpoint(request.envelope.endpoint)

    def _infer(self, request: ForeignRequest) -> ForeignReply:
        try:
            batch = batch_of(request, most=self._gateway.config.max_peers)
        except ProtocolError:
            self._gateway.metrics.count_malformed()
            raise
        self._admit(len(batch.rows))
        return batch.join([reply.reply for reply in self._infer_rows(batch)])

    def _infer_rows(self, batch: ForeignBatch) -> list[PeerReply]:
        if len(batch.rows) == 1:
            return [self._robots[0].infer(batch.rows[0])]
        if self._rows is None:
            self._rows = ThreadPool(self._gateway.config.max_peers, "gr00t-row")
        robots = zip(self._robots, batch.rows, strict=True)
        return self._rows.map(lambda pair: pair[0].infer(pair[1]), robots)

    def _admit(self, count: int) -> None:
        """Have `count` robots: all of them, or those of before.

        Raises:
            SessionRefusedError: the gateway has no more places.
        """
        before = len(self._robots)
        self._keep(count)
        try:
            while len(self._robots) < count:
                self._robots.append(self._gateway.admit(self._address))
        except VagusError:
            self._keep(before)
            raise

    def _keep(self, count: int) -> None:
        """Close all robots but the first `count`."""
        while len(self._robots) > count:
            self._robots.pop().close()
