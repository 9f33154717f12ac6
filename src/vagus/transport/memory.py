"""Network inside one process: links without sockets, and faults on demand, for tests.

Callbacks run synchronously in the thread that publishes, asks, declares, cuts or heals.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ParamSpec

from vagus.errors import LinkError, QueryTimeoutError
from vagus.transport.keys import keys_intersect
from vagus.transport.link import Declaration, Delivery, LinkHealth, Query, Sample

__all__ = ["MemoryLink", "MemoryNetwork"]

_P = ParamSpec("_P")

logger = logging.getLogger(__name__)


class MemoryNetwork:
    """Network that joins memory links. A fault is a predicate over messages; None removes the fault."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._links: list[MemoryLink] = []
        self._held: list[Sample] = []
        self._is_dropped: Callable[[Sample], bool] | None = None
        self._is_held: Callable[[Sample], bool] | None = None
        self._is_doubled: Callable[[Sample], bool] | None = None
        self._misroute: Callable[[Sample], str | None] | None = None

    def link(self, name: str = "") -> MemoryLink:
        """Return a new link to this network; `name` is only for people."""
        link = MemoryLink(self, name)
        with self._lock:
            self._links.append(link)
        return link

    def set_drop(self, predicate: Callable[[Sample], bool] | None) -> None:
        """Drop the messages for which `predicate` is true."""
        self._is_dropped = predicate

    def set_hold(self, predicate: Callable[[Sample], bool] | None) -> None:
        """Hold the messages for which `predicate` is true until `release`."""
        self._is_held = predicate

    def set_duplicate(self, predicate: Callable[[Sample], bool] | None) -> None:
        """Deliver twice the messages for which `predicate` is true."""
        self._is_doubled = predicate

    def set_misroute(self, reroute: Callable[[Sample], str | None] | None) -> None:
        """Deliver each message under the key that `reroute` returns; None means its own key."""
        self._misroute = reroute

    def release(self, *, newest_first: bool = False) -> int:
        """Deliver the held messages; return their number."""
        with self._lock:
            held, self._held = self._held, []
        for sample in reversed(held) if newest_first else held:
            self._deliver(sample)
        return len(held)

    def _publish(self, sample: Sample) -> None:
        if self._is_dropped is not None and self._is_dropped(sample):
            return
        key = self._misroute(sample) if self._misroute is not None else None
        sample = sample if key is None else replace(sample, key=key)
        if self._is_held is not None and self._is_held(sample):
            with self._lock:
                self._held.append(sample)
            return
        self._deliver(sample)
        if self._is_doubled is not None and self._is_doubled(sample):
            self._deliver(sample)

    def _deliver(self, sample: Sample) -> None:
        with self._lock:
            subscriptions = [s for s in self._present("subscription") if keys_intersect(s.key, sample.key)]
        for subscription in subscriptions:
            # a callback before this one may have undeclared or cut it
            if subscription.is_present and subscription.on_sample is not None:
                _call(subscription.key, subscription.on_sample, sample)

    def _present(self, kind: str) -> list[_Entry]:
        return [e for link in self._links for e in link.entries if e.kind == kind and e.is_present]

    def _tokens(self, key: str) -> frozenset[str]:
        with self._lock:
            return frozenset(e.key for e in self._present("token") if keys_intersect(e.key, key))

    def _settle(self) -> None:
        """Report the changes of tokens to every connected watch."""
        changes: list[tuple[_Entry, str, bool]] = []
        with self._lock:
            for watch in self._present("watch"):
                alive = self._tokens(watch.key)
                changes += [(watch, key, True) for key in sorted(alive - watch.known)]
                changes += [(watch, key, False) for key in sorted(watch.known - alive)]
                watch.known = alive
        for watch, key, is_alive in changes:
            if watch.is_present and watch.on_change is not None:
                _call(key, watch.on_change, key, is_alive)


def _call(key: str, callback: Callable[_P, None], *args: _P.args, **kwargs: _P.kwargs) -> None:
    try:
        callback(*args, **kwargs)
    except Exception:  # as on a real link: the callback's owner must not end the network
        logger.exception("callback for %s raised", key)


@dataclass(eq=False, slots=True)
class _Entry:
    """One declaration."""

    link: MemoryLink
    kind: str
    key: str
    on_sample: Callable[[Sample], None] | None = None
    on_query: Callable[[Query], None] | None = None
    on_change: Callable[[str, bool], None] | None = None
    known: frozenset[str] = frozenset()
    is_declared: bool = True

    @property
    def is_present(self) -> bool:
        return self.is_declared and self.link.is_connected

    def undeclare(self) -> None:
        self.link.remove(self)


@dataclass(eq=False, slots=True)
class _Question:
    """Answers that one call of `query` waits for."""

    open_count: int = 0
    answers: list[bytes] = field(default_factory=list)
    condition: threading.Condition = field(default_factory=threading.Condition)


class _MemoryQuery:
    """A query as its receiver sees it."""

    def __init__(self, key: str, payload: bytes, question: _Question) -> None:
        self.key = key
        self.payload = payload
        self._question = question
        self._is_open = True

    def reply(self, payload: bytes) -> None:
        self._end(bytes(payload))

    def drop(self) -> None:
        self._end(None)

    def _end(self, answer: bytes | None) -> None:
        question = self._question
        with question.condition:
            if not self._is_open:
                return
            self._is_open = False
            question.open_count -= 1
            question.answers += () if answer is None else (answer,)
            question.condition.notify_all()


