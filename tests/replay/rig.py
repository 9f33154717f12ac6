"""A folder of captures of a real server on a network in memory."""

from __future__ import annotations

from pathlib import Path

from server.raw_client import Stand, serving
from vagus.server.config import ServeConfig

MODEL = "counting"


def captured(folder: Path, **settings: object) -> Path:
    """Return a folder with the captures of two robots: three episodes, refusals, and a request undone."""
    config = ServeConfig(warm_up=False, capture_dir=folder, capture_every=1, model=MODEL, **settings)  # type: ignore[arg-type]
    with serving(config) as stand:
        ask(stand, "one", [1.0, 2.0, 3.0])
        ask(stand, "two", [4.0, -4.0, float("nan")], episode=2)
    return folder


def ask(stand: Stand, name: str, states: list[float], *, episode: int = 0) -> None:
    client = stand.opened(name)
    for state in states:
        client.ask(state, episode=episode)
    client.reset(episode + 1)
    client.ask(states[0], episode=episode + 1)
    client.close()
