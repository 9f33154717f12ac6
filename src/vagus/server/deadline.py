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
A client that cannot say its slack is due at its arrival, and under the same rule. Such clients are all worth
the same, and due at the same time: they are served in turn, who was served longest ago first. One of them may
give up after a time that nobody knows, and ask anew: by value or by arrival it could always be the last.

Nobody starves: a session that waited longer than `patience_ns`, and be it with one request after the other,
goes before all that did not, those that were served longest ago first. So with n sessions that ask, nobody
waits longer than this patience and n batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.batch_profile import BatchProfile
from vagus.server.choice import Batch, Candidate, Decision, Wait
from vagus.server.priced_requests import KnownRequests, PricedDevice, PricedRows

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
OTHER_ROUNDS = 4
"""Largest batches of requests with other keys whose lateness counts, those due first."""
ROUNDS_SEEN = 4
"""Largest batches that are looked at; what is further behind changes no choice."""
TIE = 1e-9
SAME_MISSED = 1e-6
"""Actions: what two requests miss is the same up to this."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """A decision and its worth."""

    worth: float
    decision: Decision


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
    waiting = sorted(ready, key=lambda candidate: candidate.turn)
    rounds, size = -(-len(waiting) // max_batch), min(len(waiting), max_batch)
    if rounds * profile.ms(size, waiting[0].batch_key) <= QUICK_MS:
        return _batch_of_overdue(waiting, waiting, max_batch)
    impatient_ns = now_ns - patience_ns(waiting, profile, max_batch)
    overdue = [candidate for candidate in waiting if candidate.waiting_from_ns < impatient_ns]
    if overdue:
        return _batch_of_overdue(overdue, waiting, max_batch)
    keys = list(dict.fromkeys(candidate.batch_key for candidate in waiting))
    if len(keys) > 1:
        urgent = sorted(waiting, key=lambda candidate: candidate.due_ns)
        keys = list(dict.fromkeys(candidate.batch_key for candidate in urgent))[:MOST_KEYS]
    asking = {candidate.epoch for candidate in waiting}
    soon = [one for one in expected if one.ready_ns > now_ns and one.epoch not in asking]
    known = KnownRequests.of(waiting, soon)
    mean_share = fmean(known.share.tolist())
    typical_slack_ns = median_low((known.due_ns - known.ready_ns)[: len(waiting)].tolist())
    choices: list[_Choice] = []
    for key in keys:
        device = PricedDevice.of(known, [profile.ms(size, key) for size in range(1, max_batch + 1)])
        is_alike = np.array([one.batch_key == key for one in known.candidates])
        rows = device.rows(known, mean_share, typical_slack_ns)
        choices.append(_best_of_key(rows, is_alike, device, now_ns))
    return _first_best(choices).decision


def patience_ns(ready: Sequence[Candidate], profile: BatchProfile, max_batch: int) -> int:
    """Return how long a request waits for more valuable ones before it goes first.

    A second, or three rounds in which all that ask now are served, if that is longer.
    """
    rounds = -(-len(ready) // max_batch)
    size = min(len(ready), max_batch)
    slowest_ms = max((profile.ms(size, key) for key in {one.batch_key for one in ready}), default=0.0)
    return max(LEAST_PATIENCE_NS, round(PATIENT_ROUNDS * rounds * slowest_ms * NS_PER_MS))


def _batch_of_overdue(overdue: Sequence[Candidate], waiting: Sequence[Candidate], max_batch: int) -> Batch:
    """Return those that waited too long, in the order of `overdue`, and those due first in the rest."""
    key, epochs = overdue[0].batch_key, {candidate.epoch for candidate in overdue}
    rest = sorted((one for one in waiting if one.epoch not in epochs), key=lambda one: one.due_ns)
    together = [one for one in (*overdue, *rest) if one.batch_key == key]
    return Batch(tuple(together[:max_batch]))


def _best_of_key(rows: PricedRows, is_alike: NDArray[np.bool_], device: PricedDevice, now_ns: int) -> _Choice:
    """Return the best batch of one key now, or the wait for a better one.

    Args:
        rows: all requests.
        is_alike: which of them have this key.
        device: the device for this key.
        now_ns: monotonic time.
    """
    (others,) = np.nonzero(~is_alike & (rows.ready_ns <= now_ns))
    others = others[np.argsort(rows.due_ns[others], kind="stable")][: OTHER_ROUNDS * device.max_batch]
    begins_ns = [now_ns]
    if device.price:
        begins_ns += _worth_waiting_for(rows.ready_ns[is_alike].tolist(), device, now_ns)
    (alike,) = np.nonzero(is_alike & (rows.ready_ns <= begins_ns[-1]))
    ahead = [rows.candidates[place].turn for place in alike.tolist()]
    turns = np.array(ahead, np.int64).T[::-1]
    alike_rows, other_rows = rows.at(alike[np.lexsort((*turns, rows.due_ns[alike]))]), rows.at(others)
    choices: list[_Choice] = []
    for begin_ns in begins_ns:
        (there,) = np.nonzero(alike_rows.ready_ns <= begin_ns)
        worth, batch = _best_batch(alike_rows.at(there), other_rows, device, now_ns, begin_ns)
        choices.append(_Choice(worth, batch if begin_ns == now_ns else Wait(begin_ns)))
    return _first_best(choices)


def _first_best(choices: Sequence[_Choice]) -> _Choice:
    """Return the best choice; of those that are worth the same, the first."""
    best = choices[0]
    for choice in choices[1:]:
        if choice.worth > best.worth + TIE:
            best = choice
    return best


def _worth_waiting_for(ready_ns: Iterable[int], device: PricedDevice, now_ns: int) -> list[int]:
    """Return when requests are expected within the time of the largest batch, soonest first."""
    latest_ns = now_ns + int(device.batch_ns[-1])
    return sorted({time_ns for time_ns in ready_ns if now_ns < time_ns <= latest_ns})[:MAX_WAITS]


def _best_batch(
    rows: PricedRows, others: PricedRows, device: PricedDevice, now_ns: int, begin_ns: int
) -> tuple[float, Batch]:
    """Return the best batch of `rows` that begins at `begin_ns`, and what it is worth from `now_ns` on.

    Args:
        rows: those that can be in it; of those that miss the same, the ones that go first.
        others: rows with other keys.
        device: the device.
        now_ns: monotonic time.
        begin_ns: begin of the batch.
    """
    most = min(len(rows.candidates), device.max_batch)
    first_ns = begin_ns + int(device.batch_ns[most])
    late = rows.late(np.array([[first_ns, first_ns + device.batch_ns[most]]]))
    missed = rows.earned + late[:, 1] - late[:, 0]
    order = np.argsort(-np.rint(missed / SAME_MISSED), kind="stable")
    ordered = rows.at(order[: ROUNDS_SEEN * device.max_batch])
    sizes, count = np.arange(1, most + 1), len(ordered.candidates)
    ends_ns = begin_ns + device.batch_ns[1 : most + 1]
    places = np.arange(count)[:, None] - sizes
    late = ordered.late(ends_ns + device.leave_ns(places, count - sizes))
    worth = np.where(places < 0, ordered.earned[:, None], 0.0).sum(axis=0) - late.sum(axis=0)
    if others.candidates:
        waiting = len(others.candidates)
        worth -= others.late(ends_ns + device.leave_ns(np.arange(waiting)[:, None], waiting)).sum(axis=0)
    worth -= device.price * (ends_ns - now_ns) / NS_PER_MS
    best = max(worth.tolist())
    size = int(np.nonzero(worth >= best - TIE)[0][-1]) + 1
    return best, Batch(tuple(ordered.candidates[:size]))
