"""Who else subscribes to or serves a key, as a Zenoh session is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import zenoh

from vagus.transport.zenoh_session import zenoh_text

__all__ = ["ZenohOthers"]

logger = logging.getLogger(__name__)

MAX_ASKED = 256
"""Keys of which a session is told who else uses them; the one that was asked first is forgotten first."""

_Asker = TypeVar("_Asker", zenoh.Publisher, zenoh.Querier)


class ZenohOthers:
    """Who else subscribes to or serves a key: what a declared publisher or querier of the key is told."""

    def __init__(self, session: zenoh.Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._publishers: dict[str, zenoh.Publisher] = {}
        self._queriers: dict[str, zenoh.Querier] = {}

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        declare = partial(self._session.declare_publisher, key, allowed_destination=zenoh.Locality.REMOTE)
        return self._is_matched(self._publishers, key, declare)

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        declare = partial(self._session.declare_querier, key, allowed_destination=zenoh.Locality.REMOTE)
        return self._is_matched(self._queriers, key, declare)

    def _is_matched(self, declared: dict[str, _Asker], key: str, declare: Callable[[], _Asker]) -> bool:
        try:
            with self._lock:
                if key not in declared:
                    while len(declared) >= MAX_ASKED:
                        declared.pop(next(iter(declared))).undeclare()  # type: ignore[no-untyped-call]
                    declared[key] = declare()
                status: object = declared[key].matching_status
        except zenoh.ZError as error:  # the session is closed
            logger.debug("who is at %s is unknown: %s", key, zenoh_text(error))
            return False
        return isinstance(status, zenoh.MatchingStatus) and status.matching  # Zenoh's stub calls it a bool
