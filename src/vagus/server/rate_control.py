"""Shortest time between two requests of a robot while a server has too much to do (pure).

Requests that a device cannot serve in time make each other late if they queue. It is better to ask each robot
for a pause: then what is served is served at once, and no answer is old when it arrives.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace

from vagus.clock import NS_PER_MS, NS_PER_S

__all__ = ["RateControl", "ServedRow", "obeyed_ns"]

PERIOD_NS = NS_PER_S // 2
"""Shortest time between two changes."""
PERIODS = 2
"""Intervals between two changes: robots that heard of the last one have asked again meanwhile."""
LEAST_ROWS = 8
"""Rows that a decision needs; a period lasts until so many were served."""
ACTIVE_NS = 10 * NS_PER_S
"""Time after its last answer in which a client counts as one that will ask again."""
TOO_LATE = 1.0
"""Mean wait, in batches, from which on the device has too much to do: a request that finds it busy waits for
the rest of one batch, on average for half of it."""
IN_TIME = 0.7
"""Mean wait, in batches, up to which there is room. Between the two nothing changes, so nothing swings."""
LEAST_BATCH_NS = 20 * NS_PER_MS
"""Shortest time that a batch counts for: a shorter wait is that of the server's threads, and hurts nobody."""
MAX_RAISE = 1.5
"""Largest factor of one change upwards."""
MOST_OVER = 2.0
"""Largest interval, as a multiple of that at which all ask as often as the device answers: a longer one would
not help, because it is others who do not obey."""
MARGIN = 2
"""Answers as slow as the last one for which a robot has time, before what it plays ends."""
OBEYED = 0.8
"""Part of an interval after which a request counts as one that obeys: clocks and networks vary."""
LOWERED = 0.95
"""Factor of one change downwards: slower than upwards, for it is a trial."""
MAX_INTERVAL_NS = 60 * NS_PER_S
"""Longest interval that is asked for. Most robots obey less, and are asked for no more than that."""
LEAST_OBEYED_NS = NS_PER_S
"""Interval that every robot is taken to obey, so that none passes for one that obeys whatever it does."""
PAUSED_NS = NS_PER_S
"""Time without a row after which the server was idle or asleep; what waited then is no overload."""
PAUSED_BATCHES = 4
"""The same in batches, where these are long; while clients are asked for pauses, two of these, too."""


def obeyed_ns(max_action_age_s: float) -> int:
    """Return the longest interval that a robot obeys: until its oldest action is too old; 0: not known."""
    if max_action_age_s <= 0:
        return MAX_INTERVAL_NS
    return round(min(max(max_action_age_s * NS_PER_S, LEAST_OBEYED_NS), MAX_INTERVAL_NS))


@dataclass(frozen=True, slots=True)
class ServedRow:
    """One row of a batch.

    Attributes:
        client: who asked.
        tenant: party that it was served for.
        weight: weight of this party.
        wait_ns: time that it was ready and waited for its batch.
        batch_ns: time of its batch in the policy.
        arrived_ns: time at which its request came.
        longest_ns: longest interval that the client obeys.
        plays_ns: how long its robot plays a whole chunk; 0: not known.
    """

    client: str
    tenant: str
    weight: float
    wait_ns: int
    batch_ns: int
    arrived_ns: int = 0
    longest_ns: int = MAX_INTERVAL_NS
    plays_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Period:
    """Rows between two changes: how many, how long they waited and how long their batches took, in ns.

    Attributes:
        begin_ns: its begin.
        served: rows that were served.
        rows: those of them that tell how much there is to do; the sums are theirs.
        wait_ns: sum of their waits.
        batch_ns: sum of the times of their batches.
    """

    begin_ns: int
    served: int = 0
    rows: int = 0
    wait_ns: int = 0
    batch_ns: int = 0

    def with_row(self, row: ServedRow, *, is_telling: bool) -> _Period:
        if not is_telling:
            return replace(self, served=self.served + 1)
        batch_ns = max(row.batch_ns, LEAST_BATCH_NS)
        return _Period(
            self.begin_ns,
            self.served + 1,
            self.rows + 1,
            self.wait_ns + row.wait_ns,
            self.batch_ns + batch_ns,
        )

    @property
    def lateness(self) -> float:
        """Mean wait of a row in batches."""
        return self.wait_ns / max(self.batch_ns, 1)


