"""Replay of a capture folder against a running server: what is compared, and the report."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import msgspec

from vagus.clock import MonotonicClock
from vagus.edge.client.discovery import find_server
from vagus.edge.client.first_contact import Patience, Setback, keep_trying
from vagus.errors import ConfigError, LinkError
from vagus.quoting import quoted
from vagus.replay.captures import CapturedSession, CaptureFolder
from vagus.replay.conversation import ReplayConversation, Resending
from vagus.replay.differences import Differences, JointDifference
from vagus.replay.verdict import Comparison, Sameness, check_comparable
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.wire.schema import Capabilities

__all__ = ["ResendReport", "resend"]

SHOWN_DIGITS = 12
MAX_TROUBLES = 100
"""Largest number of requests that a report names."""


class ResendReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of captures has found, as `--json` prints it."""

    captures: str
    """The folder."""
    server: str
    """Server that was asked."""
    model: str
    """Its model."""
    model_hash: str
    """Its hash."""
    captured_hashes: list[str]
    """Hashes of the captured models; empty if no capture says one."""
    is_same_model: bool
    """Every capture is of the hash of the server."""
    tolerance: float
    sessions: int
    requests: int
    """Captured requests."""
    same: int
    different: int
    failed: int
    unanswered: int
    skipped: int
    joints: list[JointDifference]
    troubles: list[dict[str, str]]
    """The first requests that are not the same: sample, verdict, why."""
    warnings: list[str]

    @property
    def is_same(self) -> bool:
        """Whether every request that could be compared was answered as it was captured."""
        return not (self.different or self.failed or self.unanswered) and bool(self.same)


def resend(
    link: Link, folder: CaptureFolder, settings: Resending, on_compared: Callable[[Comparison], None]
) -> ResendReport:
    """Send the captured requests of a folder to a server, session by session, and compare the answers.

    Args:
        link: the network; it stays open.
        folder: the captures.
        settings: whom to ask, and what counts as the same.
        on_compared: called after each request.

    Raises:
        LinkError: there is no server, or it goes away.
        SpecError: its joints are others, or in another order.
        ConfigError: the captures are of another model, and nobody asked for that.
        SessionRefusedError, ProtocolError: as the session open raises them.
    """
    server, live = _ready_server(link, settings)
    warnings = [*folder.warnings]
    for session in folder.sessions:
        warnings += _check_model(session, live, takes_other=settings.takes_other_model)
    names, units = [a.name for a in live.actions], [a.unit for a in live.actions]
    differences, compared = Differences(names, units), list[Comparison]()

    def note(found: Comparison) -> None:
        compared.append(found)
        on_compared(found)

    with ReplayConversation(link, server, settings) as conversation:
        for session in folder.sessions:
            conversation.replay(session, live, differences, on_compared=note)
    return _report(folder, live, settings, differences, compared, warnings=warnings)


def _ready_server(link: Link, settings: Resending) -> tuple[ServerKey, Capabilities]:
    """Return a server that is ready; one that still starts is waited for. Raises as `find_server` does."""
    clock = MonotonicClock()
    patience = Patience(settings.edge, clock.now_ns())

    def is_over(error: Setback, now_ns: int) -> bool:
        return not isinstance(error, LinkError) or patience.is_over(error, now_ns)

    return keep_trying(
        lambda: find_server(link, settings.service, settings.edge),
        is_over,
        patience,
        clock=clock,
        stopping=threading.Event(),
    )


def _check_model(session: CapturedSession, live: Capabilities, *, takes_other: bool) -> list[str]:
    """Return warnings on how the captured model and the server's differ.

    Raises:
        ConfigError: it is another model, and nobody asked for that.
        SpecError: the joints of an action are others.
    """
    recorded = session.capabilities
    if recorded is None:
        if takes_other:
            return [f"{session.name}: its terms are made from what the server says, because it holds none"]
        raise ConfigError(
            f"capture {session.name}",
            wanted="one that says of which model it is",
            got="one of an earlier version of vagus, which does not",
            fix="--other-model sends it all the same, with terms made from what the server says",
        )
    check_comparable(recorded, live)
    ours, theirs = (f"{c.model!r} ({c.policy_type})" for c in (recorded, live))
    if ours != theirs and not takes_other:
        raise ConfigError(
            f"capture {session.name}",
            wanted=f"one of the model {quoted(theirs)} that is served",
            got=f"one of {quoted(ours)}",
            fix="--other-model compares the two",
        )
    said = []
    if recorded.model_hash != live.model_hash:
        said.append(
            f"{session.name}: the captured model has hash {quoted(recorded.model_hash[:SHOWN_DIGITS])}, "
            f"the server's has {quoted(live.model_hash[:SHOWN_DIGITS])}"
        )
    if recorded.rtc is not None and live.rtc is None:
        said.append(f"{session.name}: the server takes no prefix, and refuses the requests that have one")
    return said


def _report(
    folder: CaptureFolder,
    live: Capabilities,
    settings: Resending,
    differences: Differences,
    compared: list[Comparison],
    *,
    warnings: list[str],
) -> ResendReport:
    counts = Counter(found.verdict for found in compared)
    hashes = sorted({s.capabilities.model_hash for s in folder.sessions if s.capabilities is not None})
    is_known = all(session.capabilities is not None for session in folder.sessions)
    troubles = [c for c in compared if c.verdict not in (Sameness.SAME, Sameness.SKIPPED)]
    return ResendReport(
        captures=str(folder.path),
        server=live.server,
        model=live.model,
        model_hash=live.model_hash,
        captured_hashes=hashes,
        is_same_model=is_known and hashes == [live.model_hash],
        tolerance=settings.tolerance,
        sessions=len(folder.sessions),
        requests=len(compared),
        same=counts[Sameness.SAME],
        different=counts[Sameness.DIFFERENT],
        failed=counts[Sameness.FAILED],
        unanswered=counts[Sameness.UNANSWERED],
        skipped=counts[Sameness.SKIPPED],
        joints=list(differences.joints()),
        troubles=[
            {"sample": c.sample, "verdict": c.verdict.value, "why": c.why} for c in troubles[:MAX_TROUBLES]
        ],
        warnings=warnings,
    )
