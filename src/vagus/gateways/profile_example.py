"""Example of a profile: its conversions, and what a request and a reply look like on its wire (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import WirePath
from vagus.gateways.profile import Profile
from vagus.gateways.unit_conversion import Conversion, conversion_of
from vagus.gateways.wire_mapping import WireMapping

__all__ = ["ProfileExample", "SentValue", "example_of"]

INSTRUCTION = "pick up the cup"


@dataclass(frozen=True, slots=True)
class SentValue:
    """One value on the wire.

    Attributes:
        key: keys from the outermost map to it.
        dtype: element type of an array; "text" for an instruction.
        shape: shape of an array; empty for an instruction.
    """

    key: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProfileExample:
    """What a profile comes to.

    Attributes:
        state: conversion of each span of the state.
        actions: conversion of each span of the actions.
        request: values of a request with every picture, without axes for batch and time.
        reply: arrays of a reply that is as long as the horizon, likewise.
    """

    state: tuple[Conversion, ...]
    actions: tuple[Conversion, ...]
    request: tuple[SentValue, ...]
    reply: tuple[SentValue, ...]


def example_of(profile: Profile) -> ProfileExample:
    """Return what `profile` comes to; request and reply are made as they are for a robot.

    Raises:
        SpecError: as `WireMapping`.
    """
    mapping = WireMapping(profile)
    spec = mapping.robot_spec
    state = np.zeros(len(spec.state), np.float32)
    images = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in spec.cameras}
    chunk = np.zeros((profile.horizon, len(spec.actions)), np.float32)
    actions: dict[WirePath, Value] = {
        (name,): each for name, each in mapping.actions_to(chunk, state).items()
    }
    return ProfileExample(
        state=tuple(map(conversion_of, profile.state)),
        actions=tuple(map(conversion_of, profile.actions)),
        request=_sent(mapping.observation_to(state, images, INSTRUCTION)),
        reply=_sent(actions),
    )


def _sent(values: Mapping[WirePath, Value]) -> tuple[SentValue, ...]:
    return tuple(
        SentValue(
            tuple(map(str, path)),
            value.dtype.name if isinstance(value, np.ndarray) else "text",
            value.shape if isinstance(value, np.ndarray) else (),
        )
        for path, value in values.items()
    )
