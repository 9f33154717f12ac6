"""Drawing of a recording in a picture file, by matplotlib and without a display."""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vagus.errors import ConfigError
from vagus.import_path import load_brought
from vagus.viewing.description import MOTION_LANE, ChunkFan, Curve, JointTrack, RecordingView
from vagus.viewing.palette import BOUND, COMMANDED, FAN, MEASURED, REFUSED, colour_of, is_dark
from vagus.viewing.spans import for_drawing
from vagus.viewing.thinning import evenly, thinned
from vagus.viewing.thumbnails import Thumbnail, thumbnails_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRAWING_SUFFIXES", "drawing_of"]

DRAWING_SUFFIXES = (".pdf", ".png", ".svg")

MAX_POINTS = 4000
"""Points of one curve; a drawing has fewer columns."""
MAX_FANS = 1500
"""Chunks in one drawing."""
RESOLUTION = 1500
"""Bands shorter than the duration divided by this are joined."""
DPI = 110
WIDTH_IN = 14.0
JOINT_IN, LANE_IN, AGE_IN, CAMERA_IN = 1.4, 0.27, 1.2, 1.15
HEAD_IN = 1.45
"""Height of the text above the curves, inches; the others likewise."""
PER_CAMERA = 9
PICTURE_PX = 192
MAX_LETTERS = 180
MAX_WARNINGS = 5
ROOM = 0.008
"""Width of a letter in a band, of the width of the drawing."""


def drawing_of(view: RecordingView, form: str) -> bytes:
    """Return a drawing as the bytes of a file; `form` is "png", "pdf" or "svg".

    Raises:
        ConfigError: matplotlib is not installed, or a number is too large for it.
    """
    try:
        return _drawn(view, form)
    except (OverflowError, np.linalg.LinAlgError) as error:
        raise ConfigError(
            "a drawing",
            wanted="numbers that can be drawn",
            got=f"some that are too large for it ({error})",
            fix="--html FILE shows them, or take a stretch without them with --begin and --end",
        ) from error


def _drawn(view: RecordingView, form: str) -> bytes:
    thumbnails, warnings = thumbnails_of(view.pictures, most=PER_CAMERA, width=PICTURE_PX)
    layout = _Layout(view, tuple(dict.fromkeys(thumbnail.camera for thumbnail in thumbnails)))
    figure = _new_figure((WIDTH_IN, HEAD_IN + sum(layout.heights_in)))
    axes = figure.subplots(len(layout.heights_in), 1, sharex=True, height_ratios=layout.heights_in)
    rows = iter(np.atleast_1d(axes).tolist())
    for camera in layout.cameras:
        _draw_camera(next(rows), camera, [one for one in thumbnails if one.camera == camera])
    _draw_lanes(next(rows), view)
    _draw_age(next(rows), view)
    for track, axis in zip(view.tracks, rows, strict=False):
        _draw_joint(axis, track, view)
    _label(figure, np.atleast_1d(axes).tolist(), view, warnings)
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, format=form)
    return content.getvalue()


