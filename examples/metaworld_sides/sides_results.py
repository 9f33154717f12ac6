"""What came of the episodes: read from the journals of the robots, and told as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from vagus.cli.run_report import RunSummary
from vagus.trials.study import Estimate, cell_of, difference
from vagus.trials.trial_robot import EpisodeResult

__all__ = ["FIRST", "HERE", "Cell", "PlayedEpisode", "in_markdown", "in_row", "read_journal"]

HERE = Path(__file__).parent
FIRST = 100_000
"""Number of the first episode; the policy was trained on those from 0 on."""


@dataclass(frozen=True)
class PlayedEpisode:
    """One episode of a real run.

    Attributes:
        number: it has the same places whoever plays it.
        is_success: the hand came to the goal.
        is_touching: it touched a post.
        steps: steps that it took.
        missed: share of the run's ticks that came too late and were left out, 0–1.
        starved_s: time of the run without an action of the plan, in seconds.
        delay_ms: mean time of the run from an observation to its chunk.
        late: share of the run's chunks that came later than the policy was told, 0–1.
    """

    number: int
    is_success: bool
    is_touching: bool
    steps: int
    missed: float = 0.0
    starved_s: float = 0.0
    delay_ms: float = 0.0
    late: float = 0.0

    def of_run(self, run: RunSummary) -> PlayedEpisode:
        """Return the episode with what its run says of all its episodes."""
        return replace(
            self,
            missed=run.missed / max(run.ticks + run.missed, 1),
            starved_s=run.starved_s,
            delay_ms=run.latency_ms.get("total", 0.0),
            late=run.counters.get("delay_underestimated", 0) / max(run.counters.get("merged", 0), 1),
        )


@dataclass(frozen=True)
class Cell:
    """All episodes of one way of playing at one delay.

    Attributes:
        way: name of the way of playing.
        delay_ms: time from an observation to its chunk.
        episodes: in the order of their numbers.
    """

    way: str
    delay_ms: int
    episodes: tuple[PlayedEpisode, ...]

    @property
    def results(self) -> list[EpisodeResult]:
        """The episodes as trials have them."""
        return [EpisodeResult(one.number, float(one.is_success), 0.0, 0.0, 0, 0) for one in self.episodes]

    @property
    def touched(self) -> float:
        """Share of the episodes in which the hand touched a post."""
        return fmean(one.is_touching for one in self.episodes)

    @property
    def missed(self) -> float:
        """Share of the ticks that came too late; more than a few percent: the machine was too slow."""
        return fmean(one.missed for one in self.episodes)

    @property
    def measured_ms(self) -> float:
        """Mean time from an observation to its chunk, as the robots measured it."""
        return fmean(one.delay_ms for one in self.episodes)

    @property
    def late(self) -> float:
        """Share of the chunks that came later than the policy was told."""
        return fmean(one.late for one in self.episodes)

    @property
    def told(self) -> str:
        """The cell in a line."""
        share = cell_of(self.way, str(self.delay_ms), self.results).success
        success = f"{share.mean:.0%} ± {100 * share.half_width:.0f}"
        return (
            f"{self.delay_ms} ms, {self.way}: {success}, {self.touched:.0%} touched, "
            f"{self.missed:.1%} missed, {self.measured_ms:.0f} ms measured, {self.late:.0%} late"
        )


def read_journal(path: Path) -> list[PlayedEpisode]:
    """Return the episodes that ended; a line half written waits."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    entries = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [
        PlayedEpisode(entry["episode"], entry["is_success"], entry["is_touching"], entry["steps"])
        for entry in entries
    ]


def in_markdown(cells: Sequence[Cell], *, baseline: str = "naive") -> str:
    """Return the cells as a table in Markdown, each with its difference to the baseline at the same delay."""
    lines = [
        f"| delay | way | success, % | against {baseline}, points | measured | came late | ticks missed |",
        "|---|---|---|---|---|---|---|",
    ]
    bases = {cell.delay_ms: cell for cell in cells if cell.way == baseline}
    for cell in cells:
        share = cell_of(cell.way, str(cell.delay_ms), cell.results).success
        base = bases.get(cell.delay_ms)
        gain = None if base is None or base is cell else difference(cell.results, base.results)
        others = f"{cell.measured_ms:.0f} ms", f"{cell.late:.0%}", f"{cell.missed:.1%}"
        lines.append(in_row(f"{cell.delay_ms} ms", cell.way, share, gain, *others))
    return "\n".join(lines)


def in_row(delay: str, way: str, success: Estimate, gain: Estimate | None, *others: str) -> str:
    """Return a row of a table: success in percent, and how much more it is than that of the baseline."""
    share = f"{100 * success.mean:.0f} ± {100 * success.half_width:.0f}"
    more = "" if gain is None else f"{100 * gain.mean:+.0f} ± {100 * gain.half_width:.0f}"
    return f"| {' | '.join((delay, way, share, more, *others))} |"
