"""Foreign policy server, as the policy that asks it sees it: one connection, a deadline for every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, ForeignRtc
from vagus.policies.policy import ServingMode
from vagus.specs import RtcSpec

__all__ = ["Asked", "ForeignServer"]

Asked: TypeAlias = tuple[ForeignRequest, ForeignRtc | None]
"""One question: the canonical request, and what is said for real-time chunking."""


class ForeignServer(Protocol):
    """One connection to a foreign server.

    All methods are called on one thread, and none takes much longer than its `timeout_s`.

    A call that raises leaves the connection in no known state: the caller closes it, and opens it again.
    """

    address: ForeignAddress
    wanted: str
    """What must answer there, for messages: "an openpi server"."""
    loads_when_opened: bool
    """Whether `open` has the server load its model, which takes long."""
    serving_mode: ServingMode
    """EXCLUSIVE: the server holds state of one robot."""
    serving_reason: str
    """Completes "one robot at a time, because"; "" where any number may ask."""

    @property
    def identity(self) -> str:
        """Who the server is, where the settings choose the model or the protocol names it; "": neither.

        Known once it was open.
        """
        ...

    @property
    def model_dim(self) -> int:
        """Width of the model's own actions; 0: answers do not have them. Known once it was open."""
        ...

    @property
    def has_reset(self) -> bool:
        """Whether there is a word for the begin of an episode; known once it was open."""
        ...

    @property
    def settings(self) -> str:
        """Settings that change its answers, without the address; known once it was open."""
        ...

    @property
    def max_rows(self) -> int:
        """Largest number of requests in one call; known once it was open."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it is connected, to the very process that `open` has described."""
        ...

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew; return what the server says about itself; nothing, if its protocol cannot say it.

        Raises:
            LinkError: no connection, or no answer in time.
            ProtocolError: what answers speaks another protocol.
        """
        ...

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return the real-time chunking that the server offers by what it has said; None: none."""
        ...

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> Sequence[ForeignReply]:
        """Return one reply per request, at most `max_rows` of them; each request is canonical.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        ...

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        ...

    def close(self) -> None:
        """Drop the connection, without waiting for the server. Twice does nothing."""
        ...
