"""Success and steps of every condition, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from outcome import Condition

mpl.use("Agg")
from matplotlib import pyplot as plt

__all__ = ["save_plot"]


def save_plot(path: Path, conditions: Sequence[Condition]) -> None:
    """Write a picture: success with its interval, and the steps of each success."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True, layout="constrained")
    places = range(len(conditions))[::-1]
    for place, condition in zip(places, conditions, strict=True):
        success = condition.success
        left.errorbar(
            100 * success.share,
            place,
            xerr=[[100 * (success.share - success.low)], [100 * (success.high - success.share)]],
            fmt="o",
            capsize=4,
            color="tab:blue",
        )
        steps = [episode.steps for episode in condition.episodes if episode.is_success]
        if steps:
            right.boxplot([steps], positions=[place], orientation="horizontal", widths=0.5)
    left.set_yticks(list(places), [condition.name for condition in conditions])
    left.set_xlim(0, 100)
    left.set_xlabel("episodes that succeeded, % with 95 % interval")
    right.set_xlabel("steps of a success (80 per second)")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
