"""What the summary of a recording says about its own losses."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.recording.session import Json

__all__ = ["lost"]


def lost(summary: Mapping[str, Json] | None) -> tuple[str, ...]:
    """Return one sentence per counter of what the recorder has dropped."""
    counters = {} if summary is None else summary.get("recorder")
    if not isinstance(counters, dict):
        return ()
    dropped = {name: n for name, n in counters.items() if "dropped" in name and isinstance(n, int) and n > 0}
    return tuple(f"the recorder dropped what it could not write: {name} {n}" for name, n in dropped.items())
