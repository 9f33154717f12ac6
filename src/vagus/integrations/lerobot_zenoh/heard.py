"""Questions that a waiting gateway hears beside the active one, kept until they are answered."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Final

from vagus.clock import NS_PER_S, Clock
from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace, every_session, parse_key
from vagus.transport.link import Sample
from vagus.transport.plain_link import PlainLink

__all__ = ["HeardQuestions"]

MAX_SESSIONS: Final = 256
MAX_BYTES: Final = 256 << 20
"""Of all kept questions together; further ones are not kept."""
KEPT_NS: Final = 5 * NS_PER_S
"""A client waits no longer for an answer."""


class HeardQuestions:
    """Newest observation of each session without an action after it, for 5 s. A waiting process keeps them.

    Args:
        link: network of the robots.
        deployment: name of the deployment.
        instance_id: its instance.
        clock: monotonic.
    """

    def __init__(self, link: PlainLink, deployment: str, instance_id: str, clock: Clock) -> None:
        self._link = link
        self._keys = {
            place: every_session(place, deployment, instance_id)
            for place in (RemotePlace.OBSERVATION, RemotePlace.ACTION)
        }
        self._lock = threading.Lock()
        self._clock = clock
        self._heard: dict[str, tuple[Sample, int]] = {}
        self._declared = ExitStack()

    def start(self) -> None:
        """Start to listen."""
        for place, note in ((RemotePlace.OBSERVATION, self._keep), (RemotePlace.ACTION, self._drop)):
            self._declared.callback(self._link.subscribe(self._keys[place], note).undeclare)

    def stop(self) -> list[tuple[Sample, int]]:
        """Stop to listen; return what is not answered, each with the time at which it came."""
        self._declared.close()
        with self._lock:
            heard, self._heard = self._awaited(), {}
        return list(heard.values())

    def _keep(self, sample: Sample) -> None:
        session_id = _session_of(sample.key)
        with self._lock:
            self._heard = self._awaited()
            others = [each for key, (each, _) in self._heard.items() if key != session_id]
            size = sum(len(each.payload) for each in others) + len(sample.payload)
            if session_id and len(others) < MAX_SESSIONS and size <= MAX_BYTES:
                self._heard[session_id] = sample, self._clock.now_ns()

    def _awaited(self) -> dict[str, tuple[Sample, int]]:
        """Return what a client may still wait for."""
        oldest_ns = self._clock.now_ns() - KEPT_NS
        return {key: kept for key, kept in self._heard.items() if kept[1] >= oldest_ns}

    def _drop(self, sample: Sample) -> None:
        with self._lock:
            self._heard.pop(_session_of(sample.key), None)


def _session_of(key: str) -> str:
    try:
        return parse_key(key).session_id
    except ProtocolError:
        return ""
