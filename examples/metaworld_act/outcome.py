"""What came of a condition: episodes, success with its confidence interval, and how two conditions differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from pathlib import Path
from statistics import median

__all__ = ["Condition", "Episode", "Interval", "paired_p", "read_journal", "table", "wilson"]

Z_95 = 1.959964
"""Two-sided 95 % of the normal distribution."""
LEAST_SHOWN_P = 0.01


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        number: it has the same places whoever plays it.
        is_success: the puck came to the goal.
        steps: steps that it took; of a failed one, all there were.
    """

    number: int
    is_success: bool
    steps: int


@dataclass(frozen=True)
class Interval:
    """A share and its 95 % confidence interval, each 0 to 1."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Condition:
    """All episodes under one condition.

    Attributes:
        name: for table and plot.
        episodes: what came of each.
        starved: share of the steps without an action of a plan; None where nothing could run out.
    """

    name: str
    episodes: tuple[Episode, ...]
    starved: float | None

    @property
    def success(self) -> Interval:
        """Share of the episodes that succeeded."""
        return wilson(sum(episode.is_success for episode in self.episodes), len(self.episodes))

    @property
    def median_steps(self) -> float | None:
        """Median steps of those that succeeded; None: none did."""
        steps = [episode.steps for episode in self.episodes if episode.is_success]
        return median(steps) if steps else None


def wilson(successes: int, trials: int) -> Interval:
    """Return the share and Wilson's score interval of 95 % (J. Am. Stat. Assoc. 22, 1927).

    Raises:
        ValueError: there was no trial.
    """
    if trials < 1:
        raise ValueError(f"wanted at least 1 trial, got {trials}")
    share = successes / trials
    spread = Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Interval(share, max(centre - half, 0.0), min(centre + half, 1.0))


def paired_p(one: Sequence[Episode], other: Sequence[Episode]) -> float:
    """Return McNemar's exact two-sided p: how likely so one-sided a difference is if there is none.

    Raises:
        ValueError: they are not the same episodes.
    """
    if [episode.number for episode in one] != [episode.number for episode in other]:
        raise ValueError("wanted the same episodes in the same order")
    pairs = list(zip(one, other, strict=True))
    wins = sum(a.is_success and not b.is_success for a, b in pairs)
    losses = sum(b.is_success and not a.is_success for a, b in pairs)
    differing = wins + losses
    tail: float = sum(comb(differing, k) for k in range(min(wins, losses) + 1)) / 2.0**differing
    return min(2 * tail, 1.0)


def read_journal(path: Path) -> tuple[list[int], list[Episode]]:
    """Return the numbers of the episodes that were begun, and those that ended; a line half written waits."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    begun: list[int] = []
    ended: list[Episode] = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        entry = json.loads(line)
        if entry["event"] == "begin":
            begun.append(entry["episode"])
        else:
            ended.append(Episode(entry["episode"], entry["is_success"], entry["steps"]))
    return begun, ended


def table(conditions: Sequence[Condition]) -> str:
    """Return the conditions as a table in Markdown; each is paired with the first."""
    lines = [
        "| | success | 95 % interval | median steps of a success | steps without a plan | p against first |",
        "|---|---|---|---|---|---|",
    ]
    for condition in conditions:
        success, steps, starved = condition.success, condition.median_steps, condition.starved
        cells = [
            condition.name,
            f"{success.share:.0%} of {len(condition.episodes)}",
            f"{success.low:.0%} to {success.high:.0%}",
            "-" if steps is None else f"{steps:g}",
            "-" if starved is None else f"{starved:.1%}",
            ""
            if condition is conditions[0]
            else _p_value(paired_p(conditions[0].episodes, condition.episodes)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _p_value(p: float) -> str:
    return f"{p:.2f}" if p >= LEAST_SHOWN_P else f"< {LEAST_SHOWN_P}"
