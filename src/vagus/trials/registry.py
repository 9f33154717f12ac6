"""Worlds by name. The module of a world is imported only when the world is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import numpy as np

from vagus.errors import ConfigError, VagusError
from vagus.import_path import Option, check_options, construct, load_brought, load_named
from vagus.quoting import quoted
from vagus.specs import RobotSpec
from vagus.trials.world import World
from vagus.types import FloatArray

__all__ = ["GYM", "WORLDS", "world_maker"]

WORLDS: Mapping[str, str] = {"gates": "vagus.demo.gates_trial:GatesTrial"}
"""Name → module:class of a world that vagus brings."""
GYM = "gym:"
GYM_WORLD = "vagus.integrations.gymnasium.world"
NEEDED = (
    "spec",
    "max_steps",
    "chances",
    "reset",
    "state",
    "images",
    "advance",
    "is_over",
    "successes",
    "close",
)


def world_maker(name: str, options: Mapping[str, Option]) -> Callable[[], World]:
    """Return what makes one world after another; one was made and closed, to see that it works.

    Args:
        name: "gates", "gym:<environment id>", or a class of your own ("file.py:Class").
        options: settings of the world.

    Raises:
        ConfigError: an unknown name, a missing extra, a setting that it does not take, a world whose episodes
            may never end, or an object that is no world.
    """
    make = _maker(name, options)
    world = make()
    try:
        _check_world(name, world)
    finally:
        if hasattr(world, "close"):
            world.close()
    return make


def _maker(name: str, options: Mapping[str, Option]) -> Callable[[], World]:
    subject = f"world {name!r}"
    if name in WORLDS:
        check_options(subject, options, frozenset())
        place, _, attribute = WORLDS[name].partition(":")
        return cast("Callable[[], World]", getattr(importlib.import_module(place), attribute))
    if name.startswith(GYM):
        make = load_brought(GYM_WORLD, subject=subject, extra="gym").make_gym_world
        return partial(make, name.removeprefix(GYM), options)
    if ":" not in name:
        choices = f"{', '.join(sorted(WORLDS))}, {GYM}<environment id>, or your own as file.py:Class"
        raise ConfigError("world", wanted=choices, got=repr(name))
    _, found = load_named("world", name)
    if not callable(found):
        raise ConfigError(subject, wanted="a class, or a function that makes a world", got=repr(found))
    return partial(construct, subject, found, options)


def _check_world(name: str, world: World) -> None:
    """Raise ConfigError unless an object is a world whose episodes end, the same ones for the same seeds."""
    subject = f"world {name!r}"
    lacking = [part for part in NEEDED if not _has(world, part)]
    if lacking:
        got = f"none of {', '.join(lacking)}"
        raise ConfigError(subject, wanted="what vagus.trials.world.World has", got=got)
    if not isinstance(world.spec, RobotSpec):
        raise ConfigError(subject, wanted="a RobotSpec as spec", got=type(world.spec).__name__)
    for what, fix in (("max_steps", "an episode must end at some time"), ("chances", "")):
        value = getattr(world, what)
        if not isinstance(value, int) or value < 1:
            raise ConfigError(subject, wanted=f"{what} of 1 or more", got=repr(value), fix=fix)
    first, _, again = (_begun(subject, world, seed) for seed in (0, 1, 0))
    if not np.array_equal(first, again, equal_nan=True):
        raise ConfigError(
            subject,
            wanted="the same episode for the same seed, so that the ways of playing are compared in pairs",
            got="two episodes of seed 0 that begin differently",
        )


def _has(world: World, part: str) -> bool:
    """Return whether a world has a part, without asking it: before the first reset it may not know."""
    try:
        inspect.getattr_static(world, part)
    except AttributeError:
        return hasattr(world, part)
    return True


def _begun(subject: str, world: World, seed: int) -> FloatArray:
    """Return the state at the begin of the episode of a seed.

    Raises:
        ConfigError: the world fails.
    """
    try:
        world.reset(seed)
        return np.array(world.state())
    except VagusError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {quoted(error)}"
        raise ConfigError(subject, wanted="a world that can be reset", got=got) from error
