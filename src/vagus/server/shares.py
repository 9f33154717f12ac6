"""Shares of a common resource: the client that used the least lately is next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from vagus.clock import NS_PER_S

__all__ = ["Allowance", "Shares"]

HALF_LIFE_NS = 2 * NS_PER_S
"""After this time half of what a client used is forgotten."""
MAX_CLIENTS = 1024
"""Clients remembered; the names are theirs to choose."""


class Shares:
    """How much each client used lately. Pure; not thread-safe."""

    def __init__(self, half_life_ns: int = HALF_LIFE_NS) -> None:
        self._half_life_ns = half_life_ns
        self._used: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def used_ns(self, client: str, now_ns: int) -> float:
        """Return what a client used, less what is forgotten."""
        amount, at_ns = self._used.get(client, (0.0, now_ns))
        return float(amount * 0.5 ** ((now_ns - at_ns) / self._half_life_ns))

    def add(self, client: str, cost_ns: int, now_ns: int) -> None:
        """Note that a client used `cost_ns`; more than a half-life at once is the machine's fault."""
        self._used[client] = (self.used_ns(client, now_ns) + min(cost_ns, self._half_life_ns), now_ns)
        self._used.move_to_end(client)
        if len(self._used) > MAX_CLIENTS:
            self._used.popitem(last=False)

    def least(self, clients: Iterable[tuple[str, int]], now_ns: int) -> str:
        """Return the client of (client, size of its wish) that used least; of equals the smallest wish."""
        return min(clients, key=lambda wish: (self.used_ns(wish[0], now_ns), wish[1]))[0]


class Allowance:
    """So many at once, then so many per second, for each client. Pure; not thread-safe.

    Args:
        burst: allowed at once to a client that has been quiet.
        per_s: allowed for ever.
    """

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, client: str, now_ns: int) -> bool:
        """Use one up; False: there is none left, and nothing changes."""
        left, at_ns = self._left.get(client, (float(self._burst), now_ns))
        left = min(left + (now_ns - at_ns) / NS_PER_S * self._per_s, self._burst)
        is_allowed = left >= 1
        self._left[client] = (left - is_allowed, now_ns)
        self._left.move_to_end(client)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return is_allowed
