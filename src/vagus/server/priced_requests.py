"""Requests, priced: what serving each earns, and what each millisecond costs that it is late (pure).

Arrays hold one entry per request: a decision among hundreds of requests must cost little beside a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.server.choice import Candidate

__all__ = ["Amounts", "KnownRequests", "PricedDevice", "PricedRows", "Times"]

EQUAL_ROWS = 1
"""Rows of the best batch by which a tenant may be above the mean and still count as one that is not."""
MS_PER_S = 1000

Times: TypeAlias = NDArray[np.int64]
"""Points in time or durations, in ns."""
Amounts: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KnownRequests:
    """Requests that wait, and then those that are expected: one entry of each array per request."""

    candidates: Sequence[Candidate]
    ready_ns: Times
    due_ns: Times
    weight: Amounts
    share: Amounts
    gain_s: Amounts
    value: Amounts
    """Weighted number of actions that an answer adds; a weight, where nobody knows. Clients that can only
    wait count with the median of their gains and actions, and as due when the last of them is, but by no more
    than that gain after the last that waits: one that claims an endless chunk moves no other."""
    is_blocked: NDArray[np.bool_]
    """Whether it is of a client that can only wait."""

    @classmethod
    def of(cls, waiting: Sequence[Candidate], expected: Sequence[Candidate] = ()) -> KnownRequests:
        """Return the requests that wait, and behind them those that are expected."""
        candidates = [*waiting, *expected]
        times = [(one.ready_ns, one.due_ns) for one in candidates]
        amounts = [(one.weight, one.share, one.gain_s, one.rate_hz) for one in candidates]
        ready_ns, due_ns = np.array(times, np.int64).T
        weight, share, gain_s, rate_hz = np.array(amounts, np.float64).T
        actions = gain_s * rate_hz
        is_blocked = np.array([one.is_blocked for one in candidates]) & (actions > 0)
        if is_blocked[: len(waiting)].any():
            _treat_alike(is_blocked, len(waiting), ready_ns, due_ns, gain_s, actions)
        value = weight * np.where(actions == 0, 1.0, actions)
        return cls(candidates, ready_ns, due_ns, weight, share, gain_s, value, is_blocked)


@dataclass(frozen=True, slots=True)
class PricedRows:
    """Requests, priced: one entry of each array per request.

    Attributes:
        candidates: the requests.
        ready_ns: when each is ready.
        earned: what serving it earns.
        late_per_ms: what each millisecond after `due_ns` costs.
        due_ns: when it is due, its share considered.
    """

    candidates: Sequence[Candidate]
    ready_ns: Times
    earned: Amounts
    late_per_ms: Amounts
    due_ns: Times

    def at(self, places: NDArray[np.intp]) -> PricedRows:
        """Return the rows at these places, in their order."""
        return PricedRows(
            [self.candidates[place] for place in places.tolist()],
            self.ready_ns[places],
            self.earned[places],
            self.late_per_ms[places],
            self.due_ns[places],
        )

    def late(self, left_ns: Times) -> Amounts:
        """Return what lateness costs if answers leave then; with one row of `left_ns` per request."""
        late_ns = np.maximum(left_ns - self.due_ns[:, None], 0)
        late: Amounts = self.late_per_ms[:, None] * late_ns / NS_PER_MS
        return late


@dataclass(frozen=True, slots=True)
class PricedDevice:
    """The device, as far as the requests of one key can use it.

    Attributes:
        batch_ns: inference time by batch size; index 0 is 0.
        row_ms: time per row in the best batch.
        price: worth of a millisecond; 0: there is enough for all.
    """

    batch_ns: Times
    row_ms: float
    price: float

    @classmethod
    def of(cls, known: KnownRequests, times_ms: Sequence[float]) -> PricedDevice:
        """Return the device for requests whose batches take these times, by size from 1 on."""
        batch_ns = np.array([0, *(round(ms * NS_PER_MS) for ms in times_ms)], np.int64)
        row_ms = min(ms / size for size, ms in enumerate(times_ms, start=1))
        return cls(batch_ns, row_ms, _price(known, row_ms, times_ms[0]))

    @property
    def max_batch(self) -> int:
        """Largest batch."""
        return len(self.batch_ns) - 1

    def leave_ns(self, places: Times, count: Times | int) -> Times:
        """Return when answers leave, from the begin on, if `count` rows are served one batch after the other.

        Args:
            places: place of each row among them; a batch of those with negative places leaves at the begin.
            count: number of rows.
        """
        batches = places // self.max_batch
        last = np.minimum(count - batches * self.max_batch, self.max_batch)
        leave_ns: Times = batches * self.batch_ns[-1] + self.batch_ns[last]
        return leave_ns

    def rows(self, known: KnownRequests, mean_share: float, typical_slack_ns: int) -> PricedRows:
        """Return the requests, priced.

        Args:
            known: the requests.
            mean_share: mean share of their tenants.
            typical_slack_ns: median slack of those that ask.
        """
        late_per_ms = known.value / np.where(known.gain_s == 0, 1.0, known.gain_s) / 1000
        earned = np.minimum(known.value, self.price * self.row_ms)
        due_ns = self._due_ns(known, known.share - mean_share, typical_slack_ns)
        return PricedRows(known.candidates, known.ready_ns, earned, late_per_ms, due_ns)

    def _due_ns(self, known: KnownRequests, excess_s: Amounts, typical_slack_ns: int) -> Times:
        """Return when answers are due; later than they say, if the tenant used more than the mean.

        Equal tenants differ by the rows whose turn it was; beyond that, whoever used more may need more, but
        its slack is no shorter than others'. Where there is not enough for all, it is due by as much later.

        Clients that can only wait are always due. Beside them a robot that says its slack, and used less than
        the mean, is due earlier by as much: else it would be served when it has run dry.
        """
        is_ahead = excess_s * known.weight > EQUAL_ROWS * self.row_ms / MS_PER_S
        typical_ns = np.maximum(known.due_ns, known.ready_ns + typical_slack_ns)
        due_ns = np.where(is_ahead, typical_ns, known.due_ns)
        excess_ns = np.rint(excess_s * NS_PER_S).astype(np.int64)
        if known.is_blocked.any():
            due_ns = np.where(~known.is_blocked & (excess_s < 0), due_ns + excess_ns, due_ns)
        if not self.price:
            return due_ns
        return np.where(excess_s > 0, np.maximum(due_ns, known.ready_ns) + excess_ns, due_ns)


def _treat_alike(
    is_blocked: NDArray[np.bool_],
    waiting: int,
    ready_ns: Times,
    due_ns: Times,
    gain_s: Amounts,
    actions: Amounts,
) -> None:
    """Make clients that can only wait alike: what differs would always leave the same one behind."""
    for amounts in (gain_s, actions):
        amounts[is_blocked] = np.median(amounts[is_blocked])
    waits, soon = np.flatnonzero(is_blocked[:waiting]), waiting + np.flatnonzero(is_blocked[waiting:])
    latest_ns = max(due_ns[waits].tolist()) + round(float(gain_s[waits[0]]) * NS_PER_S)
    due_ns[is_blocked] = min(max(due_ns[is_blocked].tolist()), latest_ns)
    due_ns[soon] = np.maximum(due_ns[soon], ready_ns[soon])


def _price(known: KnownRequests, row_ms: float, alone_ms: float) -> float:
    """Return the worth of a millisecond of the device: of the last answer that it can still give."""
    if row_ms <= 0:
        return 0.0
    most_per_ms = 1 / alone_ms  # one request of a session at a time, whatever it claims
    gain_ms = known.gain_s * 1000
    needs_per_ms = np.divide(1, gain_ms, out=np.zeros_like(gain_ms), where=gain_ms > 0)
    order = np.argsort(-known.value, kind="stable")
    needs = np.minimum(needs_per_ms, most_per_ms)[order] * row_ms
    (short,) = np.nonzero(np.subtract.accumulate([1.0, *needs]) < 0)
    return float(known.value[order[short[0] - 1]] / row_ms) if len(short) else 0.0
