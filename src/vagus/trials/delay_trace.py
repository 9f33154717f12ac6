"""Recorded delays: a text file with a number per line, or a session that `vagus run --record` has written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vagus.errors import ConfigError
from vagus.quoting import quoted
from vagus.recording.reader import read
from vagus.trials.recorded_trial import chunk_delays_ms

__all__ = ["delays_in"]

WANTED = "a text file with a delay in ms per line, or a recorded session (`vagus run --record`)"
SESSION_FILE = ".mcap"
MAX_BYTES = 16 << 20
COMMENT = "#"


def delays_in(place: str) -> Sequence[float]:
    """Return the delays in a file or recording, from an observation to its chunk, in milliseconds.

    Lines that are empty or begin with # are left out. A negative delay, or a recording without chunks, is no
    delay; whoever asks for a law says so.

    Raises:
        ConfigError: nothing is there, it cannot be read, or a line is no number.
    """
    path = Path(place)
    if path.is_dir() or path.suffix == SESSION_FILE:
        session = read(path)
        return chunk_delays_ms(session.chunks, session.info.tick_rate_hz)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError("trace", wanted=WANTED, got=f"{place}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError("trace", wanted=f"at most {MAX_BYTES >> 20} MB", got=f"{place}, which is larger")
    lines = content.decode("utf-8", errors="replace").splitlines()
    return [
        _number(place, at, line)
        for at, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith(COMMENT)
    ]


def _number(place: str, at: int, line: str) -> float:
    try:
        return float(line)
    except ValueError:
        raise ConfigError(
            "trace", wanted=WANTED, got=f"{quoted(line, 60)!r} in line {at} of {place}"
        ) from None
