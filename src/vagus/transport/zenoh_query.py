"""Query received by a Zenoh queryable, until it is answered or dropped."""

from __future__ import annotations

import logging

import zenoh

from vagus.transport.attachments import Attachments
from vagus.transport.zenoh_session import zenoh_text

__all__ = ["ZenohQuery"]

logger = logging.getLogger(__name__)


class ZenohQuery:
    """See `Query`."""

    def __init__(self, query: zenoh.Query, key: str, attachments: Attachments) -> None:
        self.key = key
        self._attachments = attachments
        self.payload = query.payload.to_bytes() if query.payload is not None else b""
        self._query: zenoh.Query | None = query

    def reply(self, payload: bytes) -> None:
        """See `Query.reply`."""
        query, self._query = self._query, None
        if query is None:
            return
        try:
            # travels like the query that it answers: droppable, express
            query.reply(self.key, payload, attachment=self._attachments.attachment(b"", payload) or None)
        except zenoh.ZError as error:
            logger.debug("answer to %s is lost: %s", self.key, zenoh_text(error))
        query.drop()  # type: ignore[no-untyped-call]

    def drop(self) -> None:
        """See `Query.drop`."""
        query, self._query = self._query, None
        if query is not None:
            query.drop()  # type: ignore[no-untyped-call]
