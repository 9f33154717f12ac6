from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace, every_session, parse_key

FOLDER = Path(__file__).parent / "golden"
KEYS = {entry["key"] for entry in json.loads((FOLDER / "MANIFEST.json").read_text("utf-8")).values()} - {""}
ROOT = "lerobot/inference/v1/deployments"
segments = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,9}\Z")


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_captured_key_is_read_and_written(key: str) -> None:
    assert str(parse_key(key)) == key


@given(st.sampled_from(RemotePlace), segments, segments, segments)
def test_every_key_comes_back(place: RemotePlace, deployment: str, instance: str, session: str) -> None:
    ids = [deployment]
    if place is not RemotePlace.DESCRIBE:
        ids.append(instance)
    if place not in (RemotePlace.DESCRIBE, RemotePlace.OPEN, RemotePlace.SERVER_ALIVE):
        ids.append(session)
    key = RemoteKey(place, *ids)
    assert parse_key(str(key)) == key


def test_the_tree() -> None:
    assert str(RemoteKey(RemotePlace.DESCRIBE, "d")) == f"{ROOT}/d/describe"
    assert str(RemoteKey(RemotePlace.SERVER_ALIVE, "d", "i")) == f"{ROOT}/d/instances/i/alive"
    assert str(RemoteKey(RemotePlace.CLIENT_ALIVE, "d", "i", "s")) == f"{ROOT}/d/instances/i/sessions/s/alive"
    assert (
        every_session(RemotePlace.LANGUAGE_REQUEST, "d", "i")
        == f"{ROOT}/d/instances/i/sessions/*/language/request"
    )


@pytest.mark.parametrize(
    "key",
    [
        "",
        ROOT,
        f"{ROOT}/d",
        f"{ROOT}/d/alive",
        f"{ROOT}/d/instances/i/obs",
        f"{ROOT}/d/instances/i/sessions/s",
        f"{ROOT}/d/instances/i/sessions/s/other",
        f"{ROOT}/d/instances/i/sessions/s/control/more",
        f"{ROOT}/d/instances/i/sessions/*/control",
        f"{ROOT}/d/instances//sessions/s/control",
        f"{ROOT}/d/sessions/i/instances/s/control",
        f"{ROOT}/a b/describe",
        "lerobot/inference/v2/deployments/d/describe",
    ],
)
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(ProtocolError, match="key: wanted"):
        parse_key(key)


def test_a_key_has_the_ids_of_its_place_and_no_more() -> None:
    for wrong in (
        (RemotePlace.DESCRIBE, "d", "i"),
        (RemotePlace.OPEN, "d"),
        (RemotePlace.OPEN, "d", "i", "s"),
        (RemotePlace.CONTROL, "d", "i"),
        (RemotePlace.CONTROL, "d", "i", "a/b"),
    ):
        with pytest.raises(ProtocolError, match="ids for"):
            RemoteKey(*wrong)
    with pytest.raises(ProtocolError, match="ids for open"):
        every_session(RemotePlace.OPEN, "d", "i")
