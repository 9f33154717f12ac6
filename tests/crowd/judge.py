"""Judge of a crowd: each robot gets the answers to its own requests, and waits no longer than its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crowd.diary import Batch, Entry

__all__ = ["LEAST_ANSWERS", "Life", "counts", "faults_of", "wrongs_of"]

SHARE = 2
"""While a robot waits, each other robot is served at most so often."""
LEAST_ANSWERS = 5
"""A process that was not killed has got so many answers, or the crowd was none."""


@dataclass(frozen=True)
class Life:
    """One process of a robot.

    Attributes:
        name: for messages.
        who: number of the robot.
        life: number of the process.
        entries: its diary.
        was_killed: the test killed it.
        is_streaming: it may observe again before it is answered; only the newest observation is answered.
    """

    name: str
    who: int
    life: int
    entries: Sequence[Entry]
    was_killed: bool
    is_streaming: bool

    @property
    def told(self) -> str:
        """Name and number of the process."""
        return f"{self.name} (process {self.life})"

    def of(self, what: str) -> list[Entry]:
        """Return its entries of one kind."""
        return [entry for entry in self.entries if entry.what == what]


def faults_of(lives: Sequence[Life], batches: Sequence[Batch]) -> list[str]:
    """Return what was wrong or unfair, a sentence each."""
    faults = wrongs_of(lives, batches)
    for life in lives:
        faults += _out_of_order(life, batches)
        faults += _unfair_to(life, batches)
    return faults


def wrongs_of(lives: Sequence[Life], batches: Sequence[Batch]) -> list[str]:
    """Return which answers were wrong, stale, doubled or missing, a sentence each."""
    known = {(life.who, life.life) for life in lives}
    strange = [asked for batch in batches for asked in batch.asked if asked[:2] not in known]
    faults = [f"served nobody that asked: {asked}" for asked in strange]
    for life in lives:
        faults += _wrong_in(life, _served(life, batches))
    return faults


def waits_of(life: Life, batches: Sequence[Batch]) -> Iterator[tuple[Entry, int, int]]:
    """Yield each wait for a batch: what was asked, and from and until when.

    The first is left out: a session opens meanwhile.
    """
    asks = {entry.counter: entry for entry in life.of("ask")}
    got = life.of("got")
    for begin_ns, counter in _served(life, batches):
        if counter not in asks or not any(entry.counter < counter for entry in got):
            continue
        before = [entry.at_ns for entry in got if entry.counter < counter and entry.at_ns < begin_ns]
        yield asks[counter], max([asks[counter].at_ns, *before[-1:]]), begin_ns
    last = [entry for entry in life.of("ask") if entry.counter > max([e.counter for e in got], default=0)]
    ends_ns = [entry.at_ns for entry in life.of("end")]
    if got and last and ends_ns and not life.is_streaming:
        yield last[0], last[0].at_ns, ends_ns[0]


def _served(life: Life, batches: Sequence[Batch]) -> list[tuple[int, int]]:
    """Return when, and which of its requests, the policy served; a replica may serve one again."""
    served: dict[int, int] = {}
    rows = [
        (batch, counter)
        for batch in batches
        for who, number, counter in batch.asked
        if (who, number) == (life.who, life.life)
    ]
    kept = []
    for batch, counter in rows:
        if served.setdefault(counter, batch.server) == batch.server:
            kept.append((batch.begin_ns, counter))
    return kept


def _wrong_in(life: Life, served: Sequence[tuple[int, int]]) -> Iterator[str]:
    for entry in (*life.of("wrong"), *life.of("error")):
        yield f"{life.told}: {entry.what} at request {entry.counter}: {entry.text}"
    counters = [counter for _, counter in served]
    asked = {entry.counter for entry in life.of("ask")}
    yield from (f"{life.told}: served request {one}, which it never made" for one in set(counters) - asked)
    got = [entry.counter for entry in life.of("got")]
    yield from (
        f"{life.told}: got an answer to {one} that nobody computed" for one in set(got) - set(counters)
    )
    if got != sorted(set(got)):
        yield f"{life.told}: got an answer twice, or the older after the newer: {got}"
    if life.is_streaming:
        yield from _stale_in(life)
    if not life.was_killed:
        yield from _missing_in(life, got)


def _out_of_order(life: Life, batches: Sequence[Batch]) -> Iterator[str]:
    """Yield a robot whose older request was served after the newer, as no server does that always runs."""
    counters = [counter for _, counter in _served(life, batches)]
    if counters != sorted(set(counters)):
        yield f"{life.told}: served twice, or the older after the newer: {counters}"


def _missing_in(life: Life, got: Sequence[int]) -> Iterator[str]:
    if not life.of("end"):
        yield f"{life.told}: ended by itself"
    if len(got) < LEAST_ANSWERS:
        yield f"{life.told}: got {len(got)} answers in all"
    asked_times, lost = len(life.of("ask")), len(life.of("lost"))
    if not life.is_streaming and asked_times > len(got) + lost + 1:
        yield f"{life.told}: asked {asked_times} times, got {len(got)} answers, {lost} were lost"


def _stale_in(life: Life) -> Iterator[str]:
    """Yield answers to an observation although a newer one had arrived before the answer was begun."""
    sent: list[Entry] = []
    newest = 0
    for entry in life.entries:
        if entry.what == "sent":
            sent.append(entry)
        elif entry.what == "got":
            if entry.counter < newest:
                yield f"{life.told}: got an answer to {entry.counter}, begun after {newest} had been sent"
            newest = max([one.counter for one in sent], default=0)


def _unfair_to(life: Life, batches: Sequence[Batch]) -> Iterator[str]:
    for asked, since_ns, until_ns in waits_of(life, batches):
        others: Counter[int] = Counter(
            who for batch in batches if since_ns < batch.begin_ns < until_ns for who, _, _ in batch.asked
        )
        del others[life.who]
        often = {who: times for who, times in others.items() if times > SHARE}
        if often:
            yield f"{life.told}: while it waited for {asked.counter}, others were served {often}"


def counts(lives: Sequence[Life]) -> Mapping[str, tuple[int, int]]:
    """Return how often each robot asked and got, for a report."""
    told: dict[str, tuple[int, int]] = {}
    for life in lives:
        asked, got = told.get(life.name, (0, 0))
        told[life.name] = (asked + len(life.of("ask")), got + len(life.of("got")))
    return told
