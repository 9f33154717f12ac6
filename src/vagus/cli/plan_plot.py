"""Plot of a plan: starved share against robots, one line per batch size, and the limit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vagus.import_path import load_brought
from vagus.planning.fleet_plan import FleetPlan, ShareCurve
from vagus.viewing.palette import LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PLOT_SUFFIXES", "check_plot", "plot_of"]

PLOT_SUFFIXES = (".pdf", ".png", ".svg")
SIZE_IN = (9.0, 5.2)
DPI = 110
MARKERS = "osD^vP"
"""A shape for each batch size, for those who cannot tell the colours apart."""
TOP = 20.0
"""Starved percent above which a curve says nothing new: such a robot does not work."""


def check_plot() -> None:
    """Raise ConfigError if matplotlib is not installed."""
    load_brought("matplotlib.figure", subject="a plot", extra="plot")


def plot_of(plan: FleetPlan, curves: Sequence[ShareCurve], form: str) -> bytes:
    """Return a plot as the bytes of a file; `form` is "png", "pdf" or "svg".

    Raises:
        ConfigError: matplotlib is not installed.
    """
    module = load_brought("matplotlib.figure", subject="a plot", extra="plot")
    figure = module.Figure(figsize=SIZE_IN, layout="constrained")
    axes: Axes = figure.subplots()
    for number, curve in enumerate(curves):
        _draw(axes, curve, number)
    _limit(axes, plan)
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, format=form)
    return content.getvalue()


def _draw(axes: Axes, curve: ShareCurve, number: int) -> None:
    colour, marker = LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]
    batches = "one at a time" if curve.max_batch == 1 else f"batches up to {curve.max_batch}"
    shares = [100 * share for share in curve.starved_share]
    label = f"{batches}: {curve.carried} robots"
    axes.plot(curve.robots, shares, color=colour, marker=marker, markersize=4, linewidth=1.6, label=label)
    if curve.carried:
        axes.axvline(curve.carried, color=colour, linestyle=":", linewidth=1.2)


def _limit(axes: Axes, plan: FleetPlan) -> None:
    limit = 100 * plan.slo_starved_share
    axes.axhline(limit, color="#333333", linestyle="--", linewidth=1.2, label=f"limit: {limit:g} %")
    axes.set_ylim(0, max(TOP, 2 * limit))
    axes.set_xlim(left=0)
    axes.set_xlabel("robots on one device")
    axes.set_ylabel("control steps without an action (%)")
    kinds = "; ".join(
        f"{kind.rate_hz:g} Hz, chunks of {kind.horizon}, buffer {kind.buffer_s:g} s" for kind in plan.kinds
    )
    axes.set_title(f"{kinds}\n{plan.source}".replace("$", r"\$"), fontsize=10)
    axes.grid(color="#eceff1", linewidth=0.8)
    axes.legend(loc="upper left", fontsize=9)
