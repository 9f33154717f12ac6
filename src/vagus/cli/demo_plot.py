"""Plot of the demo: joints, link and motion state, and the faults over time."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from vagus.cli.demo_report import DemoFault, DemoTick
from vagus.clock import NS_PER_S
from vagus.errors import ConfigError
from vagus.types import LinkState, MotionState

__all__ = ["PLOT_FIX", "check_place", "save_plot"]

PLOT_FIX = 'pip install "vagus[plot]"'
SUFFIXES = (".pdf", ".png", ".svg")

STATE_COLOURS = {
    MotionState.PLAYING.value: "#4c9f70",
    MotionState.WAITING.value: "#b8c4cc",
    MotionState.FALLBACK.value: "#d1495b",
    MotionState.PAUSED.value: "#8d99ae",
    MotionState.STOPPED.value: "#2b2d42",
    LinkState.CONNECTING.value: "#b8c4cc",
    LinkState.STREAMING.value: "#4c9f70",
    LinkState.DEGRADED.value: "#edae49",
    LinkState.RECONNECTING.value: "#d1495b",
    LinkState.DEAD.value: "#2b2d42",
}


def check_place(path: Path) -> None:
    """Raise ConfigError if no plot can be saved at `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError("out", wanted=f"a file that ends in {', '.join(SUFFIXES)}", got=str(path))
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise ConfigError(
            "out", wanted="a file that can be written", got=f"{path}: {error.strerror}"
        ) from error


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
    for row, kind in enumerate(("motion", "link")):
        for state, spans in _spans(ticks, kind, start_ns).items():
            states.broken_barh(spans, (row - 0.4, 0.8), color=STATE_COLOURS[state], label=state)
    handles, labels = states.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    states.legend(
        unique.values(), unique.keys(), loc="upper center", bbox_to_anchor=(0.5, -0.5), ncols=8, fontsize=8
    )
    states.set_yticks([0, 1], ["motion", "link"])
    states.set_xlabel("time (s)")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def _spans(ticks: Sequence[DemoTick], kind: str, start_ns: int) -> dict[str, list[tuple[float, float]]]:
    """Return state → (begin, length) in seconds, with equal neighbours merged."""
    spans: dict[str, list[tuple[float, float]]] = {}
    begin = 0
    names = [tick.motion if kind == "motion" else tick.link for tick in ticks]
    for i in range(1, len(ticks) + 1):
        if i < len(ticks) and names[i] == names[begin]:
            continue
        last = min(i, len(ticks) - 1)
        seconds = (ticks[last].t_ns - ticks[begin].t_ns) / NS_PER_S
        spans.setdefault(names[begin], []).append(((ticks[begin].t_ns - start_ns) / NS_PER_S, seconds))
        begin = i
    return spans
