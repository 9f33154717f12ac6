"""Role of this gateway process among those of one instance: it answers, or waits for the one that does."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Final

from vagus.clock import NS_PER_S, Clock
from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.standby import Election, GatewayRole, StandbyKeys, StandbyToken
from vagus.threads import Supervised
from vagus.transport.link import Declaration, Delivery, Sample
from vagus.transport.plain_link import PlainLink

__all__ = ["Standby"]

PATIENCE_NS: Final = 3 * NS_PER_S
"""A standby leaves this time to the process that is to be active."""

logger = logging.getLogger(__name__)


class Standby:
    """Takes part in the election of the active process, on a thread of its own.

    Args:
        link: network of the robots.
        keys: of the instance.
        clock: monotonic.
        is_standby: leave another process the first turn.
        set_active: called on the thread when the role changes. To be active no more is known at once by
            `is_active`, and made real by this call.
    """

    def __init__(
        self,
        link: PlainLink,
        keys: StandbyKeys,
        clock: Clock,
        *,
        is_standby: bool,
        set_active: Callable[[bool], None],
    ) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._set_active = set_active
        self._joins_ns = clock.now_ns() + (PATIENCE_NS if is_standby else 0)
        self._lock = threading.Lock()
        self._election = Election(process_id=secrets.token_hex(8))
        self._tokens: set[StandbyToken] = set()
        self._was_active = False
        self._wake = threading.Event()
        self._is_closed = False
        self._token: Declaration | None = None
        self._held: StandbyToken | None = None
        self._declared: list[Declaration] = []
        self._thread = Supervised(self._keep, name="remote-standby")

    @property
    def is_active(self) -> bool:
        """Whether this process answers."""
        return self._election.role is GatewayRole.ACTIVE

    def start(self) -> None:
        """Start to take part."""
        self._declared = [
            self._link.watch(self._keys.tokens, self._note_token),
            self._link.subscribe(self._keys.beats, self._note_beat),
        ]
        self._thread.start()

    def close(self) -> None:
        """Take part no more; the other process answers at once."""
        self._is_closed = True
        self._wake.set()
        self._thread.join()
        for declared in self._declared:
            declared.undeclare()

    def _note_token(self, key: str, is_alive: bool) -> None:  # noqa: FBT001 - the link's signature
        try:
            token = self._keys.token_at(key)
        except ProtocolError:
            return
        with self._lock:
            (self._tokens.add if is_alive else self._tokens.discard)(token)
            now_ns = self._clock.now_ns()
            self._election = self._election.token_changed(token, now_ns, is_alive=is_alive)
        self._wake.set()

    def _note_beat(self, sample: Sample) -> None:
        try:
            beat = StandbyToken.from_text(sample.payload[:200].decode("ascii", "replace"))
        except ProtocolError:
            return
        with self._lock:
            self._election = self._election.heard(beat, self._clock.now_ns())
            has_lost = self._was_active and not self.is_active
        if has_lost:
            self._wake.set()

    def _keep(self) -> None:
        while not self._is_closed:
            self._step(self._clock.now_ns())
            beat_ns = self._election.times.beat_ns
            self._clock.wait_until_ns(self._clock.now_ns() + beat_ns, self._wake)
            self._wake.clear()
        self._become(is_active=False)
        if self._token is not None:
            self._token.undeclare()

    def _step(self, now_ns: int) -> None:
        """Do what is due, and make real what has changed."""
        is_connected = self._link.health().is_connected
        with self._lock:
            if not is_connected:
                self._election = self._election.separated()
            elif self._election.joined_ns is None and self._may_join(now_ns):
                self._election = self._joined(now_ns)
            step = self._election.advance(now_ns)
            self._election = step.election
        if self._election.role is GatewayRole.WAITING:
            self._become(is_active=False)
        self._swap_token()
        if self.is_active:
            self._become(is_active=True)
        if step.beat is not None:
            self._link.publish(
                self._keys.beats, header=b"", payload=str(step.beat).encode(), delivery=Delivery.CHUNK
            )

    def _may_join(self, now_ns: int) -> bool:
        return now_ns >= self._joins_ns or any(token.term for token in self._tokens)

    def _joined(self, now_ns: int) -> Election:
        election = self._election.joined(now_ns)
        for token in self._tokens:  # told before, and not again
            election = election.token_changed(token, now_ns, is_alive=True)
        return election

    def _become(self, *, is_active: bool) -> None:
        if is_active == self._was_active:
            return
        self._was_active = is_active
        if is_active:
            logger.info("this gateway is active: robots are answered here")
        else:
            logger.warning("this gateway waits: robots are not answered here")
        self._set_active(is_active)

    def _swap_token(self) -> None:
        """Hold the token of the present term; the new one is there before the old one goes."""
        wanted = self._election.token
        if wanted == self._held or self._election.joined_ns is None:
            return
        before, self._token = self._token, self._link.token(self._keys.token_key(wanted))
        self._held = wanted
        if before is not None:
            before.undeclare()
