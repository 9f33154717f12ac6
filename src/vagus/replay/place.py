"""Places of recorded data, as a user names them: a path, and perhaps an episode in it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import ConfigError
from vagus.recording.reader import read
from vagus.replay.captures import has_captures

__all__ = ["Place", "PlaceKind", "kind_of", "parse_place"]

EPISODE = re.compile(r"(?P<path>.+)#episode=(?P<episode>\d{1,9})")
WANTED = (
    "a recorded session (a folder with metadata.json and steps.jsonl, or an .mcap file), captures of a "
    "server (a folder of *.capture) or a LeRobot dataset (a folder with meta/info.json)"
)


class PlaceKind(enum.Enum):
    """Kind of recorded data."""

    SESSION = "session"
    CAPTURES = "captures"
    DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class Place:
    """Recorded data.

    Attributes:
        path: folder or file.
        episode: number of the episode that is meant; None: not said.
    """

    path: Path
    episode: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.episode is None else f"{self.path}#episode={self.episode}"


def parse_place(text: str) -> Place:
    """Return the place that a text names: PATH, or PATH#episode=3.

    Raises:
        ConfigError: no path, or something else after a "#".
    """
    found = EPISODE.fullmatch(text)
    if found is not None:
        return Place(Path(found["path"]), int(found["episode"]))
    path = Path(text)
    if not text or ("#" in text and not path.exists()):
        raise ConfigError("replay", wanted="PATH, or PATH#episode=3", got=repr(text))
    return Place(path)


def kind_of(path: Path) -> PlaceKind:
    """Return what is recorded at a path.

    Raises:
        ConfigError: it is nothing that can be replayed.
    """
    if has_captures(path):
        return PlaceKind.CAPTURES
    if (path / "meta" / "info.json").is_file():
        return PlaceKind.DATASET
    if not path.exists():
        raise ConfigError("replay", wanted=WANTED, got=f"{path}, which does not exist")
    try:
        read(path)
    except ConfigError as error:
        if error.fix or not path.is_dir():
            raise ConfigError("replay", wanted=WANTED, got=error.got, fix=error.fix) from error
        raise ConfigError("replay", wanted=WANTED, got=f"{path}, which holds none of these") from error
    return PlaceKind.SESSION
