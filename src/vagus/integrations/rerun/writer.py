"""Writer of curves, states, pictures and texts into a Rerun recording, on all of its timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import rerun as rr
from rerun.components import ImageFormat

from vagus.clock import NS_PER_S
from vagus.integrations.rerun.entities import (
    CLOUD,
    POLICY_STEP,
    SESSION_TIME,
    WALL_CLOCK,
    camera_path,
    joint_path,
    lane_path,
    slot_path,
)
from vagus.integrations.rerun.slots import CurveSlot
from vagus.types import DepthImage, FloatArray, Image
from vagus.viewing.description import Numbers
from vagus.viewing.palette import BOUND, COMMANDED, FAN, MEASURED, REFUSED, colour_of, rgb_of
from vagus.wire.images import encode_image

__all__ = ["RerunWriter", "Stroke"]

JPEG_QUALITY = 90
OPAQUE = 255
STROKES: Mapping[str, tuple[str, float, str]] = {
    "commanded": (COMMANDED, 2.0, "commanded"),
    "measured": (MEASURED, 2.0, "measured"),
    "lower": (BOUND, 1.0, "lower limit"),
    "upper": (BOUND, 1.0, "upper limit"),
}
"""Curve of a joint → colour, width in points, and its name."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a curve is drawn: colour #rrggbb, width in points, name."""

    colour: str
    width: float
    name: str


class RerunWriter:
    """Writer into one recording stream.

    Args:
        stream: recording stream of Rerun, with a sink.
        began: time of day of second 0; None where not known.
    """

    def __init__(self, stream: rr.RecordingStream, began: datetime | None) -> None:
        self._stream = stream
        self._began_ns = None if began is None else round(began.timestamp() * NS_PER_S)

    def declare_joint(self, name: str) -> None:
        """Say how the curves of a joint are drawn."""
        for curve, (colour, width, told) in STROKES.items():
            self.style(f"{joint_path(name)}/{curve}", Stroke(colour, width, told))

    def declare_slot(self, name: str, slot: CurveSlot) -> None:
        """Say how the chunks of a joint in one slot are drawn."""
        stroke = Stroke(FAN, 1.0, "chunk") if slot.is_merged else Stroke(REFUSED, 1.0, "refused chunk")
        self.style(slot_path(name, slot), stroke)

    def style(self, path: str, stroke: Stroke) -> None:
        """Say how one curve is drawn."""
        lines = rr.SeriesLines(colors=[rgb_of(stroke.colour)], widths=[stroke.width], names=[stroke.name])
        self._stream.log(path, lines, static=True)

    def declare_lane(self, lane: str, states: Sequence[str]) -> None:
        """Say which states a lane has; they have the colours of the other viewers."""
        known = list(dict.fromkeys(states))
        colours = [(*rgb_of(colour_of(state)), OPAQUE) for state in known]
        packed = [red << 24 | green << 16 | blue << 8 | alpha for red, green, blue, alpha in colours]
        colors = np.array(packed, np.uint32)
        configuration = rr.StateConfiguration(values=known, labels=known, colors=colors)
        self._stream.log(lane_path(lane), configuration, static=True)

    def curve(self, path: str, times_s: Numbers, values: Numbers, steps: Numbers) -> None:
        """Write the points of a curve; where a value is NaN, the curve has a gap.

        Args:
            path: entity.
            times_s: (n,) seconds.
            values: (n,).
            steps: (n,) policy steps.
        """
        if not len(times_s):
            return
        is_there = np.isfinite(values)
        columns = rr.Scalars.columns(scalars=values[is_there]).partition(is_there.astype(np.int64))
        self._stream.send_columns(path, self._times(times_s, steps), columns)

    def states(self, lane: str, times_s: Numbers, states: Sequence[str | None], steps: Numbers) -> None:
        """Write the changes of a lane; None: no state from here on."""
        if not states:
            return
        counts = [int(state is not None) for state in states]
        named = [state for state in states if state is not None]
        columns = rr.StateChange.columns(state=named).partition(counts)
        self._stream.send_columns(lane_path(lane), self._times(times_s, steps), columns)

    def texts(self, path: str, times_s: Numbers, texts: Sequence[tuple[str, str]], steps: Numbers) -> None:
        """Write lines of text as (text, level), e.g. "INFO"."""
        if not texts:
            return
        columns = rr.TextLog.columns(text=[text for text, _ in texts], level=[level for _, level in texts])
        self._stream.send_columns(path, self._times(times_s, steps), columns)

    def document(self, path: str, markdown: str) -> None:
        """Write a text that holds for the whole recording."""
        self._stream.log(path, rr.TextDocument(markdown, media_type=rr.MediaType.MARKDOWN), static=True)

    def jpeg(self, camera: str, at_s: float, content: bytes, step: float) -> None:
        """Write a colour frame as the bytes of its JPEG file."""
        columns = rr.EncodedImage.columns(blob=[content], media_type=["image/jpeg"])
        self._stream.send_columns(camera_path(camera), self._time(at_s, step), columns)

    def colour(self, camera: str, at_s: float, image: Image, step: float) -> None:
        """Write a colour frame."""
        self.jpeg(camera, at_s, bytes(encode_image(image, "jpeg", quality=JPEG_QUALITY).data), step)

    def depth(self, camera: str, at_s: float, frame: DepthImage, step: float, units_per_m: float) -> None:
        """Write a depth frame."""
        height, width = frame.shape
        form = ImageFormat(width=width, height=height, channel_datatype=rr.ChannelDatatype.U16)
        content = np.ascontiguousarray(frame).tobytes()
        columns = rr.DepthImage.columns(buffer=[content], format=[form], meter=[units_per_m])
        self._stream.send_columns(camera_path(camera), self._time(at_s, step), columns)

    def cloud(self, at_s: float, points: FloatArray, step: float) -> None:
        """Write points (count, 6): x, y, z in m, then red, green and blue from 0 to 1."""
        colours = np.rint(points[:, 3:].clip(0.0, 1.0) * OPAQUE).astype(np.uint8)
        columns = rr.Points3D.columns(positions=points[:, :3], colors=colours).partition([len(points)])
        self._stream.send_columns(CLOUD, self._time(at_s, step), columns)

    def _times(self, times_s: Numbers, steps: Numbers) -> list[rr.TimeColumn]:
        elapsed_ns = np.round(times_s * NS_PER_S).astype(np.int64)
        columns = [
            rr.TimeColumn(SESSION_TIME, duration=elapsed_ns.astype("timedelta64[ns]")),
            rr.TimeColumn(POLICY_STEP, sequence=np.nan_to_num(steps).astype(np.int64)),
        ]
        if self._began_ns is not None:
            wall_ns = (self._began_ns + elapsed_ns).astype("datetime64[ns]")
            columns.append(rr.TimeColumn(WALL_CLOCK, timestamp=wall_ns))
        return columns

    def _time(self, at_s: float, step: float) -> list[rr.TimeColumn]:
        return self._times(np.array([at_s]), np.array([step]))
