"""Pickles of LeRobot's own classes where LeRobot is not installed, and the bytes that LeRobot 0.6.1 sent."""

from __future__ import annotations

import pickle  # noqa: TID251 - what a peer does; only bytes of the test itself are loaded
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vagus.integrations.lerobot_grpc.messages import HelpersModule

__all__ = ["golden", "pickled", "stand_ins"]

_FOLDER = Path(__file__).parent / "integrations" / "lerobot_grpc" / "golden"


def golden(name: str) -> bytes:
    """Return what a real RobotClient or PolicyServer put on the wire."""
    return (_FOLDER / name).read_bytes()


class _Stood:
    """An object with fields and nothing else, as a dataclass of LeRobot is for pickle."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


@contextmanager
def stand_ins(module: HelpersModule) -> Iterator[dict[str, type[_Stood]]]:
    """Have classes of LeRobot's names at the place where a peer has them, as long as this lasts."""
    parents = module.value.split(".")
    places = [".".join(parents[: at + 1]) for at in range(len(parents))]
    before = {place: sys.modules.get(place) for place in places}
    made = {
        name: type(name, (_Stood,), {"__module__": module.value})
        for name in ("RemotePolicyConfig", "TimedObservation", "TimedAction")
    }
    for place in places:
        sys.modules[place] = types.ModuleType(place)
    vars(sys.modules[module.value]).update(made)
    try:
        yield made
    finally:
        for place, had in before.items():
            sys.modules.pop(place)
            if had is not None:
                sys.modules[place] = had


def pickled(
    name: str,
    fields: Mapping[str, object],
    *,
    protocol: int = 4,
    module: HelpersModule = HelpersModule.SINCE_0_4,
) -> bytes:
    """Return an object of LeRobot's class `name` as Python pickles it."""
    with stand_ins(module) as classes:
        return pickle.dumps(classes[name](**fields), protocol)
