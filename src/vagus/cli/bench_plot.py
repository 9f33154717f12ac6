"""Picture of a study: success against constant delay as lines, and under other laws as bars."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vagus.cli.bench_report import ShownLaw, StudyReport
from vagus.import_path import load_brought
from vagus.quoting import quoted
from vagus.trials.study import StudyCell
from vagus.viewing.palette import BOUND, COMMANDED, LIMIT, LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["study_figure", "study_plot"]

WIDTH_IN, HEIGHT_IN = 6.0, 4.6
DPI = 110
TITLE_WIDTH, MOST_NAMES = 62, 4
"""Characters of a line of the title, and names in a row of the legend, that fit over a panel."""
COLOURS = (*LINES, "#333333", BOUND, LIMIT, COMMANDED)
MARKERS = "osD^vP*X<>"
"""A shape for each way of playing, for those who cannot tell the colours apart."""
MOST_NAME = 40
GROUP_WIDTH = 0.84
"""Share of the room of one law that its bars take."""

Cells = Mapping[tuple[str, str], StudyCell]


def study_plot(report: StudyReport, form: str) -> bytes:
    """Return a picture as the bytes of a file; `form` is "png", "pdf" or "svg".

    Raises:
        ConfigError: matplotlib is not installed.
    """
    content = io.BytesIO()
    study_figure(report).savefig(content, dpi=DPI, format=form)
    return content.getvalue()


def study_figure(report: StudyReport) -> Figure:
    """Return the picture, not written yet.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    module = load_brought("matplotlib.figure", subject="a plot", extra="plot")
    cells = {(cell.method, cell.law): cell for cell in report.cells}
    constant = [law for law in report.laws if law.constant_ms is not None]
    other = [law for law in report.laws if law.constant_ms is None]
    panels = [(_lines, constant)] * bool(constant) + [(_bars, other)] * bool(other)
    figure: Figure = module.Figure(figsize=(WIDTH_IN * len(panels), HEIGHT_IN), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (draw, laws) in zip(axes, panels, strict=True):
        draw(axis, report, cells, laws)
        axis.set_ylim(-2, 102)  # a marker at an end is whole
        axis.grid(axis="y", color="#eceff1", linewidth=0.8)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("success (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), MOST_NAMES * len(panels)),
        fontsize=9,
    )
    where = f"policy {_name(report.policy)}, world {_name(report.world)}"
    title = f"Success against delay: {where}; {report.episodes} episodes each, intervals of 95 %"
    lines = textwrap.fill(title, TITLE_WIDTH * len(panels))
    figure.suptitle(lines.replace("$", r"\$"), fontsize=11)
    return figure


def _lines(axis: Axes, report: StudyReport, cells: Cells, laws: Sequence[ShownLaw]) -> None:
    for number, method in enumerate(report.methods):
        found = sorted(
            (law.constant_ms or 0.0, cells[method, law.name].success)
            for law in laws
            if (method, law.name) in cells
        )
        delays = [delay for delay, _ in found]
        means = [100 * share.mean for _, share in found]
        low = [100 * (share.mean - share.half_width) for _, share in found]
        high = [100 * (share.mean + share.half_width) for _, share in found]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axis.fill_between(delays, low, high, color=colour, alpha=0.14, linewidth=0)
        if len(found) == 1:  # a band has no width there
            axis.vlines(delays, low, high, color=colour, linewidth=1.2)
        axis.plot(delays, means, color=colour, marker=marker, markersize=5, linewidth=1.8, label=method)
    axis.margins(x=0.03)
    axis.set_xlabel("delay from observation to chunk (ms), always the same")


def _bars(axis: Axes, report: StudyReport, cells: Cells, laws: Sequence[ShownLaw]) -> None:
    width = GROUP_WIDTH / len(report.methods)
    for number, method in enumerate(report.methods):
        found = [
            (at, cells[method, law.name].success)
            for at, law in enumerate(laws)
            if (method, law.name) in cells
        ]
        axis.bar(
            [at - GROUP_WIDTH / 2 + (number + 0.5) * width for at, _ in found],
            [100 * share.mean for _, share in found],
            width,
            yerr=[100 * share.half_width for _, share in found],
            color=COLOURS[number % len(COLOURS)],
            error_kw={"elinewidth": 1, "ecolor": "#333333"},
            label=method,
        )
    axis.set_xticks(range(len(laws)), [_label(law) for law in laws], fontsize=8)
    axis.set_xlabel("delay that varies")


def _name(place: str) -> str:
    """Return a policy or world without the folders of its file, and not too long."""
    return quoted(place.rpartition("/")[2] if ".py:" in place else place, MOST_NAME)


def _label(law: ShownLaw) -> str:
    """Return a law in two lines."""
    first, comma, rest = law.words.partition(", ")
    return (f"{first}{comma}\n{rest}" if comma else law.words.replace(": ", ":\n")).replace("$", r"\$")
