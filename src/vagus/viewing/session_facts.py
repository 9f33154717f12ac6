"""What is said of a recorded session: title, facts, and what it lacks (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from vagus.recording.session import MERGED, Json, RecordedSession

__all__ = ["facts_of", "lacks_of", "max_age_ms_of", "title_of"]

_HASH_DIGITS = 12
_MS_PER_S = 1000.0


def title_of(session: RecordedSession) -> str:
    """Return robot and policy in one line."""
    info = session.info
    robot = info.robot_name or info.robot_label or "robot"
    return f"{robot} driven by {info.service}" if info.service else robot


def facts_of(session: RecordedSession, seconds: float) -> Iterator[tuple[str, str]]:
    """Return (label, text) of everything that is known; `seconds` is the time of the last command."""
    info, steps = session.info, session.steps
    outcomes = Counter(chunk.outcome for chunk in session.chunks)
    refused = "".join(f", {count} {name}" for name, count in outcomes.most_common() if name != MERGED)
    began = info.began_wall.strftime("%Y-%m-%d %H:%M:%S UTC") if info.began_wall else ""
    robot_type = info.robot.robot_type if info.robot else ""
    rates = [
        f"{rate:g} {what} per second"
        for rate, what in ((info.tick_rate_hz, "commands"), (info.step_rate_hz, "policy steps"))
        if rate
    ]
    facts = {
        "robot": " ".join(dict.fromkeys(filter(None, (info.robot_name, info.robot_label, robot_type)))),
        "policy": info.service,
        "model": info.model_hash[:_HASH_DIGITS],
        "instruction": info.instruction,
        "began": began,
        "length": f"{seconds:.1f} s, {_counted(len(steps), 'command')}, "
        f"{_counted(len(np.unique(steps.episode)), 'episode')}",
        "rates": ", ".join(rates),
        "chunks": f"{outcomes[MERGED]} merged{refused}" if session.chunks else "",
        "end": _end(session.summary),
        "tags": ", ".join(f"{name}: {text}" for name, text in info.tags.items()),
        "vouched": "; ".join(info.vouched),
    }
    return ((label, text) for label, text in facts.items() if text)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _end(summary: Mapping[str, Json] | None) -> str:
    loop = summary.get("loop") if summary else None
    if not isinstance(loop, dict):
        return ""
    error = loop.get("error")
    return f"{loop.get('reason', '')}{f': {error}' if error else ''}"


def lacks_of(session: RecordedSession) -> Iterator[str]:
    """Yield a sentence about each part that the recording lacks."""
    if not session.chunks and len(session.steps):
        yield "the recording has no chunks, so no fans are shown"
    if session.summary is None:
        yield "the recording has no end: the run still goes on, or was killed"


def max_age_ms_of(settings: Mapping[str, Json]) -> float | None:
    """Return the greatest age of an action that was commanded, in milliseconds; None: not recorded."""
    edge = settings.get("edge")
    age_s = edge.get("max_action_age_s") if isinstance(edge, dict) else None
    if isinstance(age_s, bool) or not isinstance(age_s, (int, float)):
        return None
    return age_s * _MS_PER_S
