"""View of a debug folder: points, pictures and joints that a policy was asked with, and what it answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vagus.errors import ConfigError, ProtocolError
from vagus.quoting import quoted
from vagus.recording.exchange_files import (
    ToldExchange,
    exchange_folders,
    load_image,
    load_points,
    load_told,
)
from vagus.viewing.description import (
    ANSWERED,
    ChunkFan,
    Cloud,
    Curve,
    JointTrack,
    Numbers,
    Picture,
    RecordingView,
    due_times,
)

__all__ = ["view_of_exchanges"]

CAMERA = "image"
POSE = ("x", "y", "z")
_PERIOD_S = 1.0
"""Time between two exchanges where they do not say their time."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    folder: Path
    told: ToldExchange


def view_of_exchanges(folder: Path) -> RecordingView:
    """Return the view of a debug folder.

    Raises:
        ConfigError: none of its exchanges can be read.
    """
    found, failures = _read(folder)
    if not found:
        raise ConfigError("path", wanted="exchanges that can be read", got=f"none in {folder}: {failures[0]}")
    times_s = _times(found)
    fans = tuple(_fans(found, times_s))
    lost = (f"{len(failures)} exchanges cannot be shown, the first: {failures[0]}",) if failures else ()
    return RecordingView(
        title=f"exchanges in {folder.name}",
        facts=tuple(_facts(found)),
        warnings=lost,
        begin_s=0.0,
        end_s=max([float(times_s[-1]), *(float(fan.times_s[-1]) for fan in fans)]),
        began=found[0].told.at,
        tracks=tuple(_tracks(found, times_s)),
        fans=fans,
        bands=(),
        episodes=(),
        age=Curve(np.zeros(0), np.zeros(0)),
        max_age_ms=None,
        latency=Curve(np.zeros(0), np.zeros(0)),
        steps=Curve(times_s, np.array([float(one.told.step) for one in found])),
        pictures=tuple(
            Picture(CAMERA, "colour", at_s, partial(load_image, one.folder))
            for one, at_s in zip(found, times_s.tolist(), strict=True)
        ),
        clouds=tuple(
            Cloud(at_s, partial(load_points, one.folder))
            for one, at_s in zip(found, times_s.tolist(), strict=True)
        ),
    )


def _read(folder: Path) -> tuple[list[_Exchange], list[str]]:
    """Return the exchanges of the arm that was there last, and why others cannot be shown."""
    found: list[_Exchange] = []
    failures: list[str] = []
    for path in exchange_folders(folder):
        told = _told(path)
        if isinstance(told, str):
            failures.append(told)
        else:
            found.append(_Exchange(path, told))
    last = len(found[-1].told.state) if found else 0
    others = [one.folder for one in found if len(one.told.state) != last]
    failures += [f"{path}: another number of joints than the last exchange has" for path in others]
    return [one for one in found if len(one.told.state) == last], failures


def _told(folder: Path) -> ToldExchange | str:
    """Return what was asked and answered, or why it cannot be read."""
    try:
        return load_told(folder)
    except (ProtocolError, OSError) as error:
        return quoted(error)


def _times(found: Sequence[_Exchange]) -> Numbers:
    """Return the times of the exchanges in s, not decreasing; a second each where one does not say it."""
    began = found[0].told.at
    times = [one.told.at for one in found]
    if began is None or any(at is None or (at.tzinfo is None) != (began.tzinfo is None) for at in times):
        return np.arange(len(found), dtype=np.float64) * _PERIOD_S
    elapsed = [(at - began).total_seconds() for at in times if at is not None]
    rising: Numbers = np.maximum.accumulate(np.array(elapsed))
    return rising


def _facts(found: Sequence[_Exchange]) -> Iterator[tuple[str, str]]:
    counts = Counter("refused" if one.told.joints is None else "answered" for one in found)
    yield "exchanges", ", ".join(f"{count} {what}" for what, count in counts.most_common())
    cut = sum(one.told.refused is not None and one.told.joints is not None for one in found)
    if cut:
        yield "cut before a pose that was refused", str(cut)
    last = next((one.told.refused for one in reversed(found) if one.told.refused), None)
    if last:
        yield "last refusal", quoted(last, 200)
    tasks = dict.fromkeys(one.told.task for one in found)
    yield "instruction", "; ".join(text for text in tasks if text) or "none"


def _tracks(found: Sequence[_Exchange], times_s: Numbers) -> Iterator[JointTrack]:
    """Yield the joints, then the place of the gripper."""
    told = found[-1].told
    states = _table([one.told.state for one in found])
    for column in range(states.shape[1]):
        name = told.names[column] if column < len(told.names) else f"joint {column + 1}"
        unit = told.units[column] if column < len(told.units) else ""
        yield JointTrack(name, unit, column, None, Curve(times_s, states[:, column]))
    if all(len(one.told.pose) >= len(POSE) for one in found):
        places = _table([one.told.pose[: len(POSE)] for one in found])
        for column, name in enumerate(POSE):
            yield JointTrack(f"gripper {name}", "m", None, None, Curve(times_s, places[:, column]))


def _fans(found: Sequence[_Exchange], times_s: Numbers) -> Iterator[ChunkFan]:
    for number, (one, at_s) in enumerate(zip(found, times_s.tolist(), strict=True)):
        told = one.told
        if not told.joints or not told.rate_hz > 0.0:
            continue
        yield ChunkFan(
            seq=number,
            epoch=None,
            episode=0,
            step=told.step,
            captured_s=at_s,
            arrived_s=at_s,
            times_s=due_times(at_s, len(told.joints), told.rate_hz),
            values=_table(told.joints),
            outcome=ANSWERED,
        )


def _table(rows: Sequence[Sequence[float | None]]) -> Numbers:
    """Return rows of numbers, NaN where there is none."""
    return np.array([[np.nan if number is None else number for number in row] for row in rows], np.float64)
