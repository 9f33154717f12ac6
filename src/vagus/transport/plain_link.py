"""Protocol of a link for messages of a foreign protocol: the header as it is, no checksum (pure)."""

from __future__ import annotations

from typing import Protocol

from vagus.transport.link import Link

__all__ = ["PlainLink"]


class PlainLink(Link, Protocol):
    """A link whose messages are exactly what a foreign protocol says.

    The header of a message is its attachment, byte for byte; `b""` is no attachment. Queries and answers have
    none. A damaged message is not recognised here: the foreign protocol's own checks must refuse it. `query`
    raises LinkError with the server's text if a server answers with an error only.
    """

    def is_heard(self, key: str) -> bool:
        """Return whether a subscriber of somebody else matches `key` now.

        The first answer for a key may be False too early, since the network must be asked: ask again after
        some milliseconds. False while the network is away.
        """
        ...

    def is_served(self, key: str) -> bool:
        """Return whether a queryable of somebody else matches `key` now; see `is_heard`.

        A key with a wildcard is served only if one queryable serves all that it stands for.
        """
        ...