class RateControl:
    """Shortest interval of each client, by its tenant's share. Not thread-safe: one thread uses it.

    One number is controlled: the interval of a client that is alone in a tenant of weight 1. A tenant's
    clients share what their tenant gets. Clients that ask less often are not concerned, and leave their part
    to the others. It begins with the interval at which all clients together ask as often as the device just
    answered, rises while requests wait too long, and falls slowly while they do not. Whoever waited for its
    batch is asked to wait as much longer: it comes when its turn was, and robots that all began at the same
    moment do not meet again. A robot that needs no more than its part to keep moving is not asked to stand
    still for others that do not obey.
    """

    def __init__(self) -> None:
        self._unit_ns = 0.0
        self._fair_ns = 0.0
        """Unit at which all clients together ask as often as the device answers."""
        self._period: _Period | None = None
        self._newest: tuple[int, int] | None = None
        """Time at which the newest row was noted, and the time of its batch."""
        self._resumed_ns: int | None = None
        """Time of the first row after the newest pause; requests from before it say nothing of the load."""
        self._seen: dict[str, ServedRow] = {}
        """Newest row of each active client."""
        self._seen_ns: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()
        self._clients: Counter[str] = Counter()

    @property
    def is_limiting(self) -> bool:
        """Whether clients are asked for a pause."""
        return self._unit_ns > 0

    def note(self, row: ServedRow, now_ns: int) -> None:
        """Note a row that was served, and change the interval if it is time for it."""
        self._note_pause(row, now_ns)
        is_telling = self._is_obeying(row) and not self._is_from_before(row, now_ns)
        self._see(row, now_ns)
        self._forget(now_ns)
        period = self._period or _Period(now_ns - row.batch_ns)
        self._period = period = period.with_row(row, is_telling=is_telling)
        lasted_ns = now_ns - period.begin_ns
        if lasted_ns < PERIOD_NS or period.rows < LEAST_ROWS:
            return
        if lasted_ns >= PERIODS * self._longest_ns:
            self._change(period, now_ns)
            self._period = _Period(now_ns)

    def interval_ns(self, client: str) -> int:
        """Return the shortest time between two requests of a client, from capture to capture; 0: none."""
        seen = self._seen.get(client)
        if seen is None or not self.is_limiting:
            return 0
        clients_per_weight = self._clients[seen.tenant] / seen.weight
        asked_ns = self._unit_ns * clients_per_weight + seen.wait_ns
        needed_ns = seen.plays_ns - MARGIN * (seen.wait_ns + seen.batch_ns)
        if needed_ns >= self._fair_ns * clients_per_weight:  # it needs no more than its part
            asked_ns = min(asked_ns, needed_ns)
        return round(min(asked_ns, seen.longest_ns, MAX_INTERVAL_NS))

    def interval_ms(self, client: str) -> float:
        """Return the same in milliseconds."""
        return self.interval_ns(client) / NS_PER_MS

    def _note_pause(self, row: ServedRow, now_ns: int) -> None:
        """Begin anew after a time in which nothing was served: the server was idle, stopped or asleep."""
        newest, self._newest = self._newest, (now_ns, row.batch_ns)
        if newest is None:
            return
        last_ns, batch_ns = newest
        silent_ns = now_ns - last_ns
        if silent_ns > max(PAUSED_NS, PAUSED_BATCHES * batch_ns) and silent_ns > PERIODS * self._longest_ns:
            self._period, self._resumed_ns, self._unit_ns = None, now_ns, 0.0

    def _is_from_before(self, row: ServedRow, now_ns: int) -> bool:
        """Whether this request was ready before the server resumed."""
        ready_ns = now_ns - row.batch_ns - row.wait_ns
        return self._resumed_ns is not None and ready_ns < self._resumed_ns

    def _is_obeying(self, row: ServedRow) -> bool:
        """Whether a client waited as it was asked to; what others wait by their own fault is no overload."""
        last = self._seen.get(row.client)
        if last is None or not self.is_limiting:
            return True
        return row.arrived_ns - last.arrived_ns >= OBEYED * self.interval_ns(row.client)

    def _see(self, row: ServedRow, now_ns: int) -> None:
        known = self._seen.get(row.client)
        if known is not None:
            self._drop(known.tenant)
        self._seen[row.client] = row
        self._seen_ns[row.client] = now_ns
        self._clients[row.tenant] += 1
        self._order.append((now_ns, row.client))

    def _forget(self, now_ns: int) -> None:
        while self._order and now_ns - self._order[0][0] > ACTIVE_NS:
            at_ns, client = self._order.popleft()
            if self._seen_ns.get(client) == at_ns:
                del self._seen_ns[client]
                self._drop(self._seen.pop(client).tenant)

    def _drop(self, tenant: str) -> None:
        self._clients[tenant] -= 1
        if not self._clients[tenant]:
            del self._clients[tenant]

    def _change(self, period: _Period, now_ns: int) -> None:
        lateness = period.lateness
        if lateness <= TOO_LATE and not self.is_limiting:
            return
        if lateness > TOO_LATE:
            self._fair_ns = self._weights * (now_ns - period.begin_ns) / period.served
            raised_ns = self._unit_ns * min(lateness / TOO_LATE, MAX_RAISE)
            self._unit_ns = min(raised_ns, MOST_OVER * self._fair_ns) if self.is_limiting else self._fair_ns
        elif lateness < IN_TIME:
            self._unit_ns *= LOWERED
        one_by_one_ns = (
            self._weights * period.batch_ns / period.rows
        )  # enough for a device that never batches
        self._unit_ns = min(self._unit_ns, self._most_unit_ns, MOST_OVER * one_by_one_ns)
        if self._unit_ns < self._least_ns(period):
            self._unit_ns = 0.0

    @property
    def _weights(self) -> float:
        """Sum of the weights of the tenants that are active."""
        weights = {row.tenant: row.weight for row in self._seen.values()}
        return sum(weights.values())

    def _least_ns(self, period: _Period) -> float:
        """Return the unit below which no interval concerns anybody: shorter than any answer takes."""
        return period.batch_ns / period.rows / self._most_per_weight

    @property
    def _most_unit_ns(self) -> float:
        """Return the unit beyond which no interval becomes longer."""
        return max(row.longest_ns * row.weight / self._clients[row.tenant] for row in self._seen.values())

    @property
    def _longest_ns(self) -> float:
        """Longest interval that a client is asked for, without what it waited; 0: none is asked for one."""
        if not self.is_limiting:
            return 0.0
        return max(
            (
                min(self._unit_ns * self._clients[row.tenant] / row.weight, row.longest_ns)
                for row in self._seen.values()
            ),
            default=0.0,
        )

    @property
    def _most_per_weight(self) -> float:
        """Interval of the client that waits longest, in units."""
        return max(self._clients[row.tenant] / row.weight for row in self._seen.values())
