from __future__ import annotations

import itertools

import pytest

from vagus.edge.states import LINK_TABLE, MOTION_TABLE, LinkEvent, MotionEvent, next_state
from vagus.errors import StateError
from vagus.types import LinkState as L
from vagus.types import MotionState as M

LINK = {
    (L.CONNECTING, LinkEvent.OPENED): L.STREAMING,
    (L.CONNECTING, LinkEvent.KILLED): L.DEAD,
    (L.STREAMING, LinkEvent.MOVED): L.STREAMING,
    (L.STREAMING, LinkEvent.MERGED): L.STREAMING,
    (L.STREAMING, LinkEvent.FAILED): L.DEGRADED,
    (L.STREAMING, LinkEvent.LOST): L.RECONNECTING,
    (L.STREAMING, LinkEvent.KILLED): L.DEAD,
    (L.DEGRADED, LinkEvent.MERGED): L.STREAMING,
    (L.DEGRADED, LinkEvent.FAILED): L.DEGRADED,
    (L.DEGRADED, LinkEvent.LOST): L.RECONNECTING,
    (L.DEGRADED, LinkEvent.KILLED): L.DEAD,
    (L.RECONNECTING, LinkEvent.OPENED): L.STREAMING,
    (L.RECONNECTING, LinkEvent.MERGED): L.RECONNECTING,
    (L.RECONNECTING, LinkEvent.LOST): L.RECONNECTING,
    (L.RECONNECTING, LinkEvent.KILLED): L.DEAD,
}
MOTION = {
    (M.WAITING, MotionEvent.MERGED): M.PLAYING,
    (M.WAITING, MotionEvent.RESET): M.WAITING,
    (M.WAITING, MotionEvent.PAUSED): M.PAUSED,
    (M.WAITING, MotionEvent.STOPPED): M.STOPPED,
    (M.PLAYING, MotionEvent.MERGED): M.PLAYING,
    (M.PLAYING, MotionEvent.RAN_OUT): M.FALLBACK,
    (M.PLAYING, MotionEvent.RESET): M.FALLBACK,
    (M.PLAYING, MotionEvent.PAUSED): M.PAUSED,
    (M.PLAYING, MotionEvent.STOPPED): M.STOPPED,
    (M.FALLBACK, MotionEvent.MERGED): M.PLAYING,
    (M.FALLBACK, MotionEvent.RESET): M.FALLBACK,
    (M.FALLBACK, MotionEvent.PAUSED): M.PAUSED,
    (M.FALLBACK, MotionEvent.STOPPED): M.STOPPED,
    (M.PAUSED, MotionEvent.RESET): M.PAUSED,
    (M.PAUSED, MotionEvent.RESUMED): M.WAITING,
    (M.PAUSED, MotionEvent.KEPT): M.PLAYING,
    (M.PAUSED, MotionEvent.STOPPED): M.STOPPED,
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(L, LinkEvent)))
def test_every_event_of_the_link_has_its_effect_or_is_illegal(state: L, event: LinkEvent) -> None:
    wanted = LINK.get((state, event))
    if wanted is not None:
        assert next_state(LINK_TABLE, state, event) is wanted
        return
    with pytest.raises(StateError, match=f"{event.value!r} is illegal in state {state.value!r}"):
        next_state(LINK_TABLE, state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(M, MotionEvent)))
def test_every_event_of_the_motion_has_its_effect_or_is_illegal(state: M, event: MotionEvent) -> None:
    wanted = MOTION.get((state, event))
    if wanted is not None:
        assert next_state(MOTION_TABLE, state, event) is wanted
        return
    with pytest.raises(StateError, match=f"{event.value!r} is illegal in state {state.value!r}"):
        next_state(MOTION_TABLE, state, event)


def test_the_error_lists_what_is_legal() -> None:
    with pytest.raises(StateError, match="legal: killed, opened"):
        next_state(LINK_TABLE, L.CONNECTING, LinkEvent.LOST)
    with pytest.raises(StateError, match="legal: none"):
        next_state(MOTION_TABLE, M.STOPPED, MotionEvent.MERGED)


def test_nothing_leads_out_of_the_final_states() -> None:
    assert not LINK_TABLE[L.DEAD]
    assert not MOTION_TABLE[M.STOPPED]
