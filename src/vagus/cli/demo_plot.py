"""Plot of the demo: joints, link and motion state, and the faults over time."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vagus.cli.demo_report import DemoFault, DemoTick
from vagus.clock import NS_PER_S
from vagus.viewing.description import LINK_LANE, MOTION_LANE
from vagus.viewing.palette import colour_of
from vagus.viewing.spans import bands_of

__all__ = ["PLOT_FIX", "save_plot"]

PLOT_FIX = 'pip install "vagus[plot]"'


def save_plot(path: Path, ticks: Sequence[DemoTick], faults: Sequence[DemoFault]) -> bool:
    """Save a plot; return False if matplotlib is not installed."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return False
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, (joints, states) = pyplot.subplots(
        2, 1, figsize=(13, 7), sharex=True, height_ratios=(4, 1), constrained_layout=True
    )
    start_ns = ticks[0].t_ns
    seconds = [(tick.t_ns - start_ns) / NS_PER_S for tick in ticks]
    for joint in range(len(ticks[0].action)):
        joints.plot(seconds, [tick.state[joint] for tick in ticks], linewidth=1.2, label=f"joint {joint + 1}")
    joints.set_ylabel("measured joint position (rad)")
    joints.legend(loc="upper left", ncols=6, fontsize=8)
    joints.set_title("One robot, one policy in another process, and what went wrong between them")
    for axis in (joints, states):
        for fault in faults:
            axis.axvspan(
                (fault.begin_ns - start_ns) / NS_PER_S,
                (fault.end_ns - start_ns) / NS_PER_S,
                color="#d1495b",
                alpha=0.13,
            )
    for fault in faults:
        joints.annotate(
            fault.name,
            ((fault.begin_ns - start_ns) / NS_PER_S, 0.01),
            xycoords=("data", "axes fraction"),
            fontsize=9,
            color="#8a1c2c",
        )
    times_s = np.array(seconds)
    lanes = {MOTION_LANE: [tick.motion for tick in ticks], LINK_LANE: [tick.link for tick in ticks]}
    for row, (lane, names) in enumerate(lanes.items()):
        for band in bands_of(lane, names, times_s):
            spans = [(band.begin_s, band.end_s - band.begin_s)]
            states.broken_barh(spans, (row - 0.4, 0.8), color=colour_of(band.state), label=band.state)
    handles, labels = states.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    states.legend(
        unique.values(), unique.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.5), ncols=8, fontsize=8
    )
    states.set_yticks([0, 1], [*lanes])
    states.set_xlabel("time (s)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True
