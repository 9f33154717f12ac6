"""The line on the terminal: words apart, none cut, in any width."""

from __future__ import annotations

import pytest

from vagus.cli.live_line import status_text
from vagus.control.ports import LoopStatus
from vagus.edge.client.client import ClientStatus
from vagus.types import LinkState, MotionState


def status(link: LinkState, motion: MotionState) -> LoopStatus:
    return LoopStatus(10**9, link, motion, 0, 123456, 0.42, None, 1.25, 100, 0, frozenset())


def client(server: str = "server-0015e82026") -> ClientStatus:
    return ClientStatus(LinkState.STREAMING, server, 41.0, "", "")


@pytest.mark.parametrize("link", list(LinkState))
@pytest.mark.parametrize("motion", list(MotionState))
def test_states_stand_apart_and_by_the_names_of_the_documents(link: LinkState, motion: MotionState) -> None:
    words = status_text(status(link, motion), None, client(), width=200).plain.split()
    assert words[:2] == [link.name, motion.name]
    assert "server-0015e82026" in words


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_a_narrow_terminal_shows_whole_words_of_what_matters_most(width: int) -> None:
    wide = status_text(status(LinkState.RECONNECTING, MotionState.FALLBACK), None, client(), width=400).plain
    narrow = status_text(
        status(LinkState.RECONNECTING, MotionState.FALLBACK), None, client(), width=width
    ).plain
    assert len(narrow) <= width
    assert wide.startswith(narrow)
    assert wide[len(narrow) :][:1] in ("", " ")
    assert "step 123456" in narrow
    assert ("server-0015e82026" in narrow) == (width >= 120)
