"""The life of a server process."""

from __future__ import annotations

import itertools

import pytest

from vagus.errors import StateError
from vagus.server.lifecycle import TRANSITIONS, Event, Phase, advance

LEGAL = {
    (Phase.LOADING, Event.LOADED): Phase.WARMING,
    (Phase.LOADING, Event.DRAIN): Phase.STOPPED,
    (Phase.LOADING, Event.FAILED): Phase.STOPPED,
    (Phase.WARMING, Event.WARMED): Phase.READY,
    (Phase.WARMING, Event.DRAIN): Phase.STOPPED,
    (Phase.WARMING, Event.FAILED): Phase.STOPPED,
    (Phase.READY, Event.DRAIN): Phase.DRAINING,
    (Phase.READY, Event.FAILED): Phase.STOPPED,
    (Phase.DRAINING, Event.DRAINED): Phase.STOPPED,
    (Phase.DRAINING, Event.FAILED): Phase.STOPPED,
}


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, Event)))
def test_every_event_in_every_phase(phase: Phase, event: Event) -> None:
    if (phase, event) in LEGAL:
        assert advance(phase, event) is LEGAL[phase, event]
        return
    with pytest.raises(StateError, match="legal:"):
        advance(phase, event)


def test_the_table_names_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


def test_every_phase_ends_in_stopped() -> None:
    for phase in Phase:
        reached, frontier = {phase}, [phase]
        while frontier:
            after = set(TRANSITIONS[frontier.pop()].values()) - reached
            reached |= after
            frontier += after
        assert Phase.STOPPED in reached
