"""Checks before anything moves that a policy of this speed can drive a robot with these settings.

A chunk describes the moment of its observation. What arrives later than `max_action_age_s` after it is never
commanded, and what arrives after the plan in hand has ended finds a robot that stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vagus.edge.config import AUTO, EdgeConfig
from vagus.errors import SessionRefusedError
from vagus.wire.schema import Capabilities, EventCode

__all__ = ["Pace", "check_pace"]

SAFETY_FACTOR = 1.5
"""Factor on the measured time of a chunk: the worst of a few is not the worst of a day."""
MARGIN_STEPS = 2
"""Policy steps that a request and its chunk wait."""
LEAST_BUFFER_S = 0.1
ROUNDING_S = 0.001
"""Unit of advised settings: a millisecond."""
AGE_ROOM = 1.1
"""Advice on the age bound leaves a tenth."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Pace of a policy: how fast it answers, and how long its chunks last.

    Attributes:
        latency_s: from an observation to its chunk; 0: nobody measured it.
        chunk_s: how long a chunk can be played.
        step_s: how long one action of it is played.
    """

    latency_s: float
    chunk_s: float
    step_s: float

    @classmethod
    def of(
        cls,
        said: Capabilities,
        *,
        rate_hz: float | None = None,
        round_trip_s: float = 0.0,
        worst: bool = False,
    ) -> Pace:
        """Return the pace of a server.

        Args:
            said: what it says of itself; its profile is that of one robot.
            rate_hz: policy steps per second that the robot executes; None: as trained.
            round_trip_s: what the network adds, as far as it is known.
            worst: by the slowest run of its warm-up instead of the median.
        """
        rate_hz = rate_hz or said.rate_hz or 1.0  # one that still loads says nothing
        alone = [row for row in said.latency if row.batch_size == 1]
        inference_ms = max((row.max_ms if worst else row.p50_ms for row in alone), default=0.0)
        return cls(max(inference_ms, 0.0) / 1000 + round_trip_s, said.horizon / rate_hz, 1 / rate_hz)

    def playable_s(self, max_action_age_s: float) -> float:
        """Return how long a chunk can be played before its actions are too old."""
        return min(self.chunk_s, max_action_age_s - self.latency_s)

    @property
    def wanted_age_s(self) -> float:
        """`max_action_age_s` at which every action of a chunk is used."""
        return _up((self.latency_s + self.chunk_s + MARGIN_STEPS * self.step_s) * AGE_ROOM)

    def settings(self, config: EdgeConfig) -> tuple[float, float]:
        """Return `buffer_time_s` and `max_action_age_s` that keep a robot moving, if any do.

        With the first, the next chunk is there before the plan ends; the second is what it is where that will
        do. `EdgeConfig` takes both.
        """
        wanted_s = _up(max(LEAST_BUFFER_S, SAFETY_FACTOR * self.latency_s + MARGIN_STEPS * self.step_s))
        buffer_s = wanted_s if wanted_s <= self.chunk_s else math.floor(self.chunk_s * 1000) / 1000
        age_s = config.max_action_age_s
        will_do = buffer_s < age_s and buffer_s <= self.playable_s(age_s)
        return buffer_s, age_s if will_do else self.wanted_age_s

    @property
    def is_stop_and_go(self) -> bool:
        """Whether every chunk ends before the next one can arrive, whatever is set."""
        return self.latency_s + self.step_s > self.chunk_s

    def why_never(self, max_action_age_s: float) -> str:
        """Return the reason why no action would ever be commanded, or ""."""
        if not self.latency_s or self.playable_s(max_action_age_s) >= self.step_s:
            return ""
        return (
            f"this policy takes {self.latency_s:.3g} s per chunk, and no action older than "
            f"max_action_age_s {max_action_age_s:g} is commanded: nothing would ever move; "
            f"set --max-action-age-s {self.wanted_age_s:g}, or serve it on a faster device"
        )

    def warnings(self, config: EdgeConfig) -> Iterator[str]:
        """Yield warnings about settings that work badly, with advice; none without a measurement."""
        if not self.latency_s:
            return
        if self.is_stop_and_go:
            yield (
                f"pace: a chunk lasts {self.chunk_s:.3g} s, shorter than the {self.latency_s:.3g} s that the "
                "next one takes: the robot will stop and go"
            )
        elif config.buffer_time_s + ROUNDING_S < self.latency_s + self.step_s:
            sooner = (
                ", unless the server has room to be asked sooner" if config.execute_horizon == AUTO else ""
            )
            yield (
                f"pace: a chunk takes {self.latency_s:.3g} s and is asked for {config.buffer_time_s:g} s "
                f"before the plan ends: the robot will stop and go{sooner}; "
                f"{self.advice(config)} would keep it moving"
            )
        elif config.buffer_time_s > self.playable_s(config.max_action_age_s):
            yield (
                f"pace: buffer_time_s {config.buffer_time_s:g} cannot be reached, for a chunk can be played "
                f"for {self.playable_s(config.max_action_age_s):.3g} s: a new one is asked for at every step"
            )

    def advice(self, config: EdgeConfig) -> str:
        """Return advised settings as flags of `vagus run`."""
        buffer_s, age_s = self.settings(config)
        age = "" if age_s == config.max_action_age_s else f" --max-action-age-s {age_s:g}"
        return f"--buffer-time-s {buffer_s:g}{age}"


def _up(seconds: float) -> float:
    return math.ceil(round(seconds * 100, 6)) / 100


def check_pace(said: Capabilities, config: EdgeConfig) -> list[str]:
    """Return the warnings about driving a robot with these settings from that server.

    Raises:
        SessionRefusedError: nothing would ever be commanded.
    """
    pace = Pace.of(said, rate_hz=config.rate_hz)
    why = pace.why_never(config.max_action_age_s)
    if why:
        raise SessionRefusedError(EventCode.TOO_SLOW.value, why)
    return list(pace.warnings(config))
