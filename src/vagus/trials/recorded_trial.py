"""Episodes that a robot has played in real time, from its recording, as results of trials. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.recording.session import RecordedChunk, RecordedSession
from vagus.trials.trial_robot import EpisodeResult, acceleration, phase_of
from vagus.trials.world_robot import WorldReport
from vagus.types import MotionState

__all__ = ["PlayedEpisode", "chunk_delays_ms", "played_episodes"]

MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class PlayedEpisode:
    """One episode in real time.

    Attributes:
        result: what it came to; requests are those that were answered.
        late_ticks: ticks that were missing, because one came too late.
        delays_ms: of its chunks, as `chunk_delays_ms` has them.
        wait: steps of the episode before its first request: those of a trial, and as long as the server takes
            to acknowledge the reset.
    """

    result: EpisodeResult
    late_ticks: int
    delays_ms: tuple[float, ...]
    wait: int


def chunk_delays_ms(chunks: Sequence[RecordedChunk], tick_rate_hz: float | None) -> list[float]:
    """Return the delay of each chunk, from its observation to the robot, in milliseconds.

    A recording knows the tick that took a chunk, so the chunk came in the period before: half a period
    before the tick is told; the tick itself, where nobody knows the rate (None).
    """
    period_ms = MS_PER_S / tick_rate_hz if tick_rate_hz else 0.0
    return [max((one.t_ns - one.captured_ns) / NS_PER_MS - period_ms / 2, 0.0) for one in chunks]


def played_episodes(session: RecordedSession, report: WorldReport) -> list[PlayedEpisode]:
    """Return the episodes that are over, in their order.

    Args:
        session: recording of the run, from its beginning.
        report: what the robot says about the same run.
    """
    return [_played(session, report, number) for number in range(len(report.seeds))]


def _played(session: RecordedSession, report: WorldReport, number: int) -> PlayedEpisode:
    steps, info = session.steps, session.info
    rows = np.flatnonzero(steps.episode == number)
    is_playing = np.array([steps.motion[row] is MotionState.PLAYING for row in rows], dtype=np.bool_)
    plays = int(is_playing.sum())
    starved = int((~is_playing[np.argmax(is_playing) :]).sum()) if plays else 0
    commands = [action for action in steps.action[rows] if np.isfinite(action).all()]
    rate_hz = info.tick_rate_hz
    chunks = [chunk for chunk in session.chunks if chunk.episode == number]
    result = EpisodeResult(
        seed=report.seeds[number],
        success=report.successes[number] / report.chances,
        starved=starved / (starved + plays) if plays else 1.0,
        acceleration=acceleration(commands, info.action_features, rate_hz or 0.0),
        requests=len(chunks),
        underestimated=sum(map(_is_underestimated, chunks)),
    )
    begun_ns = int(steps.t_ns[rows[0]]) if len(rows) else 0
    asked_ns = min((chunk.captured_ns for chunk in chunks), default=begun_ns)
    waited = round(max(asked_ns - begun_ns, 0) * (rate_hz or 0.0) / NS_PER_S)
    delays = tuple(chunk_delays_ms(chunks, rate_hz))
    return PlayedEpisode(result, report.late_ticks[number], delays, phase_of(result.seed) + waited)


def _is_underestimated(chunk: RecordedChunk) -> bool:
    """Return whether a chunk that continues a plan acted later than its policy was told."""
    passed = chunk.next_step - chunk.step
    return chunk.is_merged and chunk.prefix_length > 0 and passed > chunk.inference_delay
