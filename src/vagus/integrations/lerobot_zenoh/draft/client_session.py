"""One client's session at a gateway of the draft: a frozen state, to which each event gives the next (pure).

The draft's open carries no epoch, so the first observation teaches it. Identity is the uuid in the keys:
while its token lives, or while it is heard, nobody else gets the session.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final

from vagus.clock import NS_PER_S
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment

__all__ = ["DraftClientSession", "DraftPresence", "DraftRequest", "Tenancy"]

HEARD_NS: Final = 10 * NS_PER_S
"""A client without a living token that was heard in this time is still there: two of its time-outs."""
LEFT_NS: Final = 2 * NS_PER_S
"""A client whose token is gone for so long leaves its place to others; it may still come back."""


class DraftPresence(enum.Enum):
    """What is known of a client's token."""

    UNSEEN = "unseen"
    """It has not been seen yet."""
    ALIVE = "alive"
    GONE = "gone"


class Tenancy(enum.Enum):
    """What becomes of a client's place."""

    STAYS = "stays"
    RESTS = "rests"
    """Its place is free for others; its next observation takes one again."""
    ENDS = "ends"
    """It is forgotten."""


@dataclass(frozen=True, eq=False)
class DraftRequest:
    """One observation that waits for an answer, or is being answered.

    Attributes:
        attachment: what the answer repeats.
        payload: the body, not read yet.
        came_ns: when it came.
        superseded: observations before it that were dropped for newer ones.
        begins_episode: whether an episode begins with it.
    """

    attachment: DraftAttachment
    payload: bytes
    came_ns: int
    superseded: int = 0
    begins_episode: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class DraftClientSession:
    """State of one client's session. Times are the gateway's own monotonic clock.

    Attributes:
        session_id: token that closes it.
        heard_ns: last word of the client; at first, its open.
        presence: what is known of its token.
        changed_ns: since when.
        has_returned: the token came back, and nothing was heard since: it may be that of another robot.
        epoch: epoch of the client; None before its first observation.
        episode: episode of the client; None before its first observation.
        last_sequence: sequence of its newest observation; None in a new epoch.
        waiting: newest observation, which nobody works on yet.
        computing: observation that is being answered.
        superseded: observations dropped since the last one that was taken.
        begins_episode: whether an episode begins with the next observation.
    """

    session_id: str
    heard_ns: int
    changed_ns: int
    presence: DraftPresence = DraftPresence.UNSEEN
    has_returned: bool = False
    epoch: int | None = None
    episode: int | None = None
    last_sequence: int | None = None
    waiting: DraftRequest | None = None
    computing: DraftRequest | None = None
    superseded: int = 0
    begins_episode: bool = False

    @classmethod
    def opened(cls, session_id: str, now_ns: int) -> DraftClientSession:
        """Return the session of a client that has just opened it."""
        return cls(session_id=session_id, heard_ns=now_ns, changed_ns=now_ns)

    def observe(self, attachment: DraftAttachment, payload: bytes, now_ns: int) -> DraftClientSession | None:
        """Return the session with an observation that waits, in the place of an older one.

        None: it is of an older epoch, or not newer than the last.
        """
        if self.epoch is not None and attachment.epoch < self.epoch:
            return None
        last = self.last_sequence if attachment.epoch == self.epoch else None
        if last is not None and attachment.sequence <= last:
            return None
        is_other_episode = self.episode is not None and attachment.episode != self.episode
        return replace(
            self,
            heard_ns=now_ns,
            has_returned=False,
            epoch=attachment.epoch,
            episode=attachment.episode,
            last_sequence=attachment.sequence,
            waiting=DraftRequest(attachment, payload, now_ns),
            superseded=self.superseded + (self.waiting is not None),
            begins_episode=self.begins_episode or is_other_episode,
        )

    def is_overtaken(self, attachment: DraftAttachment) -> bool:
        """Return whether an observation that is not newer than the last will get no answer.

        Its client may still wait for it: what came under a wrong key was counted as its newest. The last one
        itself, come twice, is still waiting or being answered.
        """
        last = (self.epoch or 0, self.last_sequence or 0)
        is_busy = self.waiting is not None or self.computing is not None
        return (attachment.epoch, attachment.sequence) < last or not is_busy

    def reset(self, episode: int, now_ns: int) -> DraftClientSession:
        """Return the session in a new episode: nothing of the old one is answered any more."""
        return replace(
            self, heard_ns=now_ns, episode=episode, waiting=None, computing=None, begins_episode=True
        )

    def taken(self) -> tuple[DraftClientSession, DraftRequest | None]:
        """Return the session with its waiting observation being answered, and that; None: none waits."""
        if self.waiting is None:
            return self, None
        asked = replace(self.waiting, superseded=self.superseded, begins_episode=self.begins_episode)
        return replace(self, waiting=None, computing=asked, superseded=0, begins_episode=False), asked

    def is_current(self, asked: DraftRequest) -> bool:
        """Return whether the client still waits for the answer to this observation."""
        return self.computing is asked and self.waiting is None

    def finished(self, asked: DraftRequest) -> DraftClientSession:
        """Return the session after the answer to an observation; an unanswered one counts as superseded."""
        if self.computing is not asked:
            return self
        return replace(self, computing=None, superseded=self.superseded + (self.waiting is not None))

    def token(self, *, is_alive: bool, now_ns: int) -> DraftClientSession:
        """Return the session once its client's token has come or gone."""
        presence = DraftPresence.ALIVE if is_alive else DraftPresence.GONE
        if presence is self.presence:
            return self
        has_returned = is_alive and self.presence is DraftPresence.GONE
        return replace(self, presence=presence, changed_ns=now_ns, has_returned=has_returned)

    def is_held(self, now_ns: int) -> bool:
        """Return whether nobody else may open a session with this uuid."""
        if self.presence is DraftPresence.ALIVE:
            return not self.has_returned
        is_heard = self.last_sequence is not None and self.heard_ns > self.changed_ns
        return is_heard and now_ns - self.heard_ns < HEARD_NS

    def tenancy(self, now_ns: int, idle_ns: int) -> Tenancy:
        """Return what becomes of the client's place.

        Args:
            now_ns: now.
            idle_ns: time without a word after which a client that is still there leaves its place to others.
        """
        quiet_ns = now_ns - max(self.heard_ns, self.changed_ns)
        if self.presence is DraftPresence.ALIVE:
            return Tenancy.RESTS if now_ns - self.heard_ns >= idle_ns else Tenancy.STAYS
        if self.presence is DraftPresence.UNSEEN:
            return Tenancy.ENDS if quiet_ns >= idle_ns else Tenancy.STAYS
        if quiet_ns >= HEARD_NS:
            return Tenancy.ENDS
        return Tenancy.RESTS if quiet_ns >= LEFT_NS else Tenancy.STAYS
