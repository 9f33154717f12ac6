"""When the policy makes sessions and begins episodes: between batches, as far as these can bear it. Pure.

Nothing else runs on the policy thread while a policy makes a session or begins an episode, and that may take
long, for example if a processor is loaded. So such a preparation runs

- if nobody waits for a batch;
- or if the tightest request can bear it: the slowest of the newest preparations says how long it takes;
- or if it is small: between two batches, these may take a millisecond, or a twentieth of the last batch;
- or if it has waited for two batches, at most `PATIENCE_NS`, and three times the time of the last preparation
  has passed since that.

So while requests wait for a batch, it is late by at most one long preparation, and long ones take at most
a quarter of the time. A preparation waits for at most `PATIENCE_NS`, then for the batch that runs, and for
those whose turn comes first, each with a pause. One that takes longer than the newest is a surprise, once.

Tenants take turns: after a preparation, the next one of its tenant counts as if it had come just now, or at
the end of the pause. So a tenant whose robots all ask at once delays another one by one preparation, and
names that are new again and again put off a tenant that waits for that pause at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping

from vagus.clock import NS_PER_MS, NS_PER_S

__all__ = ["PreparationPace"]

PATIENCE_NS = 100 * NS_PER_MS
"""Longest wait of a preparation for a moment in which nobody is made late."""
PATIENT_BATCHES = 2
"""The same in batches of the last one's time, where these are shorter."""
REST = 3
"""Pause after a preparation that made others late, as a multiple of its time, before one may do so again."""
MAX_REST_NS = 10 * NS_PER_S
"""Longest such pause, in case the machine slept during a preparation."""
SMALL_NS = NS_PER_MS
"""Longest time of all small preparations between two batches."""
SMALL_SHARE = 20
"""The same after a long batch: its time, divided by this; at most `PATIENCE_NS`."""
WINDOW = 5
"""Number of newest preparations whose slowest tells how long the next one takes."""


class PreparationPace:
    """Choice of the next preparation. Not thread-safe: the policy thread uses it under a lock."""

    def __init__(self) -> None:
        self._since_ns: dict[int, int] = {}
        self._tenants: Mapping[int, Hashable] = {}
        self._turns_ns: dict[Hashable, int] = {}
        """Tenant → time at which its next preparation counts as asked for, if that came earlier."""
        self._took_ns: dict[bool, deque[int]] = {is_new: deque(maxlen=WINDOW) for is_new in (False, True)}
        self._small_left_ns = SMALL_NS
        self._patience_ns = PATIENCE_NS
        self._rests_until_ns: int | None = None
        self._room_ns: int | None = None
        """Time that the preparation chosen last may take without making anybody late; None: any."""

    def choose(
        self,
        waiting: Mapping[int, bool],
        room_ns: int | None,
        now_ns: int,
        tenants: Mapping[int, Hashable] | None = None,
    ) -> int | None:
        """Return the preparation to run now: that of the tenant whose turn it is, its oldest; or None.

        Args:
            waiting: epoch of the session → whether it must be made first.
            room_ns: time until the tightest batch must begin; None: nobody waits for a batch.
            now_ns: monotonic time.
            tenants: epoch → tenant of the session; None: each session is a tenant of its own.
        """
        self._since_ns = {epoch: self._since_ns.get(epoch, now_ns) for epoch in waiting}
        self._tenants = {epoch: epoch for epoch in waiting} if tenants is None else tenants
        self._forget_turns(now_ns)
        self._room_ns = None if room_ns is None else max(room_ns, self._small_left_ns)
        for epoch in sorted(waiting, key=self._turn_ns):
            expected_ns = self._expected_ns(is_new=waiting[epoch])
            is_harmless = self._room_ns is None or expected_ns <= self._room_ns
            if is_harmless or now_ns >= self._forced_ns(epoch):
                return epoch
        return None

    @property
    def next_ns(self) -> int | None:
        """Time at which a preparation of the last `choose` may run whatever waits; None: there is none."""
        return min(map(self._forced_ns, self._since_ns), default=None)

    def ran(self, epoch: int, *, is_new: bool, begin_ns: int, end_ns: int) -> None:
        """Note a preparation, and whether a session was made."""
        took_ns = max(end_ns - begin_ns, 0)
        self._since_ns.pop(epoch, None)
        self._took_ns[is_new].append(took_ns)
        self._small_left_ns -= took_ns
        if self._room_ns is not None and took_ns > self._room_ns:  # others must not put off who waits longest
            self._rests_until_ns = end_ns + min(REST * took_ns, MAX_REST_NS)
            end_ns = self._rests_until_ns
        if epoch in self._tenants:
            self._turns_ns[self._tenants[epoch]] = end_ns

    def batch_ran(self, took_ns: int) -> None:
        """Note a batch."""
        self._small_left_ns = min(max(took_ns // SMALL_SHARE, SMALL_NS), PATIENCE_NS)
        self._patience_ns = min(PATIENT_BATCHES * took_ns, PATIENCE_NS)

    def _turn_ns(self, epoch: int) -> tuple[int, int]:
        """Return the time at which a preparation counts as asked for, and that at which it was."""
        since_ns = self._since_ns[epoch]
        return max(since_ns, self._turns_ns.get(self._tenants[epoch], since_ns)), since_ns

    def _forget_turns(self, now_ns: int) -> None:
        """Forget the turns that move no preparation back: that of a tenant which asks anew comes later."""
        asking = set(self._tenants.values())
        self._turns_ns = {
            t: turn_ns for t, turn_ns in self._turns_ns.items() if t in asking or turn_ns > now_ns
        }

    def _expected_ns(self, *, is_new: bool) -> int:
        return max(self._took_ns[is_new], default=0)

    def _forced_ns(self, epoch: int) -> int:
        patient_ns = self._since_ns[epoch] + self._patience_ns
        return patient_ns if self._rests_until_ns is None else max(patient_ns, self._rests_until_ns)
