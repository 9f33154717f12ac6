"""Which of several gateway processes of one instance answers: the *active* one; the others wait (pure).

Each process holds a token of its own, with a term: 0 while it waits. Who wants to be active takes a term
above all that it knows; the highest term wins, at the same term the smaller process id. The active one sends
*beats*, since a process that is stopped keeps its token for 10 s.

A process declares the token of its term before it declares anything that answers, and a network delivers in
order: so a process that was stopped and goes on hears of the higher term before the first question.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.envelope import is_segment
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.quoting import quoted

__all__ = [
    "Election",
    "ElectionStep",
    "ElectionTimes",
    "GatewayRole",
    "StandbyKeys",
    "StandbyToken",
]

_TERM: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_MAX_TERM: Final = 10**15 - 1
_MAX_TOKENS: Final = 256
"""Tokens of others that are remembered: far more than processes, so that no flood fills the memory."""


class GatewayRole(enum.Enum):
    """What a process does."""

    WAITING = "waiting"
    """It listens and answers nothing."""
    CLAIMING = "claiming"
    """It holds the highest term, and gives the process before it time to see that."""
    ACTIVE = "active"
    """It answers."""


@dataclass(frozen=True, order=True)
class StandbyToken:
    """The token of one process: its id, and its term, 0 while it waits. Its text is also that of a beat.

    Raises:
        ProtocolError: an id that is no segment.
    """

    process_id: str
    term: int = 0

    def __post_init__(self) -> None:
        if not is_segment(self.process_id) or _TERM.fullmatch(str(self.term)) is None:
            raise _unknown(f"{self.process_id}/{self.term}")

    @classmethod
    def from_text(cls, text: str) -> StandbyToken:
        """Return the token of a text `process/term`; ProtocolError for another text."""
        process_id, _, term = text.partition("/")
        if _TERM.fullmatch(term) is None:
            raise _unknown(text)
        return cls(process_id, int(term))

    def __str__(self) -> str:
        return f"{self.process_id}/{self.term}"

    def is_above(self, other: StandbyToken) -> bool:
        """Return whether this one wins."""
        return (-self.term, self.process_id) < (-other.term, other.process_id)


@dataclass(frozen=True)
class StandbyKeys:
    """Keys by which the processes of one instance find each other; no client looks at them."""

    deployment: str
    instance_id: str

    @property
    def tokens(self) -> str:
        """Key expression of all tokens."""
        return f"{self._root}/*/*"

    @property
    def beats(self) -> str:
        """Key of the beats; the payload is the text of a token."""
        return f"{self._root}/beats"

    def token_key(self, token: StandbyToken) -> str:
        """Return the key of a token."""
        return f"{self._root}/{token}"

    def token_at(self, key: str) -> StandbyToken:
        """Return the token that a key is; ProtocolError for another key."""
        root, found, text = key.partition(f"{self._root}/")
        if root or not found:
            raise _unknown(key)
        return StandbyToken.from_text(text)

    @property
    def _root(self) -> str:
        opened = str(RemoteKey(RemotePlace.OPEN, self.deployment, self.instance_id))
        return f"{opened.removesuffix('/open')}/gateways"


@dataclass(frozen=True, kw_only=True)
class ElectionTimes:
    """Times of an election.

    A client asks half a second before its rows run out, and its question may be the last thing that the
    process before got: `silence_ns`, `claim_ns` and the policy's answer must fit into that.

    Attributes:
        beat_ns: from beat to beat.
        silence_ns: so long without a beat, and the active process counts as stopped.
        claim_ns: from the new token to the first answer, if the process before still has its token.
    """

    beat_ns: int = 40_000_000
    silence_ns: int = 200_000_000
    claim_ns: int = 40_000_000


@dataclass(frozen=True)
class ElectionStep:
    """The election after an event, and the beat to send, if any."""

    election: Election
    beat: StandbyToken | None = None


@dataclass(frozen=True, kw_only=True)
class Election:
    """What one process knows of the others, and its own role. Times are its own monotonic clock.

    After each event the owner calls `advance`, and makes real what changed. To become active: the new token
    first, then what answers; then the questions that it heard while it waited and that have no answer yet. To
    wait: undeclare what answers first, then swap the token.

    Attributes:
        process_id: of this process; random, a segment.
        times: of all processes alike.
        role: what this process does.
        term: its own; 0 while it waits.
        highest: highest term known so far.
        others: tokens of the other processes.
        joined_ns: when the tokens of the others were asked for; None while the network is away.
        heard_ns: newest sign of life of the leader, or when the last leader left.
        listening_ns: since when this process waits, and hears the others without a gap.
        advanced_ns: newest call of `advance`.
        claimed_ns: when the own term was taken.
    """

    process_id: str
    times: ElectionTimes = ElectionTimes()
    role: GatewayRole = GatewayRole.WAITING
    term: int = 0
    highest: int = 0
    others: frozenset[StandbyToken] = frozenset()
    joined_ns: int | None = None
    heard_ns: int = 0
    listening_ns: int = 0
    advanced_ns: int = 0
    claimed_ns: int = 0

    @property
    def token(self) -> StandbyToken:
        """The token that this process holds."""
        return StandbyToken(self.process_id, self.term)

    @property
    def leader(self) -> StandbyToken | None:
        """Token of the other process with the highest term; None: all others wait."""
        return min(
            (token for token in self.others if token.term),
            key=lambda token: (-token.term, token.process_id),
            default=None,
        )

    def joined(self, now_ns: int) -> Election:
        """Note that the network is there, and that the tokens of the others come from now on."""
        return replace(
            self,
            joined_ns=now_ns,
            heard_ns=now_ns,
            listening_ns=now_ns,
            advanced_ns=now_ns,
            others=frozenset(),
        )

    def separated(self) -> Election:
        """Note that the network is away: what the others do is not known, so this process waits."""
        waiting = _waiting(self, self.heard_ns)
        return replace(waiting, joined_ns=None, others=frozenset())

    def token_changed(self, token: StandbyToken, now_ns: int, *, is_alive: bool) -> Election:
        """Note a token of some process that came or went; the own ones change nothing."""
        if token.process_id == self.process_id:
            return self
        before = self.leader
        others = self.others - {token}
        if is_alive and len(others) < _MAX_TOKENS:
            others |= {token}
        election = replace(self, others=others, highest=max(self.highest, token.term))
        if election.leader != before:
            election = replace(election, heard_ns=now_ns)
        return _yielding(election, token, now_ns) if is_alive else election

    def heard(self, beat: StandbyToken, now_ns: int) -> Election:
        """Note a beat of some process; the own ones change nothing."""
        if beat.process_id == self.process_id:
            return self
        election = replace(self, highest=max(self.highest, beat.term))
        if beat == election.leader:
            election = replace(election, heard_ns=now_ns)
        return _yielding(election, beat, now_ns)

    def advance(self, now_ns: int) -> ElectionStep:
        """Do what is due; to be called every `beat_ns`, and after each event."""
        election = replace(self, advanced_ns=now_ns)
        if now_ns - self.advanced_ns > self.times.silence_ns // 2:  # what others sent may lie here unread
            election = replace(election, heard_ns=now_ns, listening_ns=now_ns)
        if self.joined_ns is None:
            return ElectionStep(election)
        if self.role is GatewayRole.WAITING:
            if now_ns < _claim_due_ns(election):
                return ElectionStep(election)
            term = min(self.highest + 1, _MAX_TERM)
            election = replace(
                election, role=GatewayRole.CLAIMING, term=term, highest=term, claimed_ns=now_ns
            )
        is_due = now_ns - election.claimed_ns >= self.times.claim_ns
        if election.leader is None or is_due:
            election = replace(election, role=GatewayRole.ACTIVE)
        return ElectionStep(election, election.token)


def _claim_due_ns(election: Election) -> int:
    """Return when this process is to take a term, if nobody is heard until then.

    If several wait, the one with the smallest id is the first, and each one after it waits longer.
    """
    leading = {token.process_id for token in election.others if token.term}
    waiting = {token.process_id for token in election.others} - leading
    rank, silence_ns = (
        sum(process_id < election.process_id for process_id in waiting),
        election.times.silence_ns,
    )
    heard_ns = election.heard_ns + (rank + (election.leader is not None)) * silence_ns
    return max(heard_ns, election.listening_ns + (rank + 1) * silence_ns)


def _yielding(election: Election, token: StandbyToken, now_ns: int) -> Election:
    """Return the election, waiting if the token of another process wins."""
    if election.role is GatewayRole.WAITING or not token.is_above(election.token):
        return election
    return _waiting(election, now_ns)


def _waiting(election: Election, now_ns: int) -> Election:
    return replace(election, role=GatewayRole.WAITING, term=0, heard_ns=now_ns, listening_ns=now_ns)


def _unknown(text: str) -> ProtocolError:
    return ProtocolError(f"standby: wanted a token process/term, got {quoted(text, 120)}")