def _new_figure(size_in: tuple[float, float]) -> Figure:
    """Return an empty figure of this width and height in inches.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    module = load_brought("matplotlib.figure", subject="a drawing", extra="view")
    figure: Figure = module.Figure(figsize=size_in, layout="constrained")
    return figure


def _shade(axis: Axes, view: RecordingView) -> None:
    """Shade the times in which the motion is not that of a plan, and mark where episodes begin."""
    for band in for_drawing(view.bands, view.duration_s / RESOLUTION):
        if band.lane == MOTION_LANE and band.state != "playing":
            axis.axvspan(band.begin_s, band.end_s, color=colour_of(band.state), alpha=0.16, linewidth=0)
    for episode in view.episodes:
        if episode.at_s > view.begin_s:
            axis.axvline(episode.at_s, color="#333333", linewidth=0.8, linestyle=":")


@dataclass(frozen=True, slots=True)
class _Layout:
    view: RecordingView
    cameras: tuple[str, ...]

    @property
    def heights_in(self) -> list[float]:
        """Heights of the rows: cameras, lanes, age, joints."""
        lanes = len(self.view.lanes) + 1
        joints = [JOINT_IN] * len(self.view.tracks)
        return [*[CAMERA_IN] * len(self.cameras), LANE_IN * (lanes + 0.6), AGE_IN, *joints]


def _draw_camera(axis: Axes, camera: str, thumbnails: Sequence[Thumbnail]) -> None:
    """Draw frames beside each other, each with its time."""
    axis.set_ylim(0.0, 1.0)
    axis.set_yticks([])
    axis.set_ylabel(f"{camera}\n(camera)", rotation=0, ha="right", va="center")
    count = len(thumbnails)
    for place, thumbnail in enumerate(thumbnails):
        left = place / max(count, PER_CAMERA)
        inset = axis.inset_axes((left, 0.18, 1 / PER_CAMERA * 0.97, 0.82))
        inset.imshow(thumbnail.image, interpolation="antialiased")
        inset.set_axis_off()
        axis.text(
            left + 0.5 / PER_CAMERA,
            0.1,
            f"{thumbnail.at_s:.2f} s",
            transform=axis.transAxes,
            ha="center",
            va="center",
            fontsize=8,
        )
    axis.tick_params(bottom=False)
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)


def _draw_lanes(axis: Axes, view: RecordingView) -> None:
    lanes = [*view.lanes, "chunks"]
    for band in for_drawing(view.bands, view.duration_s / RESOLUTION):
        row, length = lanes.index(band.lane), band.end_s - band.begin_s
        colour = colour_of(band.state)
        axis.broken_barh([(band.begin_s, length)], (row - 0.42, 0.84), facecolor=colour, linewidth=0)
        if row < len(lanes) - 1 and length > len(band.state) * ROOM * view.duration_s:
            ink = "white" if is_dark(colour) else "black"
            text = f" {band.state}"
            axis.text(band.begin_s, row, text, va="center", fontsize=8, color=ink, clip_on=True)
    for is_merged, marker, colour in ((True, "|", FAN), (False, "x", REFUSED)):
        times = [fan.arrived_s for fan in view.fans if fan.is_merged is is_merged]
        axis.plot(times, [len(lanes) - 1] * len(times), marker, color=colour, markersize=6)
    for episode in view.episodes:
        axis.text(episode.at_s, -0.55, f" episode {episode.number}", fontsize=8, va="bottom", clip_on=True)
        axis.axvline(episode.at_s, color="#333333", linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(lanes)), lanes)
    axis.set_ylim(len(lanes) - 0.4, -1.2)


def _draw_age(axis: Axes, view: RecordingView) -> None:
    _shade(axis, view)
    age, latency = thinned(view.age, MAX_POINTS), thinned(view.latency, MAX_POINTS)
    _draw_curve(axis, age, "#333333", 1.0, "age of the action")
    axis.plot(latency.times_s, latency.values, ".", color=COMMANDED, markersize=4, label="latency of a chunk")
    oldest = max((number for number in age.values.tolist() if math.isfinite(number)), default=0.0)
    if view.max_age_ms is not None and oldest > 0.4 * view.max_age_ms:
        label = f"oldest that is commanded ({view.max_age_ms:g} ms)"
        axis.axhline(view.max_age_ms, color=colour_of("fallback"), linestyle="--", linewidth=1.0, label=label)
    axis.set_ylim(bottom=0.0)
    axis.set_ylabel("age (ms)", rotation=0, ha="right", va="center")
    if len(age) or len(latency):
        axis.legend(loc="upper right", fontsize=7, ncols=3)


def _draw_joint(axis: Axes, track: JointTrack, view: RecordingView) -> None:
    _shade(axis, view)
    if track.column is not None:
        for fan in evenly(view.fans, MAX_FANS):
            _draw_fan(axis, fan, track.column)
    for curve, colour in ((track.measured, MEASURED), (track.commanded, COMMANDED)):
        if curve is not None:
            _draw_curve(axis, thinned(curve, MAX_POINTS), colour, 1.2)
    low, high = axis.get_ylim()
    for bound in (track.lower, track.upper):
        if bound is not None and low <= bound <= high:
            axis.axhline(bound, color=BOUND, linestyle="--", linewidth=0.9)
    axis.set_ylim(low, high)
    unit = f"({track.unit})" if track.unit else "(unit not stated)"
    axis.set_ylabel(f"{track.name}\n{unit}", rotation=0, ha="right", va="center")
    axis.grid(color="#eceff1", linewidth=0.6)


def _draw_curve(axis: Axes, curve: Curve, colour: str, width: float, label: str | None = None) -> None:
    """Draw a curve; a number between two gaps, which has no line, is a dot."""
    axis.plot(curve.times_s, curve.values, color=colour, linewidth=width, label=label)
    is_there = np.isfinite(curve.values)
    has_neighbour = np.zeros_like(is_there)
    has_neighbour[1:] |= is_there[:-1]
    has_neighbour[:-1] |= is_there[1:]
    alone = is_there & ~has_neighbour
    axis.plot(curve.times_s[alone], curve.values[alone], ".", color=colour, markersize=2.5 * width)


def _draw_fan(axis: Axes, fan: ChunkFan, column: int) -> None:
    if column >= fan.values.shape[1]:
        return
    colour, style = (FAN, "-") if fan.is_merged else (REFUSED, "--")
    axis.plot(fan.times_s, fan.values[:, column], color=colour, linestyle=style, linewidth=0.9, alpha=0.8)


def _label(figure: Figure, axes: Sequence[Axes], view: RecordingView, warnings: Sequence[str]) -> None:
    """Write the title, the facts, the warnings, the key of the curves and the time."""
    facts = "   ".join(f"{label}: {text}" for label, text in view.facts)
    lines = [
        *_wrapped(facts, MAX_LETTERS),
        *(f"! {warning}" for warning in (*view.warnings, *warnings)[:MAX_WARNINGS]),
    ]
    title = "\n".join([_cut(line) for line in (view.title, *lines)])
    figure.suptitle(title.replace("$", r"\$"), fontsize=9, ha="left", x=0.01)
    axes[-1].set_xlabel("time (s)")
    axes[-1].set_xlim(view.begin_s, max(view.end_s, view.begin_s + 1e-3))
    key = {"commanded": (COMMANDED, "-"), "measured": (MEASURED, "-")}
    if view.fans:
        key["chunks, as predicted"] = (FAN, "-")
    if any(not fan.is_merged for fan in view.fans):
        key["chunks that were refused"] = (REFUSED, "--")
    lines_module = importlib.import_module("matplotlib.lines")
    handles = [
        lines_module.Line2D([], [], color=colour, linestyle=style, label=label)
        for label, (colour, style) in key.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def _wrapped(text: str, most: int) -> list[str]:
    lines, line = [], ""
    for fact in text.split("   "):
        if line and len(line) + len(fact) > most:
            lines.append(line)
            line = ""
        line = f"{line}   {fact}" if line else fact
    return [*lines, line]
