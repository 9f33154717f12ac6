"""GR00T's protocol for conversations with its clients: reading, writing, and its own answers (pure)."""

from __future__ import annotations

from vagus.gateways.neutral import ForeignReply, ForeignRequest, Operation
from vagus.gateways.profile import Profile
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

__all__ = ["Gr00tDialect"]


class Gr00tDialect:
    """GR00T's requests and answers, as a `BatchDialect`.

    Args:
        profile: what it describes to clients that ask.
        version: version of the protocol where a request does not show one; "": none.
    """

    wrong_token = WRONG_TOKEN

    def __init__(self, profile: Profile, version: str) -> None:
        self._profile = profile
        self._version = version

    def decode(self, payload: memoryview) -> ForeignRequest:
        """See `BatchDialect`."""
        return decode_request(payload)

    def reply_without_robot(self, request: ForeignRequest) -> ForeignReply:
        """See `BatchDialect`."""
        if request.operation is Operation.DESCRIBE:
            return ForeignReply(extra=description_of(self._profile, self._version))
        if request.operation is Operation.PING:
            return PING_REPLY
        return unknown_endpoint(request.envelope.endpoint)

    def batch_of(self, request: ForeignRequest, *, most: int) -> ForeignBatch:
        """See `BatchDialect`."""
        return batch_of(request, most=most)

    def encode(self, reply: ForeignReply, request: ForeignRequest) -> bytes:
        """See `BatchDialect`."""
        return encode_reply(reply, request, version=self._version)

    def encode_error(self, text: str) -> bytes:
        """See `BatchDialect`."""
        return encode_error(text)
