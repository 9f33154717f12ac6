"""Loader of a recorded episode, from whatever holds it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

from vagus.errors import ConfigError
from vagus.import_path import load_brought
from vagus.recording.episode import RecordedEpisode
from vagus.recording.reader import read
from vagus.recording.session import RecordedSession
from vagus.replay.capture_rows import capture_episode
from vagus.replay.captures import read_captures
from vagus.replay.place import Place, PlaceKind, kind_of
from vagus.replay.session_rows import choose_episode, episodes_of, rows_by_step, rows_by_tick

__all__ = ["load_steps", "load_ticks"]

DATASET_READER = "vagus.integrations.lerobot.dataset.reader"

logger = logging.getLogger(__name__)


def load_steps(place: Place) -> RecordedEpisode:
    """Return an episode with a row per policy step: the named one, or the first.

    Raises:
        ConfigError: nothing that can be played is there, or LeRobot is not installed.
        ProtocolError: a file of it is damaged.
    """
    match kind_of(place.path):
        case PlaceKind.CAPTURES:
            return capture_episode(read_captures(place.path), place.episode)
        case PlaceKind.DATASET:
            return _dataset_episode(place)
        case PlaceKind.SESSION:
            session = _read(place)
            there = episodes_of(session)
            if place.episode is None and len(there) > 1:
                logger.info("%s has %d episodes; the first is played", place.path, len(there))
            return rows_by_step(session, choose_episode(there, place.episode, str(place.path)))


def load_ticks(place: Place) -> tuple[RecordedEpisode, ...]:
    """Return the episodes with a row per command: the named one, or all.

    Raises:
        ConfigError: no observations are there, or LeRobot is not installed.
        ProtocolError: a file of it is damaged.
    """
    match kind_of(place.path):
        case PlaceKind.CAPTURES:
            raise ConfigError(
                "robot",
                wanted="a recorded session or a LeRobot dataset",
                got=f"captures of a server ({place.path}), which hold no tick-by-tick state",
                fix=f"vagus replay {place.path} sends them to a server",
            )
        case PlaceKind.DATASET:
            return (_dataset_episode(place),)
        case PlaceKind.SESSION:
            session = _read(place)
            there = episodes_of(session)
            chosen = there if place.episode is None else (choose_episode(there, place.episode, str(place)),)
            return tuple(rows_by_tick(session, number) for number in chosen)


def _read(place: Place) -> RecordedSession:
    session = read(place.path)
    for warning in session.warnings:
        logger.warning("%s: %s", place.path, warning)
    return session


def _dataset_episode(place: Place) -> RecordedEpisode:
    module = load_brought(DATASET_READER, subject=f"dataset {place.path}", extra="lerobot")
    reader = cast("Callable[[Path, int], RecordedEpisode]", module.read_dataset_episode)
    return reader(place.path, place.episode or 0)
