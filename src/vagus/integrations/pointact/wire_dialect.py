"""PointAct's protocol for conversations with its clients: reading, writing, and its own answers (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.neutral import ForeignReply, ForeignRequest, Operation
from vagus.integrations.pointact.batches import join_replies, rows_of
from vagus.integrations.pointact.dialect import (
    PING_REPLY,
    WRONG_TOKEN,
    decode_request,
    encode_error,
    encode_reply,
    unknown_endpoint,
)
from vagus.quoting import quoted

__all__ = ["PointActBatch", "PointActDialect", "check_options"]

_OPTIONS: Final = ("data", "options")
_ROTATIONS: Final = "pred_rot_type"
_UNCHANGED: Final = (None, "axisangle", "quat")
"""Values with which PointAct's server answers its model's numbers as they are."""


@dataclass(frozen=True, eq=False)
class PointActBatch:
    """The robots in one request.

    Attributes:
        rows: canonical request of each.
    """

    rows: tuple[ForeignRequest, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The `repo_id` of each robot; "": it names none."""
        named = [row.observation.get(("repo_id",)) for row in self.rows]
        return tuple(name if isinstance(name, str) else "" for name in named)

    def join(self, replies: Sequence[ForeignReply]) -> ForeignReply:
        """See `RequestBatch`."""
        return join_replies(replies)


class PointActDialect:
    """PointAct's requests and answers, as a `BatchDialect`."""

    wrong_token = WRONG_TOKEN

    def decode(self, payload: memoryview) -> ForeignRequest:
        """See `BatchDialect`."""
        return decode_request(payload)

    def reply_without_robot(self, request: ForeignRequest) -> ForeignReply:
        """See `BatchDialect`."""
        if request.operation is Operation.PING:
            return PING_REPLY
        return unknown_endpoint(request.envelope.endpoint)

    def batch_of(self, request: ForeignRequest, *, most: int) -> PointActBatch:
        """See `BatchDialect`."""
        check_options(request)
        return PointActBatch(rows_of(request, most=most))

    def encode(self, reply: ForeignReply, request: ForeignRequest) -> bytes:
        """See `BatchDialect`."""
        del request
        return encode_reply(reply)

    def encode_error(self, text: str) -> bytes:
        """See `BatchDialect`."""
        return encode_error(text)


def check_options(request: ForeignRequest) -> None:
    """Check the options of a request: none that changes what the numbers of the actions mean.

    PointAct's server turns rotations of its model into quaternions if `pred_rot_type` is `euler` or `rot6d`.
    Here the profile says what the numbers are. Every other option is about points or the training of
    PointAct's own model, and passed over.

    Raises:
        ProtocolError: such an option, or options that are no map.
    """
    options = {path[2:]: value for path, value in request.beside.items() if path[:2] == _OPTIONS}
    whole = options.get(())
    if whole is not None and whole != {}:
        raise ProtocolError(f"options: wanted a map or none, got {type(whole).__name__}")
    rotations = options.get((_ROTATIONS,))
    if rotations is not None and not (isinstance(rotations, str) and rotations in _UNCHANGED):
        raise ProtocolError(
            f"options: wanted {_ROTATIONS} none, axisangle or quat, because the gateway's profile says what "
            f"the actions are, got {quoted(rotations, 40)}"
        )