class MemoryLink:
    """A `PlainLink` to a `MemoryNetwork`; made by `MemoryNetwork.link`. Nothing can be damaged on the way."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self.name = name
        self.entries: list[_Entry] = []
        self._network = network
        self._lock = network._lock  # noqa: SLF001 - one lock orders the whole network
        self._is_cut = False
        self._is_closed = False
        self._generation = 0
        self._on_reopen: list[Callable[[int], None]] = []

    def __enter__(self) -> MemoryLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_connected(self) -> bool:
        """Whether the link is neither cut nor closed."""
        return not self._is_cut and not self._is_closed

    def cut(self) -> None:
        """Cut the network: no message goes out or comes in, and the others lose the tokens of this link."""
        with self._lock:
            self._is_cut = True
        self._network._settle()  # noqa: SLF001

    def heal(self, *, is_reopened: bool = True) -> None:
        """End the cut, with a new transport or (False) as if nobody had noticed the outage."""
        with self._lock:
            if not self._is_cut or self._is_closed:
                return
            self._is_cut = False
            self._generation += is_reopened
            generation, callbacks = self._generation, list(self._on_reopen)
        self._network._settle()  # noqa: SLF001
        for callback in callbacks if is_reopened else ():
            _call("reopen", callback, generation)

    def publish(self, key: str, *, header: bytes, payload: bytes, delivery: Delivery) -> None:  # noqa: ARG002
        """See `Link.publish`; the delivery class makes no difference here."""
        if self.is_connected:
            self._network._publish(Sample(key, bytes(header), bytes(payload)))  # noqa: SLF001

    def subscribe(self, key: str, on_sample: Callable[[Sample], None]) -> Declaration:
        """See `Link.subscribe`."""
        return self._add(_Entry(self, "subscription", key, on_sample=on_sample))

    def serve(self, key: str, on_query: Callable[[Query], None]) -> Declaration:
        """See `Link.serve`."""
        return self._add(_Entry(self, "queryable", key, on_query=on_query))

    def token(self, key: str) -> Declaration:
        """See `Link.token`."""
        return self._add(_Entry(self, "token", key))

    def watch(self, key: str, on_change: Callable[[str, bool], None]) -> Declaration:
        """See `Link.watch`."""
        return self._add(_Entry(self, "watch", key, on_change=on_change))

    def query(self, key: str, payload: bytes, *, timeout_s: float) -> tuple[bytes, ...]:
        """See `Link.query`."""
        self._require_connected()
        network = self._network
        with self._lock:
            queryables = [e for e in network._present("queryable") if keys_intersect(e.key, key)]  # noqa: SLF001
        if not queryables:
            raise LinkError(f"nobody serves {key}")
        question = _Question(open_count=len(queryables))
        for queryable in queryables:
            self._ask(queryable, key, bytes(payload), question)
        with question.condition:
            question.condition.wait_for(lambda: question.open_count == 0, timeout=timeout_s)
            answers, is_complete = tuple(question.answers), question.open_count == 0
        if answers:
            return answers
        if is_complete:
            raise LinkError(f"whoever serves {key} ended the query without an answer")
        raise QueryTimeoutError(f"no answer from {key} within {timeout_s:g} s")

    def _ask(self, queryable: _Entry, key: str, payload: bytes, question: _Question) -> None:
        served = queryable.key if "*" in key else key
        query = _MemoryQuery(served, payload, question)
        if queryable.on_query is None:
            return
        try:
            queryable.on_query(query)
        except Exception:
            logger.exception("callback for %s raised", served)
            query.drop()

    def tokens(self, key: str, *, timeout_s: float) -> frozenset[str]:  # noqa: ARG002
        """See `Link.tokens`."""
        self._require_connected()
        return self._network._tokens(key)  # noqa: SLF001

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        return bool(self._elsewhere("subscription", key))

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        return any(entry.key == key or "*" not in key for entry in self._elsewhere("queryable", key))

    def _elsewhere(self, kind: str, key: str) -> list[_Entry]:
        with self._lock:
            present = self._network._present(kind) if self.is_connected else []  # noqa: SLF001
            return [entry for entry in present if entry.link is not self and keys_intersect(entry.key, key)]

    def on_reopen(self, callback: Callable[[int], None]) -> None:
        """See `Link.on_reopen`."""
        self._on_reopen.append(callback)

    def health(self) -> LinkHealth:
        """See `Link.health`."""
        return LinkHealth(self.is_connected, generation=self._generation, reopened=self._generation)

    def close(self) -> None:
        """See `Link.close`."""
        with self._lock:
            self._is_closed = True
            self.entries.clear()
        self._network._settle()  # noqa: SLF001

    def remove(self, entry: _Entry) -> None:
        """Remove one declaration."""
        with self._lock:
            entry.is_declared = False
            if entry in self.entries:
                self.entries.remove(entry)
        self._network._settle()  # noqa: SLF001

    def _add(self, entry: _Entry) -> Declaration:
        with self._lock:
            if self._is_closed:
                raise LinkError("the link is closed")
            self.entries.append(entry)
        self._network._settle()  # noqa: SLF001
        return entry

    def _require_connected(self) -> None:
        if not self.is_connected:
            raise LinkError("the link is closed" if self._is_closed else "the network is away")
