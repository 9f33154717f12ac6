"""Change of a network: how much later an answer arrives, and which never does. Pure; the draws are seeded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_MS, seconds_to_ns
from vagus.errors import ConfigError
from vagus.setting_ranges import MAX_COUNT, check_count, check_seconds

__all__ = ["Cuts", "NetworkChange", "NetworkDraws"]

MAX_MS = 1e6
MAX_SIGMA = 3.0


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """Change of the network of a recorded session; by default none."""

    latency_ms: float = 0.0
    """More time from an observation to its chunk, in ms; `vagus chaos --delay-ms 75` adds 150."""
    jitter_ms: float = 0.0
    """Largest random addition to it, in ms."""
    lognormal_sigma: float = 0.0
    """Spread of `latency_ms`: it is drawn anew for each request, with that median and this sigma of its
    logarithm; 0: always the same."""
    loss: float = 0.0
    """Share of the requests whose answer never arrives, 0 to 1."""
    cut_every_s: float = 0.0
    """Time between two cuts of the link, in seconds; 0: no cuts."""
    cut_for_s: float = 1.0
    """Duration of each cut, in seconds."""
    network_seed: int = 0
    """Seed of all that is random in the network."""

    def __post_init__(self) -> None:
        for name, most in (("latency_ms", MAX_MS), ("jitter_ms", MAX_MS), ("lognormal_sigma", MAX_SIGMA)):
            _check_within(name, getattr(self, name), most)
        _check_within("loss", self.loss, 1.0)
        check_seconds("cut_every_s", self.cut_every_s, or_zero=True)
        check_seconds("cut_for_s", self.cut_for_s)
        check_count("network_seed", self.network_seed, least=0, most=MAX_COUNT)
        if self.lognormal_sigma and not self.latency_ms:
            raise ConfigError("lognormal_sigma", wanted="latency_ms, too: it is the median", got="it alone")

    def __str__(self) -> str:
        spread = f" (lognormal, sigma {self.lognormal_sigma:g})" if self.lognormal_sigma else ""
        said = {
            f"{self.latency_ms:g} ms more{spread}": self.latency_ms > 0,
            f"up to {self.jitter_ms:g} ms jitter": self.jitter_ms > 0,
            f"{self.loss:.1%} lost": self.loss > 0,
            f"cut for {self.cut_for_s:g} s every {self.cut_every_s:g} s": self.cut_every_s > 0,
        }
        return ", ".join(text for text, is_so in said.items() if is_so) or "the recorded network"


def _check_within(name: str, value: float, most: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= most):
        raise ConfigError(name, wanted=f"0 to {most:g}", got=repr(value))


class NetworkDraws:
    """The random part of a changed network, one draw per request."""

    def __init__(self, change: NetworkChange) -> None:
        self._change = change
        self._random = np.random.default_rng(change.network_seed)

    def added_ns(self) -> int | None:
        """Return how much later the answer to the next request arrives; None: never."""
        change = self._change
        share, spread, jitter = self._random.random(), self._random.standard_normal(), self._random.random()
        if share < change.loss:
            return None
        latency_ms = change.latency_ms * math.exp(change.lognormal_sigma * float(spread))
        return round((latency_ms + change.jitter_ms * float(jitter)) * NS_PER_MS)


class Cuts:
    """Times at which the link is cut.

    Args:
        change: how often and how long.
        begin_ns: time from which the first period counts.
    """

    def __init__(self, change: NetworkChange, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._gap_ns = seconds_to_ns(change.cut_every_s)
        self._cut_ns = seconds_to_ns(change.cut_for_s)

    def end_ns(self, now_ns: int) -> int | None:
        """Return when the cut that holds now ends; None: the link is whole."""
        if not self._gap_ns or now_ns < self._begin_ns:
            return None
        within_ns = (now_ns - self._begin_ns) % (self._gap_ns + self._cut_ns)
        return None if within_ns < self._gap_ns else now_ns + self._gap_ns + self._cut_ns - within_ns

    def falls_in(self, from_ns: int, to_ns: int) -> bool:
        """Whether the link is cut at any time of a span."""
        if not self._gap_ns or to_ns < self._begin_ns:
            return False
        if self.end_ns(from_ns) is not None:
            return True
        within_ns = max(from_ns - self._begin_ns, 0) % (self._gap_ns + self._cut_ns)
        return max(from_ns, self._begin_ns) + self._gap_ns - within_ns <= to_ns
