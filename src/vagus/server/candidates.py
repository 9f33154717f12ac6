"""Requests as a scheduler sees them, with what each tenant used of the device. For one thread only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from vagus.clock import NS_PER_S
from vagus.server.fair_queue import Shares
from vagus.server.request_slots import RequestSlots
from vagus.server.scheduler import Candidate, expected_after
from vagus.server.sessions import Session
from vagus.server.slot import ReadyRequest, Slot

__all__ = ["Candidates", "ReadyRows"]

SessionT = TypeVar("SessionT")

HALF_LIFE_NS = 5 * NS_PER_S
"""Half-life of the time of the device that a tenant used: some rounds in which all robots are served."""
SAME_SHARE = 0.02
"""Relative change of a share that changes no decision: a candidate is made anew for a larger one."""

ReadyRows: TypeAlias = Mapping[int, tuple[Slot[SessionT], ReadyRequest]]
"""Epoch → the slot of the session and its request."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Batch key of a robot for which the policy raised last: it gets a batch of its own until it succeeds."""

    epoch: int


class Candidates(Generic[SessionT]):
    """Candidates of the requests that are ready, and of those that are expected.

    The candidate of a request is kept as long as it waits. A request is expected from every session that was
    answered, until it comes or its time has passed.

    Args:
        slots: slots of all sessions.
    """

    def __init__(self, slots: RequestSlots[SessionT]) -> None:
        self._slots = slots
        self._shares = Shares(HALF_LIFE_NS)
        self._expected: dict[int, Candidate] = {}
        self._answered: dict[int, tuple[Candidate, int]] = {}
        """Request of each session that was answered of late, and when; its answer asks for a pause."""
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

    def expected(self, now_ns: int) -> tuple[Candidate, ...]:
        """Return the next requests of the sessions that have none, as far as they can be guessed."""
        for epoch, (served, answered_ns) in self._answered.items():
            slot = self._slots.slot(epoch)
            if slot is not None:
                pause_ns = slot.session.min_interval_ns
                self._expected[epoch] = expected_after(served, answered_ns, min_interval_ns=pause_ns)
        self._answered.clear()
        self._expected = {
            epoch: candidate
            for epoch, candidate in self._expected.items()
            if candidate.ready_ns > now_ns and self._slots.slot(epoch) is not None
        }
        return tuple(one for epoch, one in self._expected.items() if epoch not in self._known)

    def answered(self, epoch: int, now_ns: int) -> None:
        """Note that the request of a session, which `of` knew when its batch was chosen, was answered."""
        if epoch in self._known:
            self._answered[epoch] = (self._known[epoch][1], now_ns)

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
            waits_since_ns=slot.waits_since_ns,
            is_blocked=slot.terms.waits_for_answers and request.request.slack_ms <= 0,
        )


def _key(slot: Slot[SessionT], request: ReadyRequest) -> Hashable:
    state = slot.episode_state
    return Alone(slot.session.epoch) if state is not None and state.is_alone else request.batch_key
