"""Content of the page of a recording: numbers for its script, few enough for a browser (pure).

Lists of numbers are [times], [values]; null: nothing was there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from vagus.viewing.description import ChunkFan, Curve, JointTrack, Numbers, RecordingView
from vagus.viewing.palette import BOUND, COMMANDED, FAN, MEASURED, REFUSED, colour_of
from vagus.viewing.spans import for_drawing
from vagus.viewing.thinning import evenly, thinned

__all__ = ["PageContent", "content_of"]

PageContent: TypeAlias = (
    "bool | int | float | str | list[PageContent] | tuple[PageContent, ...] | dict[str, PageContent] | None"
)

MAX_POINTS = 160_000
"""Points of all curves together."""
MAX_CURVE = 6000
"""Points of one curve: more than a screen has columns, so that a zoom shows more."""
LEAST_CURVE = 300
MAX_FAN_NUMBERS = 300_000
"""Numbers of all fans together."""
MAX_FAN_POINTS = 24
"""Points of one fan."""
RESOLUTION = 4000
"""Bands shorter than the duration divided by this are joined."""
_DIGITS = 5
"""Digits of a number, of the range of its curve."""


def content_of(view: RecordingView) -> dict[str, PageContent]:
    """Return the content of a view's page, without its pictures."""
    curves = 3 + sum((track.commanded is not None) + (track.measured is not None) for track in view.tracks)
    most = max(min(MAX_POINTS // curves, MAX_CURVE), LEAST_CURVE)
    fans = _chosen(view.fans, len(view.tracks))
    return {
        "title": view.title,
        "facts": [[label, text] for label, text in view.facts],
        "warnings": [*view.warnings],
        "begin": _rounded(view.begin_s),
        "end": _rounded(view.end_s),
        "began": view.began.isoformat() if view.began else None,
        "tracks": [_track(track, most) for track in view.tracks],
        "fans": [_fan(fan, view.tracks) for fan in fans],
        "fans_of": len(view.fans),
        "lanes": [*view.lanes],
        "bands": [
            [view.lanes.index(band.lane), band.state, _rounded(band.begin_s), _rounded(band.end_s)]
            for band in for_drawing(view.bands, view.duration_s / RESOLUTION)
        ],
        "episodes": [[episode.number, _rounded(episode.at_s)] for episode in view.episodes],
        "age": _curve(view.age, most),
        "max_age": view.max_age_ms,
        "latency": _curve(view.latency, most),
        "steps": _curve(view.steps, most),
        "colours": {
            "commanded": COMMANDED,
            "measured": MEASURED,
            "fan": FAN,
            "refused": REFUSED,
            "bound": BOUND,
            "states": {band.state: colour_of(band.state) for band in view.bands},
        },
    }


def _track(track: JointTrack, most: int) -> dict[str, PageContent]:
    return {
        "name": track.name,
        "unit": track.unit,
        "column": track.column,
        "commanded": None if track.commanded is None else _curve(track.commanded, most),
        "measured": None if track.measured is None else _curve(track.measured, most),
        "lower": track.lower,
        "upper": track.upper,
    }


def _curve(curve: Curve, most: int) -> list[PageContent]:
    drawn = thinned(curve, most)
    return [_times(drawn.times_s), _list(drawn.values)]


def _chosen(fans: Sequence[ChunkFan], columns: int) -> list[ChunkFan]:
    """Return as many fans as a page can have, spread evenly over those merged and over those refused."""
    points = max((min(len(fan.times_s), MAX_FAN_POINTS) for fan in fans), default=1)
    most = max(MAX_FAN_NUMBERS // (points * max(columns, 1)), 2)
    refused = evenly([fan for fan in fans if not fan.is_merged], max(most // 3, 1))
    merged = evenly([fan for fan in fans if fan.is_merged], max(most - len(refused), 1))
    return sorted((*merged, *refused), key=lambda fan: fan.arrived_s)


def _fan(fan: ChunkFan, tracks: Sequence[JointTrack]) -> dict[str, PageContent]:
    places = evenly(range(len(fan.times_s)), MAX_FAN_POINTS)
    columns = [track.column for track in tracks if track.column is not None]
    values = [
        _list(fan.values[[*places], column]) if column < fan.values.shape[1] else [] for column in columns
    ]
    return {
        "seq": fan.seq,
        "episode": fan.episode,
        "step": fan.step,
        "captured": _rounded(fan.captured_s),
        "arrived": _rounded(fan.arrived_s),
        "outcome": fan.outcome,
        "merged": fan.is_merged,
        "length": len(fan.times_s),
        "times": _times(fan.times_s[[*places]]),
        "values": [*values],
    }


def _times(times_s: Numbers) -> list[PageContent]:
    return [*np.round(times_s, 4).tolist()]


def _list(numbers: Numbers) -> list[PageContent]:
    """Return numbers with as many digits as their range needs; None for what is not finite."""
    finite = [number for number in numbers.tolist() if math.isfinite(number)]
    span = max(finite, default=0.0) - min(finite, default=0.0)
    greatest = span or max(map(abs, finite), default=0.0)
    digits = _DIGITS - (math.ceil(math.log10(greatest)) if greatest else 0)
    rounded = np.round(numbers, min(max(digits, 0), 12))
    return [number if math.isfinite(number) else None for number in rounded.tolist()]


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
