"""What is recognised, by module. A module of an integration is imported only when somebody searches."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, cast

from vagus.gateways.recognition.findings import Recognised, Recogniser
from vagus.transport.plain_link import PlainLink

__all__ = ["OverZenoh", "recognisers", "recognisers_over_zenoh"]

OverZenoh: TypeAlias = Callable[[PlainLink, str], Iterable[Recognised]]
"""Asks whoever is on a network of Zenoh what it is; raises LinkError if the network goes away.

The text is the path of the address: a name of what is served, where no token tells it; "": none."""

PLACES: Final = (
    "vagus.integrations.openpi.recognition",
    "vagus.integrations.gr00t.recognition",
    "vagus.integrations.lerobot_grpc.recognition",
    "vagus.gateways.recognition.pointact",
    "vagus.gateways.recognition.astribot",
    "vagus.gateways.recognition.rest",
)
"""Modules with `RECOGNISERS`; none of them needs more than the base package."""
PLACES_OVER_ZENOH: Final = ("vagus.integrations.lerobot_zenoh.recognition",)
"""Modules with `OVER_ZENOH`; likewise."""


def recognisers() -> Iterator[Recogniser]:
    """Yield the recognisers of protocols over sockets."""
    for place in PLACES:
        yield from cast("tuple[Recogniser, ...]", importlib.import_module(place).RECOGNISERS)


def recognisers_over_zenoh() -> Iterator[OverZenoh]:
    """Yield the recognisers of foreign protocols over Zenoh."""
    for place in PLACES_OVER_ZENOH:
        yield from cast("tuple[OverZenoh, ...]", importlib.import_module(place).OVER_ZENOH)
