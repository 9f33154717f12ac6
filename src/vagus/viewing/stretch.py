"""A stretch of a recording, in all the detail that it has (pure)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vagus.errors import ConfigError
from vagus.viewing.description import Curve, JointTrack, RecordingView

__all__ = ["stretch_of"]


def stretch_of(view: RecordingView, begin_s: float | None, end_s: float | None) -> RecordingView:
    """Return the view between two times; None: from its begin, to its end.

    Raises:
        ConfigError: nothing of the recording lies between them.
    """
    begin = view.begin_s if begin_s is None else max(begin_s, view.begin_s)
    end = view.end_s if end_s is None else min(end_s, view.end_s)
    if (begin, end) == (view.begin_s, view.end_s):
        return view
    if not begin < end:
        raise ConfigError(
            "begin and end",
            wanted=f"a stretch of the recording, which goes from {view.begin_s:g} to {view.end_s:.2f} s",
            got=f"{'its begin' if begin_s is None else f'{begin_s:g}'} to "
            f"{'its end' if end_s is None else f'{end_s:g}'}",
        )
    bands = (b for b in view.bands if b.end_s >= begin and b.begin_s <= end)
    return replace(
        view,
        begin_s=begin,
        end_s=end,
        tracks=tuple(_track(track, begin, end) for track in view.tracks),
        fans=tuple(fan for fan in view.fans if fan.times_s[-1] >= begin and fan.captured_s <= end),
        bands=tuple(
            replace(band, begin_s=max(band.begin_s, begin), end_s=min(band.end_s, end)) for band in bands
        ),
        episodes=tuple(episode for episode in view.episodes if begin <= episode.at_s <= end),
        age=_curve(view.age, begin, end),
        latency=_curve(view.latency, begin, end),
        steps=_curve(view.steps, begin, end),
        pictures=tuple(picture for picture in view.pictures if begin <= picture.at_s <= end),
        clouds=tuple(cloud for cloud in view.clouds if begin <= cloud.at_s <= end),
    )


def _track(track: JointTrack, begin_s: float, end_s: float) -> JointTrack:
    commanded, measured = track.commanded, track.measured
    return replace(
        track,
        commanded=None if commanded is None else _curve(commanded, begin_s, end_s),
        measured=None if measured is None else _curve(measured, begin_s, end_s),
    )


def _curve(curve: Curve, begin_s: float, end_s: float) -> Curve:
    first, last = np.searchsorted(curve.times_s, (begin_s, np.nextafter(end_s, np.inf))).tolist()
    return Curve(curve.times_s[first:last], curve.values[first:last])
