"""Deadline scheduler: least slack first, as large a batch as its tightest row can bear, value in overload.

Each possible batch is priced, and the cheapest is chosen. What counts is the robots' time without an action,
each action with the weight of its session, and the time of the device, which has a price only when there is
not enough of it:

- **Lateness.** A row that leaves after its `due_ns` costs the actions that its robot misses meanwhile; those
  that stay behind are taken to leave with the batch after. So the tightest row decides how large a batch may
  grow, and slack decides who goes first.
- **Overload.** All known sessions are served in thought, the most valuable answer first (weight × actions
  that it adds), until the device is used up. The value of the last one served, per millisecond, is the price
  of the device. Then an answer earns what it adds, but at most its part of the best batch at this price:
  what is worth less than its time goes last, or where a batch has room.
- **Waiting** is chosen only in overload, and only until a request that is expected within the next batch:
  when the fuller batch is worth more than the idle time and the lateness.

A session whose tenant used more of an overloaded device than the mean is later due by as much; where there is
enough for all, it is no more urgent than others. So claims about slack and rate gain nothing beyond a share.
A client that cannot say its slack is due at its arrival, and under the same rule.

Nobody starves: a session that waited longer than `patience_ns`, and be it with one request after the other,
goes before all that did not, those that were served longest ago first. So with n sessions that ask, nobody
waits longer than this patience and n batches.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.batch_profile import BatchProfile
from vagus.server.choice import Batch, Candidate, Decision, Wait

__all__ = ["deadline", "patience_ns"]

LEAST_PATIENCE_NS = NS_PER_S
PATIENT_ROUNDS = 3
"""Rounds of all that ask now which a request waits at most for more valuable ones."""
QUICK_MS = 5.0
"""Where all that wait are served in this time, they are served in turn: to choose would take as long."""
MAX_WAITS = 6
"""Expected requests that are considered to be waited for."""
MOST_KEYS = 4
"""Keys of which a batch is considered, those due first: a decision must cost little beside a batch."""
OTHER_ROUNDS = 2
"""Largest batches of requests with other keys whose lateness counts, those due first."""
EQUAL_ROWS = 1
"""Rows of the best batch by which a tenant may be above the mean and still count as one that is not."""
ROUNDS_SEEN = 4
"""Largest batches that are looked at; what is further behind changes no choice."""
TIE = 1e-9
MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class _Row:
    """A candidate, priced.

    Attributes:
        candidate: the candidate.
        earned: what serving it earns.
        late_per_ms: what each millisecond after `due_ns` costs.
        due_ns: when it is due, its share considered.
    """

    candidate: Candidate
    earned: float
    late_per_ms: float
    due_ns: int

    def late(self, left_ns: int) -> float:
        """Return what its lateness costs if its answer leaves then."""
        return self.late_per_ms * max(0, left_ns - self.due_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True)
class _Choice:
    """A decision and its worth."""

    worth: float
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Device:
    """The device, as far as the requests of one key can use it.

    Attributes:
        batch_ms: inference time by batch size; index 0 is 0.
        row_ms: time per row in the best batch.
        price: worth of a millisecond; 0: there is enough for all.
        mean_share: mean share of the tenants of all known sessions.
        typical_slack_ns: median slack of those that ask.
    """

    batch_ms: tuple[float, ...]
    row_ms: float
    price: float
    mean_share: float
    typical_slack_ns: int

    @classmethod
    def of(cls, ready: Sequence[Candidate], soon: Sequence[Candidate], times_ms: Sequence[float]) -> _Device:
        """Return the device for requests whose batches take these times, by size from 1 on."""
        known = [*ready, *soon]
        batch_ms = (0.0, *times_ms)
        row_ms = min(ms / size for size, ms in enumerate(times_ms, start=1))
        mean_share = fmean(candidate.share for candidate in known)
        price = _price(known, row_ms, batch_ms[1])
        typical_slack_ns = median_low(one.due_ns - one.ready_ns for one in ready)
        return cls(batch_ms, row_ms, price, mean_share, typical_slack_ns)

    @property
    def max_batch(self) -> int:
        """Largest batch."""
        return len(self.batch_ms) - 1

    def ends_ns(self, begin_ns: int, size: int) -> int:
        """Return when a batch ends."""
        return begin_ns + round(self.batch_ms[min(size, self.max_batch)] * NS_PER_MS)

    def lateness(self, rows: Sequence[_Row], begin_ns: int) -> float:
        """Return what the lateness of rows costs that are served one batch after the other from then on."""
        end_ns, cost = begin_ns, 0.0
        for place, row in enumerate(rows):
            if place % self.max_batch == 0:
                end_ns = self.ends_ns(end_ns, len(rows) - place)
            cost += row.late(end_ns)
        return cost

    def row(self, candidate: Candidate) -> _Row:
        """Return the candidate, priced."""
        value, time_worth = _value(candidate), self.price * self.row_ms
        late_per_ms = value / (candidate.gain_s or 1.0) / 1000
        return _Row(candidate, min(value, time_worth), late_per_ms, self._due_ns(candidate))

    def _due_ns(self, candidate: Candidate) -> int:
        """Return when the answer is due; later than it says, if its tenant used more than the mean.

        Equal tenants differ by the rows whose turn it was; beyond that, whoever used more may need more, but
        its slack is no shorter than others'. Where there is not enough for all, it is due by as much later.
        """
        excess_s = candidate.share - self.mean_share
        if excess_s <= 0:
            return candidate.due_ns
        due_ns = candidate.due_ns
        if excess_s * candidate.weight > EQUAL_ROWS * self.row_ms / MS_PER_S:
            due_ns = max(due_ns, candidate.ready_ns + self.typical_slack_ns)
        return max(due_ns, candidate.ready_ns) + round(excess_s * NS_PER_S) if self.price else due_ns


def deadline(
    ready: Sequence[Candidate],
    profile: BatchProfile,
    now_ns: int,
    *,
    max_batch: int,
    expected: Sequence[Candidate] = (),
) -> Decision:
    """Choose the batch, or the wait, that costs the robots least. The module says how.

    Args:
        ready: sessions that can be served now, in any order.
        profile: inference time by batch size and key.
        now_ns: monotonic time.
        max_batch: largest batch that the policy takes.
        expected: sessions that will probably ask soon, as `expected_after` guesses them.
    """
    if not ready:
        return Wait()
    waiting = sorted(ready, key=_served_longest_ago)
    rounds, size = -(-len(waiting) // max_batch), min(len(waiting), max_batch)
    if rounds * profile.ms(size, waiting[0].batch_key) <= QUICK_MS:
        return _batch_of_overdue(waiting, waiting, max_batch)
    impatient_ns = now_ns - patience_ns(waiting, profile, max_batch)
    overdue = [candidate for candidate in waiting if candidate.waiting_from_ns < impatient_ns]
    if overdue:
        return _batch_of_overdue(overdue, waiting, max_batch)
    urgent = sorted(waiting, key=lambda candidate: candidate.due_ns)
    keys = list(dict.fromkeys(candidate.batch_key for candidate in urgent))[:MOST_KEYS]
    asking = {candidate.epoch for candidate in waiting}
    soon = [one for one in expected if one.ready_ns > now_ns and one.epoch not in asking]
    known = [*waiting, *soon]
    choices: list[_Choice] = []
    for key in keys:
        device = _Device.of(waiting, soon, [profile.ms(size, key) for size in range(1, max_batch + 1)])
        choices.append(_best_of_key(known, key, device, now_ns))
    return max(choices, key=lambda choice: choice.worth).decision


def patience_ns(ready: Sequence[Candidate], profile: BatchProfile, max_batch: int) -> int:
    """Return how long a request waits for more valuable ones before it goes first.

    A second, or three rounds in which all that ask now are served, if that is longer.
    """
    rounds = -(-len(ready) // max_batch)
    size = min(len(ready), max_batch)
    slowest_ms = max((profile.ms(size, key) for key in {one.batch_key for one in ready}), default=0.0)
    return max(LEAST_PATIENCE_NS, round(PATIENT_ROUNDS * rounds * slowest_ms * NS_PER_MS))


def _served_longest_ago(candidate: Candidate) -> tuple[int, int, int]:
    return candidate.last_served, candidate.ready_ns, candidate.epoch


def _batch_of_overdue(overdue: Sequence[Candidate], waiting: Sequence[Candidate], max_batch: int) -> Batch:
    """Return those that waited too long, in the order of `overdue`, and those due first in the rest."""
    key, epochs = overdue[0].batch_key, {candidate.epoch for candidate in overdue}
    rest = sorted((one for one in waiting if one.epoch not in epochs), key=lambda one: one.due_ns)
    together = [one for one in (*overdue, *rest) if one.batch_key == key]
    return Batch(tuple(together[:max_batch]))


def _value(candidate: Candidate) -> float:
    """Return the weighted number of actions that an answer adds; a weight, where nobody knows."""
    return candidate.weight * (candidate.gain_s * candidate.rate_hz or 1.0)


def _price(known: Sequence[Candidate], row_ms: float, alone_ms: float) -> float:
    """Return the worth of a millisecond of the device: of the last answer that it can still give."""
    if row_ms <= 0:
        return 0.0
    left = 1.0
    for candidate in sorted(known, key=_value, reverse=True):
        most_per_ms = 1 / alone_ms  # one request of a session at a time, whatever it claims
        needs_per_ms = 1 / (candidate.gain_s * 1000) if candidate.gain_s > 0 else 0.0
        left -= min(needs_per_ms, most_per_ms) * row_ms
        if left < 0:
            return _value(candidate) / row_ms
    return 0.0


def _best_of_key(known: Sequence[Candidate], key: Hashable, device: _Device, now_ns: int) -> _Choice:
    """Return the best batch of one key now, or the wait for a better one."""
    alike = [candidate for candidate in known if candidate.batch_key == key]
    rows = [device.row(candidate) for candidate in alike]
    others = [device.row(one) for one in known if one.batch_key != key and one.ready_ns <= now_ns]
    others = sorted(others, key=lambda row: row.due_ns)[: OTHER_ROUNDS * device.max_batch]
    there = [row for row in rows if row.candidate.ready_ns <= now_ns]
    best = _best_batch(there, others, device, now_ns, now_ns)
    if not device.price:
        return best
    for begin_ns in _worth_waiting_for(alike, device, now_ns):
        there = [row for row in rows if row.candidate.ready_ns <= begin_ns]
        later = _best_batch(there, others, device, now_ns, begin_ns)
        if later.worth > best.worth + TIE:
            best = _Choice(later.worth, Wait(begin_ns))
    return best


def _worth_waiting_for(alike: Sequence[Candidate], device: _Device, now_ns: int) -> list[int]:
    """Return when requests are expected within the time of the largest batch, soonest first."""
    latest_ns = device.ends_ns(now_ns, device.max_batch)
    return sorted({one.ready_ns for one in alike if now_ns < one.ready_ns <= latest_ns})[:MAX_WAITS]


def _best_batch(
    rows: Sequence[_Row], others: Sequence[_Row], device: _Device, now_ns: int, begin_ns: int
) -> _Choice:
    """Return the best batch of `rows` that begins at `begin_ns`, by what it is worth from `now_ns` on."""
    most = min(len(rows), device.max_batch)
    first_ns = device.ends_ns(begin_ns, most)
    second_ns = device.ends_ns(first_ns, most)

    def urgency(row: _Row) -> tuple[float, int, int, int, int]:
        missed = row.earned + row.late(second_ns) - row.late(first_ns)
        return (-round(missed, 6), row.due_ns, *_served_longest_ago(row.candidate))

    ordered = sorted(rows, key=urgency)[: ROUNDS_SEEN * device.max_batch]
    worths: list[float] = []
    for size in range(1, most + 1):
        end_ns = device.ends_ns(begin_ns, size)
        left_behind = device.lateness(ordered[size:], end_ns) + device.lateness(others, end_ns)
        served = sum(row.earned - row.late(end_ns) for row in ordered[:size])
        worths.append(served - left_behind - device.price * (end_ns - now_ns) / NS_PER_MS)
    best = max(worths)
    size = max(size for size, worth in enumerate(worths, start=1) if worth >= best - TIE)
    return _Choice(best, Batch(tuple(row.candidate for row in ordered[:size])))
