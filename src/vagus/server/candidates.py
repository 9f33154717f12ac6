"""Requests as a scheduler sees them, with what each tenant used of the device. For one thread only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from vagus.clock import NS_PER_S
from vagus.server.fair_queue import Shares
from vagus.server.scheduler import Candidate
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest, Slot

__all__ = ["Candidates", "ReadyRows"]

SessionT = TypeVar("SessionT")

SAME_SHARE = 0.02
"""Relative change of a share that changes no decision: a candidate is made anew for a larger one."""

ReadyRows: TypeAlias = Mapping[int, tuple[Slot[SessionT], ReadyRequest]]
"""Epoch → the slot of the session and its request."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Batch key of a robot for which the policy raised last: it gets a batch of its own until it succeeds."""

    epoch: int


class Candidates(Generic[SessionT]):
    """Candidates of the ready requests; one is kept as long as its request waits."""

    def __init__(self) -> None:
        self._shares = Shares()
        self._known: dict[int, tuple[ReadyRequest, Candidate]] = {}

    def charge(self, session: Session, cost_ns: int, now_ns: int) -> None:
        """Note that the device worked for a session."""
        self._shares.add(session.tenant.name, cost_ns, now_ns, weight=session.tenant.weight)

    def of(self, ready: ReadyRows[SessionT], now_ns: int) -> dict[int, Candidate]:
        """Return epoch → candidate of these requests."""
        tenants = {slot.session.tenant.name for slot, _ in ready.values()}
        shares = {tenant: self._shares.used_ns(tenant, now_ns) / NS_PER_S for tenant in tenants}
        self._known = {
            epoch: (request, self._candidate(slot, request, shares[slot.session.tenant.name]))
            for epoch, (slot, request) in ready.items()
        }
        return {epoch: candidate for epoch, (_, candidate) in self._known.items()}

    def _candidate(self, slot: Slot[SessionT], request: ReadyRequest, share: float) -> Candidate:
        known = self._known.get(slot.session.epoch)
        if known is not None and known[0] is request and abs(known[1].share - share) <= SAME_SHARE * share:
            return known[1]
        return Candidate(
            slot.session.epoch,
            slot.last_served,
            request.ready_ns,
            request.due_ns,
            batch_key=_key(slot, request),
            tenant=slot.session.tenant.name,
            weight=slot.session.tenant.weight,
            share=share,
            rate_hz=slot.terms.rate_hz,
            gain_s=request.gain_s,
        )


def _key(slot: Slot[SessionT], request: ReadyRequest) -> Hashable:
    state = slot.episode_state
    return Alone(slot.session.epoch) if state is not None and state.is_alone else request.batch_key
