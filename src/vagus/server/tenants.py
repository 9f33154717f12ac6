"""Tenants: parties that share a server, each with a weight and with quotas for its robots (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.setting_ranges import check_count
from vagus.transport.client_pattern import ClientPattern

__all__ = ["MAX_TENANTS", "OTHER", "Tenant", "TenantTable", "unproven"]

OTHER = "other"
"""Name of the tenant of all clients that no pattern of the settings matches."""
MAX_TENANTS = 32
"""Largest number of tenants: each has a part of the bounded queues, and a label in the metrics."""
MAX_PATTERNS = 4096
MAX_WEIGHT = 100.0
MIN_WEIGHT = 0.01
MAX_SESSIONS = 100_000
MIN_RATE = 0.001
MAX_RATE = 1e6
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A party that shares a server: its robots, its weight, and its quotas."""

    name: str = ""
    """Name of the tenant in logs, audit and metrics: letters, digits, . _ and -."""
    clients: tuple[str, ...] = ()
    """Names of its clients, or beginnings of names and `*`, like lab-a-*; the longest match wins."""
    weight: float = 1.0
    """Share of the device, of decoding and of session requests, relative to the weights of the others."""
    max_sessions: int | None = None
    """Largest number of its robots that are connected at once; these places are kept for them. Unset: no
    limit, and no place is kept."""
    max_requests_per_s: float | None = None
    """Largest number of requests per second of all its robots; unset: no limit."""

    def __post_init__(self) -> None:
        subject = f"tenants: {quoted(self.name, _SHOWN)}"
        if not MIN_WEIGHT <= self.weight <= MAX_WEIGHT:  # also for NaN
            raise ConfigError(
                subject, wanted=f"a weight from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}", got=repr(self.weight)
            )
        check_count(f"{subject}: max_sessions", self.max_sessions, most=MAX_SESSIONS)
        rate = self.max_requests_per_s
        if rate is not None and not MIN_RATE <= rate <= MAX_RATE:  # also for NaN
            raise ConfigError(
                f"{subject}: max_requests_per_s",
                wanted=f"a number from {MIN_RATE:g} to {MAX_RATE:g}",
                got=repr(rate),
            )

    @property
    def label(self) -> str:
        """Name for metrics and audit; "": a client of its own, which gets none, because clients choose it."""
        return self.name if self.clients else ""


class TenantTable:
    """Table from the segment of a client in its keys to its tenant.

    Without tenants in the settings each client is a tenant of its own. With them, all clients that no pattern
    matches are one tenant, `other`.

    Raises:
        ConfigError: a name is wrong or stands twice, a tenant has no clients, a pattern is wrong, or stands
            twice.
    """

    def __init__(self, tenants: Sequence[Tenant] = ()) -> None:
        if len(tenants) > MAX_TENANTS:
            raise ConfigError("tenants", wanted=f"at most {MAX_TENANTS}", got=str(len(tenants)))
        self._whole: dict[str, Tenant] = {}
        self._beginnings: dict[str, Tenant] = {}
        self.configured = tuple(tenants)
        """The tenants of the settings, in their order."""
        names: set[str] = set()
        for tenant in self.configured:
            _check_name(tenant.name, names)
            names.add(tenant.name)
            self._add(tenant)
        if len(self._whole) + len(self._beginnings) > MAX_PATTERNS:
            raise ConfigError("tenants", wanted=f"at most {MAX_PATTERNS} patterns", got="more")
        self._lengths = sorted({len(beginning) for beginning in self._beginnings}, reverse=True)
        self._other = Tenant(name=OTHER, clients=("*",))

    def _add(self, tenant: Tenant) -> None:
        subject = f"tenants: {tenant.name}: clients"
        if not tenant.clients:
            raise ConfigError(subject, wanted="at least one name or beginning of names", got="none")
        for text in tenant.clients:
            pattern = ClientPattern.of(text, subject=subject)
            known = self._beginnings if pattern.is_beginning else self._whole
            if pattern.segment in known:
                raise ConfigError(
                    subject,
                    wanted="each pattern once, at one tenant",
                    got=f"{quoted(text, _SHOWN)!r}, which {known[pattern.segment].name!r} has, too",
                )
            known[pattern.segment] = tenant

    def of(self, client: str) -> Tenant:
        """Return the tenant of the client with this segment in its keys."""
        if not self.configured:
            return Tenant(name=client)
        whole = self._whole.get(client)
        if whole is not None:
            return whole
        for length in self._lengths:
            tenant = self._beginnings.get(client[:length])
            if tenant is not None and len(client) >= length:
                return tenant
        return self._other

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of all tenants for metrics and audit; none without tenants in the settings."""
        return (*(tenant.name for tenant in self.configured), OTHER) if self.configured else ()

    def kept(self, max_sessions: int) -> dict[str, int]:
        """Return the places that are kept for tenants with a session quota: none if there are not so many."""
        quotas = {t.name: t.max_sessions for t in self.configured if t.max_sessions is not None}
        return quotas if sum(quotas.values()) <= max_sessions else {}

    def excess(self, *, max_sessions: int, requests_per_s: float | None = None) -> list[str]:
        """Return the sentences on quotas that exceed what the server has.

        Args:
            max_sessions: places of the server.
            requests_per_s: requests that the device can answer in a second, measured; None: not known.
        """
        sessions = sum(tenant.max_sessions or 0 for tenant in self.configured)
        rates = sum(tenant.max_requests_per_s or 0.0 for tenant in self.configured)
        told = []
        if sessions > max_sessions:
            told.append(
                f"the session quotas of the tenants are {sessions} together, but there are {max_sessions} "
                "places: none is kept for anybody; raise max_sessions, or lower the quotas"
            )
        if requests_per_s is not None and rates > requests_per_s:
            told.append(
                f"the request quotas of the tenants are {rates:g} per second together, but the policy "
                f"answers at most about {requests_per_s:.3g}: beyond it, the weights decide; lower the "
                "quotas, or start one more server"
            )
        return told


def unproven(*, has_certificates: bool, has_rules: bool) -> str:
    """Return why a robot can pass for one of another tenant; "": only by another's certificate.

    Args:
        has_certificates: whether the link demands certificates.
        has_rules: whether there is a place for access rules: a router, or the settings of this server's link.
    """
    if not has_certificates:
        return (
            "there are tenants, but no certificates: any client can call itself by any tenant's names, and "
            "take its places; set tls, and access rules at the router"
        )
    if not has_rules:
        return (
            "there are tenants, but robots connect to this server itself, without access rules: each "
            "certificate of your authority can use any tenant's names; give the rules to this server "
            "(extra: access_control=…), or let robots and server connect to a router that has them"
        )
    return ""


def _check_name(name: str, taken: set[str]) -> None:
    if _NAME.fullmatch(name) is None or name == OTHER:
        raise ConfigError(
            "tenants",
            wanted=f"a name of letters, digits, . _ and -, at most 64 characters, and not {OTHER!r}",
            got=quoted(repr(name), _SHOWN),
        )
    if name in taken:
        raise ConfigError("tenants", wanted="each name once", got=f"{name!r} twice")
