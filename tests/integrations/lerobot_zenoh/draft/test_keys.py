from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.draft.keys import (
    DraftKey,
    DraftPlace,
    DraftService,
    key_expression,
    parse_draft_key,
    slug,
)

SERVICE = DraftService("lerobot-smolvla_base", "main", "pick-the-cube")
PREFIX = "@lerobot/lerobot-smolvla_base/main/pick-the-cube"


def test_the_tree() -> None:
    assert str(DraftKey(DraftPlace.STATUS, SERVICE)) == f"{PREFIX}/status"
    assert str(DraftKey(DraftPlace.SERVER_ALIVE, SERVICE)) == f"{PREFIX}/server/alive"
    assert str(DraftKey(DraftPlace.OBSERVATION, SERVICE, "robot-01")) == f"{PREFIX}/robot-01/obs"
    assert (
        key_expression(DraftPlace.RESET, SERVICE.model, "main", "*")
        == "@lerobot/lerobot-smolvla_base/main/*/*/reset"
    )


def test_slugs_of_the_original() -> None:
    assert [slug(text) for text in ("lerobot/smolvla_base", "main", "pick the cube", "-a//b?.")] == [
        "lerobot-smolvla_base", "main", "pick-the-cube", "a-b",
    ]  # fmt: skip
    for nothing in ("", "///", "…", "a" * 256):
        with pytest.raises(ProtocolError, match="key: wanted a text"):
            slug(nothing)


@given(st.text(max_size=30))
def test_every_slug_can_stand_in_a_key(text: str) -> None:
    try:
        made = slug(text)
    except ProtocolError:
        return
    assert slug(made) == made
    key = DraftKey(DraftPlace.STATUS, DraftService(made, made, made))
    assert parse_draft_key(str(key)) == key


@given(st.sampled_from(DraftPlace), st.from_regex(r"\A[A-Za-z0-9_.-]{1,9}\Z"))
def test_every_key_comes_back(place: DraftPlace, client: str) -> None:
    is_of_client = place in (
        DraftPlace.OBSERVATION, DraftPlace.ACTION, DraftPlace.RESET, DraftPlace.CLIENT_ALIVE,
    )  # fmt: skip
    key = DraftKey(place, SERVICE, client if is_of_client else "")
    assert parse_draft_key(str(key)) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        PREFIX,
        f"{PREFIX}/obs",
        f"{PREFIX}/a/b",
        f"{PREFIX}/a/obs/more",
        f"{PREFIX}/*/obs",
        f"{PREFIX}/server/obs",
        f"x{PREFIX}/status",
        "@lerobot/a/b/-c/status",
        "@lerobot/a/b//status",
    ],
)
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(ProtocolError, match="key: wanted"):
        parse_draft_key(key)


def test_a_client_stands_where_one_belongs() -> None:
    with pytest.raises(ProtocolError, match="no client for status"):
        DraftKey(DraftPlace.STATUS, SERVICE, "robot-01")
    with pytest.raises(ProtocolError, match="a client's uuid for obs"):
        DraftKey(DraftPlace.OBSERVATION, SERVICE)
    with pytest.raises(ProtocolError, match="no client for session"):
        DraftKey(DraftPlace.SESSION, SERVICE, "robot-01")
