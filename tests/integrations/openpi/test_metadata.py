"""Metadata of our own gateway, compared with the profile of a client."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

import pytest

from vagus.errors import ConfigError
from vagus.gateways.msgpack import Key, Value, ValueMap
from vagus.gateways.profile_file import load_profile
from vagus.integrations.openpi.metadata import check_metadata

PROFILE: Final = load_profile("droid", "openpi")
ACTIONS: Final = ("actions",)
PICTURE: Final = ("observation", "/".join(PROFILE.images[0].key))
STATE: Final = ("observation", "/".join(PROFILE.state[0].key))


def fields(key: str) -> tuple[list[Value], list[Value]]:
    """Return names and wire units of the numbers at `key`."""
    spans = [span for span in (*PROFILE.actions, *PROFILE.state) if "/".join(span.key) == key]
    names: list[Value] = [name for span in spans for name in span.names]
    units: list[Value] = [span.wire_unit or span.unit for span in spans for _ in span.names]
    return names, units


def said(change: Callable[[ValueMap], None] | None = None) -> dict[Key, Value]:
    """Return what a gateway with this profile says, changed."""

    def array(key: str) -> ValueMap:
        names, units = fields(key)
        return {"shape": [len(names)], "dtype": "float32", "names": names, "units": units}

    image = PROFILE.images[0]
    own: ValueMap = {
        "rate_hz": PROFILE.rate_hz,
        "observation": {
            PICTURE[1]: {"shape": list(image.shape), "dtype": "uint8", "color": "RGB"},
            STATE[1]: array(STATE[1]),
        },
        "actions": array("actions"),
    }
    own = copy.deepcopy(own)
    if change is not None:
        change(own)
    return {"vagus": own}


def inner(own: ValueMap, path: tuple[str, ...]) -> ValueMap:
    """Return the map at `path`."""
    at: Value = own
    for key in path:
        assert isinstance(at, dict)
        at = at[key]
    assert isinstance(at, dict)
    return at


def reverse(own: ValueMap, path: tuple[str, ...], field: str) -> None:
    """Turn the list around."""
    at = inner(own, path)
    listed = at[field]
    assert isinstance(listed, list)
    at[field] = listed[::-1]


def test_what_agrees_or_says_nothing_is_accepted() -> None:
    others: list[dict[Key, Value]] = [said(), {}, {"vagus": 1}, {"vagus": {}}, {"model": "a"}]
    for metadata in others:
        check_metadata(metadata, PROFILE)


def test_other_names_for_the_same_numbers_are_accepted() -> None:
    def rename(own: ValueMap) -> None:
        at = inner(own, ACTIONS)
        at["names"] = [f"other_{n}" for n, _ in enumerate(fields("actions")[0])]

    check_metadata(said(rename), PROFILE)


CONTRADICTIONS: Final[dict[str, tuple[Callable[[ValueMap], None], str]]] = {
    "rate": (lambda own: own.update(rate_hz=PROFILE.rate_hz * 2), "rate_hz"),
    "unit of an action": (lambda own: inner(own, ACTIONS).update(units=["mile"]), "units of actions"),
    "order of actions": (lambda own: reverse(own, ACTIONS, "names"), "names of actions"),
    "order of the state": (lambda own: reverse(own, STATE, "names"), f"names of {STATE[1]}"),
    "width": (lambda own: inner(own, ACTIONS).update(shape=[99]), "shape of actions"),
    "size of a picture": (lambda own: inner(own, PICTURE).update(shape=[1, 1, 3]), "shape of"),
    "colors": (lambda own: inner(own, PICTURE).update(color="BGR"), "color of"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_contradiction_is_refused(what: str) -> None:
    change, where = CONTRADICTIONS[what]
    with pytest.raises(ConfigError, match=where):
        check_metadata(said(change), PROFILE)
