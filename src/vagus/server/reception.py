"""Reception of clients: tenants, sessions and their log, and the callbacks and declarations of the link."""

from __future__ import annotations

import logging
from functools import partial
from typing import Generic, TypeVar

from vagus.server.capacity import best_batch, requests_per_s_at
from vagus.server.config import ServeConfig
from vagus.server.endpoints import Endpoints
from vagus.server.log_files import LogFiles
from vagus.server.open_sessions import OpenSessions
from vagus.server.options import PipelineOptions
from vagus.server.publisher import Publisher
from vagus.server.session_log import SessionLog
from vagus.server.session_sweep import SessionSweep
from vagus.server.surface import Surface
from vagus.server.tenant_metrics import TenantMetrics
from vagus.server.tenants import TenantTable, unproven
from vagus.threads import Threads

__all__ = ["Reception"]

SessionT = TypeVar("SessionT")

RULES = "access_control="
"""Beginning of the setting of the link that holds access rules."""

logger = logging.getLogger(__name__)


class Reception(Generic[SessionT]):
    """The parts of a server that deal with clients.

    Args:
        config: settings of the server.
        publisher: publisher of the answers.
        log_files: audit file, for events of sessions.
        threads: the threads of the server, and their clock.

    Attributes:
        tenants: who belongs to whom.
        tenant_metrics: counters of each tenant.
        log: log of the sessions.
        sessions: the open sessions.
        endpoints: callbacks of the link.
        surface: declarations of the link.
        sweep: the search for clients that are gone.
    """

    def __init__(
        self,
        config: ServeConfig,
        *,
        publisher: Publisher,
        log_files: LogFiles,
        threads: Threads,
    ) -> None:
        link, server, metrics = publisher.link, publisher.server, publisher.metrics
        self.tenants = TenantTable(config.tenants)
        self.tenant_metrics = TenantMetrics(self.tenants)
        self.log = SessionLog(metrics, self.tenant_metrics, log_files.write_event, threads.clock)
        self.sessions: OpenSessions[SessionT] = OpenSessions(config, self.tenants, self.log, threads.clock)
        self.endpoints = Endpoints(
            self.sessions, tenants=self.tenants, publisher=publisher, log=self.log, threads=threads
        )
        self.surface: Surface[SessionT] = Surface(link, server, threads)
        self.sweep = SessionSweep(link, server, self.sessions, publisher=publisher, log=self.log)
        self._zenoh = config.zenoh
        self._gateways = tuple(gateway.robot_prefix for gateway in config.gateways)
        metrics.add_collect(partial(self.tenant_metrics.families, self.sessions.count))

    def tell(self, options: PipelineOptions, *, is_measured: bool) -> None:
        """Log whose the robots of this process's gateways are, and which promises to tenants cannot be kept.

        Args:
            options: places, and inference times.
            is_measured: whether the inference times were measured.
        """
        if not self.tenants.configured:
            return
        for prefix in self._gateways:
            logger.info("robots of gateway %s are of tenant %s", prefix, self.tenants.of(f"{prefix}-1").name)
        requests_per_s = _most_requests_per_s(options) if is_measured else None
        told = self.tenants.excess(max_sessions=options.max_sessions, requests_per_s=requests_per_s)
        has_own_rules = any(entry.startswith(RULES) for entry in self._zenoh.extra)
        has_rules = has_own_rules or not self._zenoh.listen
        told.append(unproven(has_certificates=self._zenoh.tls.is_on, has_rules=has_rules))
        for sentence in filter(None, told):
            logger.warning("tenants: %s", sentence)


def _most_requests_per_s(options: PipelineOptions) -> float:
    batch = best_batch(options.profile, max_batch=options.max_batch)
    return requests_per_s_at(options.profile, batch)
