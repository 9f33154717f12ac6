"""Metrics per tenant: only the tenants of the settings and `other` are named, so no client makes a label."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType

from vagus.server.replies import Outcome
from vagus.server.tenants import TenantTable

__all__ = ["TenantMetrics"]


class TenantMetrics:
    """Counters of the requests of each tenant. Any thread may call it; without tenants there are none."""

    def __init__(self, tenants: TenantTable) -> None:
        self._tenants = tenants
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()

    def record(self, outcome: Outcome) -> None:
        """Count the outcome of a request. Never waits."""
        self._count(outcome.tenant, outcome.result)

    def over_quota(self, tenant: str) -> None:
        """Count a request that was refused because its tenant is above its quota. Never waits."""
        self._count(tenant, "over_quota")

    def _count(self, tenant: str, outcome: str) -> None:
        if tenant:
            with self._lock:
                self._requests[tenant, outcome] += 1

    def families(self, count_sessions: Callable[[str], int], core: ModuleType) -> Iterator[object]:
        """Yield the metric families.

        Args:
            count_sessions: function from a tenant's name to the number of its open sessions.
            core: the module prometheus_client.core.
        """
        if not self._tenants.labels:
            return
        with self._lock:
            counted = sorted(self._requests.items())
        requests = core.CounterMetricFamily(
            "vagus_tenant_requests_total", "Requests of each tenant.", labels=["tenant", "outcome"]
        )
        for labels, amount in counted:
            requests.add_metric(list(labels), amount)
        yield requests
        sessions = core.GaugeMetricFamily(
            "vagus_tenant_sessions", "Robots of each tenant that are connected.", labels=["tenant"]
        )
        for tenant in self._tenants.labels:
            sessions.add_metric([tenant], float(count_sessions(tenant)))
        yield sessions
