"""Which clients a pattern means, and what is no pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ConfigError
from vagus.transport.client_pattern import ClientPattern
from vagus.transport.keys import sanitise

NAMES = st.text(st.sampled_from("ab1_.- /"), min_size=1, max_size=70)


def pattern(text: str) -> ClientPattern:
    return ClientPattern.of(text, subject="clients")


def test_a_name_is_the_client_that_is_called_so_whatever_its_characters() -> None:
    assert pattern("robot 7").matches(sanitise("robot 7"))
    assert not pattern("robot 7").matches("robot_7")
    assert pattern("arm").matches("arm")
    assert not pattern("arm").matches("arm-1")


def test_a_beginning_is_every_client_whose_key_begins_so() -> None:
    lab = pattern("lab-a-*")
    assert lab.matches("lab-a-arm")
    assert not lab.matches("lab-b-arm")
    assert not lab.matches("lab-a")
    assert pattern("*").matches("anybody")


def test_its_chunk_of_a_key_is_what_zenoh_understands() -> None:
    assert pattern("lab-a-*").key_chunk == "lab-a-$*"
    assert pattern("*").key_chunk == "*"
    assert pattern("robot 7").key_chunk == sanitise("robot 7")


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("lab-*", "lab-a-*", True),
        ("lab-a-*", "lab-*", True),
        ("lab-a-*", "lab-a-1", True),
        ("lab-a-*", "lab-b-*", False),
        ("lab-a", "lab-a-*", False),
        ("lab-a", "lab-a", True),
        ("*", "lab-a", True),
    ],
)
def test_two_patterns_overlap_where_a_client_can_match_both(one: str, other: str, do: bool) -> None:
    assert pattern(one).overlaps(pattern(other)) is do


@pytest.mark.parametrize("text", ["", "**", "a*b", "*a", "lab-$*", "lab-a-* ", "a**"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"clients: wanted a client's name|clients: wanted a beginning"):
        pattern(text)


@pytest.mark.parametrize("text", ["lab a*", "lab--*", "-a*", "lab/*", "a" * 65 + "*", "a" * 63 + "-*", "ä*"])
def test_a_beginning_that_no_client_can_have_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="name such clients one by one"):
        pattern(text)


@given(NAMES, NAMES)
def test_an_accepted_beginning_matches_a_client_and_a_refused_one_matches_none(text: str, name: str) -> None:
    segment = sanitise(name)
    try:
        beginning = pattern(f"{text}*")
    except ConfigError:
        assert not segment.startswith(text)
        return
    assert beginning.matches(segment) is segment.startswith(text)
    if len(text) < 64:
        assert beginning.matches(sanitise(f"{text}x"))
