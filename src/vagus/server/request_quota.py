"""Request quotas of tenants: so many requests per second, divided fairly among a tenant's robots (pure)."""

from __future__ import annotations

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.tenants import Tenant

__all__ = ["MIN_PAUSE_NS", "RequestQuota", "RequestQuotas"]

BURST_S = 1.0
"""Requests of so many seconds may come at once: a robot's, and what other robots of its tenant left over."""
REFILL_NS = 20 * NS_PER_MS
"""Shortest time between two divisions of the rate, so that a flood costs no more than fifty in a second."""
ACTIVE_NS = 10 * NS_PER_S
"""A robot that asked for nothing in this time leaves its part to the others."""
MIN_SAVED = 2.0
"""A robot may save so many requests, so that none is lost between two of its requests."""
MIN_PAUSE_NS = 100 * NS_PER_MS
MAX_PAUSE_NS = 10 * NS_PER_S


class RequestQuota:
    """Quota of one tenant. Not thread-safe.

    Each robot that asks gets an equal part of the rate, and saves it for at most `BURST_S`; what it does not
    use after that goes to whoever wants more. So a robot that floods takes nothing that another one uses, and
    nothing is left unused.

    In any T seconds, at most `per_s · (T + 2 · BURST_S)` requests are allowed, one more, and two for each
    robot that asked in the ten seconds before; in the first T seconds `per_s · (T + BURST_S)` and one.

    Args:
        per_s: requests per second of all robots.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._own: dict[str, float] = {}
        """Robot → requests that it has saved."""
        self._asked_ns: dict[str, int] = {}
        self._over = self._most_over
        """Requests that nobody saved; a new robot has none of its own, for its tenant may make new names."""
        self._filled_ns: int | None = None

    def __len__(self) -> int:
        return len(self._own)

    def take(self, client: str, now_ns: int) -> bool:
        """Use one request of a robot; return False, without a change, if it is above the quota."""
        self._asked_ns[client] = now_ns
        self._own.setdefault(client, 0.0)
        self._fill(now_ns)
        if self._own[client] >= 1:
            self._own[client] -= 1
        elif self._over >= 1:
            self._over -= 1
        else:
            return False
        return True

    def pause_ns(self, client: str) -> int:
        """Return the time after which a robot that was refused has a request again."""
        missing = 1 - self._own.get(client, 0.0)
        pause_ns = round(missing * len(self._own) / self._per_s * NS_PER_S)
        return min(max(pause_ns, MIN_PAUSE_NS), MAX_PAUSE_NS)

    def _fill(self, now_ns: int) -> None:
        """Divide what has been added since the last time."""
        since_ns = 0 if self._filled_ns is None else now_ns - self._filled_ns
        if self._filled_ns is not None and since_ns < REFILL_NS:
            return
        self._filled_ns = now_ns
        self._forget(now_ns)
        part = self._per_s * since_ns / NS_PER_S / len(self._own)
        most = max(self._per_s * BURST_S / len(self._own), MIN_SAVED)
        for client, saved in self._own.items():
            self._own[client] = min(saved + part, most)
            self._over += max(saved + part - most, 0.0)
        self._over = min(self._over, self._most_over)

    @property
    def _most_over(self) -> float:
        return max(self._per_s * BURST_S, 1.0)

    def _forget(self, now_ns: int) -> None:
        silent = [client for client, asked_ns in self._asked_ns.items() if now_ns - asked_ns > ACTIVE_NS]
        for client in silent:
            self._over += self._own.pop(client)
            del self._asked_ns[client]


class RequestQuotas:
    """Quotas of all tenants that have one. Not thread-safe."""

    def __init__(self) -> None:
        self._quotas: dict[str, RequestQuota] = {}

    def pause_ns(self, tenant: Tenant, client: str, now_ns: int) -> int:
        """Use one request of a robot; return 0, or how long it must pause: it is above the quota."""
        if tenant.max_requests_per_s is None:
            return 0
        quota = self._quotas.get(tenant.name)
        if quota is None:
            quota = self._quotas[tenant.name] = RequestQuota(tenant.max_requests_per_s)
        return 0 if quota.take(client, now_ns) else quota.pause_ns(client)
