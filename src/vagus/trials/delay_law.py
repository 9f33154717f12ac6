"""Laws of delay: how long a chunk takes from its observation to the robot. Pure; the draws are seeded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_MS
from vagus.errors import ConfigError

__all__ = ["DelayDraws", "DelayLaw", "read_law"]

DELAYS, OUTAGES = 3, 1
"""Numbers of the streams that a seed has here. 0 would be the stream of the seed alone, from which worlds
draw their episodes: slow replies would then come with certain episodes."""
MAX_MS = 60_000.0
MAX_SIGMA = 3.0
FORMS = (
    "100 (constant, ms), lognormal:MEDIAN:SIGMA, mixed:USUAL:RARE:SHARE, outages:USUAL:SHARE:S, trace:FILE"
)


@dataclass(frozen=True, slots=True)
class DelayLaw:
    """Law of the delay of chunks.

    Attributes:
        usual_ms: delay, or its median, in milliseconds.
        sigma: spread of its logarithm; 0: constant.
        rare_ms: another delay, which a share of the chunks has.
        rare_share: that share, 0 to 1.
        outage_s: length of an outage, in seconds; what is under way then waits for its end.
        outage_share: share of time in outages, 0 to 1.
        trace_ms: recorded delays, which are used in their order, from a place that is drawn; empty: none.
        name: as a person wrote it.
    """

    usual_ms: float = 0.0
    sigma: float = 0.0
    rare_ms: float = 0.0
    rare_share: float = 0.0
    outage_s: float = 0.0
    outage_share: float = 0.0
    trace_ms: tuple[float, ...] = ()
    name: str = "0"

    def __str__(self) -> str:
        return self.name


class DelayDraws:
    """Delays of one episode: the same for the same law and seed, whatever is asked for and when."""

    def __init__(self, law: DelayLaw, seed: int) -> None:
        self._law = law
        self._random = np.random.default_rng([seed, DELAYS])
        self._outages = _outages(law, np.random.default_rng([seed, OUTAGES]))
        self._outage = next(self._outages, (math.inf, math.inf))
        self._at = int(self._random.integers(len(law.trace_ms))) if law.trace_ms else 0

    def arrival_ns(self, captured_ns: int) -> int:
        """Return when the chunk of an observation arrives; observations come in the order of their time."""
        due_ns = captured_ns + max(round(self._next_ms() * NS_PER_MS), 1)
        while self._outage[1] * NS_PER_MS <= captured_ns:
            self._outage = next(self._outages, (math.inf, math.inf))
        begin_ms, end_ms = self._outage
        is_cut = begin_ms * NS_PER_MS < due_ns
        return max(due_ns, round(end_ms * NS_PER_MS)) if is_cut else due_ns

    def _next_ms(self) -> float:
        law = self._law
        spread, share = float(self._random.standard_normal()), float(self._random.random())
        if law.trace_ms:
            self._at = (self._at + 1) % len(law.trace_ms)
            return law.trace_ms[self._at]
        if share < law.rare_share:
            return law.rare_ms
        return law.usual_ms * math.exp(law.sigma * spread)


def _outages(law: DelayLaw, random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Yield begin and end of each outage in milliseconds; the time between two is exponential."""
    if not law.outage_s or not law.outage_share:
        return
    length_ms, now_ms = 1000 * law.outage_s, 0.0
    pause_ms = length_ms * (1 - law.outage_share) / law.outage_share
    while True:
        now_ms += float(random.exponential(pause_ms))
        yield now_ms, now_ms + length_ms
        now_ms += length_ms


def read_law(text: str, *, read_trace: Callable[[str], Sequence[float]]) -> DelayLaw:
    """Return the law that a person wrote.

    Args:
        text: see `FORMS`.
        read_trace: returns the delays in a file, in milliseconds.

    Raises:
        ConfigError: no law, or numbers that are none.
    """
    kind, _, rest = text.partition(":")
    if kind == "trace" and rest:
        delays = tuple(_number(text, delay, MAX_MS) for delay in read_trace(rest))
        if not delays:
            raise ConfigError("delay", wanted="a trace with a delay in ms per line", got=f"none in {rest}")
        return DelayLaw(trace_ms=delays, name=text)
    parts = rest.split(":") if rest else []
    match kind, parts:
        case "lognormal", [median, sigma]:
            return DelayLaw(_number(text, median, MAX_MS), _number(text, sigma, MAX_SIGMA), name=text)
        case "mixed", [usual, rare, share]:
            return DelayLaw(
                _number(text, usual, MAX_MS),
                rare_ms=_number(text, rare, MAX_MS),
                rare_share=_number(text, share, 1.0),
                name=text,
            )
        case "outages", [usual, share, seconds]:
            return DelayLaw(
                _number(text, usual, MAX_MS),
                outage_share=_number(text, share, 0.9),
                outage_s=_number(text, seconds, MAX_MS / 1000),
                name=text,
            )
        case _, []:
            return DelayLaw(_number(text, kind, MAX_MS), name=text)
        case _:
            raise ConfigError("delay", wanted=FORMS, got=repr(text))


def _number(text: str, value: str | float, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ConfigError("delay", wanted=FORMS, got=repr(text)) from None
    if not (math.isfinite(number) and 0 <= number <= most):
        raise ConfigError("delay", wanted=f"numbers from 0 to {most:g}", got=repr(text))
    return number
