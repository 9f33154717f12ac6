"""State tables of the robot's side: link state and motion state."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from vagus.errors import StateError
from vagus.types import LinkState, MotionState

__all__ = ["LINK_TABLE", "MOTION_TABLE", "LinkEvent", "MotionEvent", "next_state"]


class LinkEvent(enum.Enum):
    """What can happen to the link."""

    OPENED = "opened"
    """A server accepted the session and its acknowledgement was checked."""
    MOVED = "moved"
    """Another server took over between two requests, because the server asked for it."""
    MERGED = "merged"
    """The engine took a chunk into its plan."""
    FAILED = "failed"
    """A request is late, was answered by an event, or its chunk was refused."""
    LOST = "lost"
    """The server is gone, drains, does not answer, or does not know the session."""
    KILLED = "killed"
    """Nothing can be hoped for: all replicas excluded, offline too long, or the worker keeps failing."""


class MotionEvent(enum.Enum):
    """What can happen to the motion."""

    MERGED = "merged"
    """A chunk was taken into the plan."""
    RAN_OUT = "ran out"
    """The plan has no action that may be commanded: starved or stale."""
    RESET = "reset"
    """A new episode begins; the plan is empty."""
    PAUSED = "paused"
    """A human takes over."""
    RESUMED = "resumed"
    """The human is done; the plan was dropped."""
    KEPT = "kept"
    """The human is done and the robot stands where the plan expects it."""
    STOPPED = "stopped"
    """The robot is to be stopped for good."""


_EventT = TypeVar("_EventT", bound=enum.Enum)
_StateT = TypeVar("_StateT", bound=enum.Enum)

LINK_TABLE: Mapping[LinkState, Mapping[LinkEvent, LinkState]] = {
    LinkState.CONNECTING: {
        LinkEvent.OPENED: LinkState.STREAMING,
        LinkEvent.KILLED: LinkState.DEAD,
    },
    LinkState.STREAMING: {
        LinkEvent.MOVED: LinkState.STREAMING,
        LinkEvent.MERGED: LinkState.STREAMING,
        LinkEvent.FAILED: LinkState.DEGRADED,
        LinkEvent.LOST: LinkState.RECONNECTING,
        LinkEvent.KILLED: LinkState.DEAD,
    },
    LinkState.DEGRADED: {
        LinkEvent.MERGED: LinkState.STREAMING,
        LinkEvent.FAILED: LinkState.DEGRADED,
        LinkEvent.LOST: LinkState.RECONNECTING,
        LinkEvent.KILLED: LinkState.DEAD,
    },
    LinkState.RECONNECTING: {
        LinkEvent.OPENED: LinkState.STREAMING,
        LinkEvent.MERGED: LinkState.RECONNECTING,
        LinkEvent.LOST: LinkState.RECONNECTING,
        LinkEvent.KILLED: LinkState.DEAD,
    },
    LinkState.DEAD: {},
}

MOTION_TABLE: Mapping[MotionState, Mapping[MotionEvent, MotionState]] = {
    MotionState.WAITING: {
        MotionEvent.MERGED: MotionState.PLAYING,
        MotionEvent.RESET: MotionState.WAITING,
        MotionEvent.PAUSED: MotionState.PAUSED,
        MotionEvent.STOPPED: MotionState.STOPPED,
    },
    MotionState.PLAYING: {
        MotionEvent.MERGED: MotionState.PLAYING,
        MotionEvent.RAN_OUT: MotionState.FALLBACK,
        MotionEvent.RESET: MotionState.FALLBACK,
        MotionEvent.PAUSED: MotionState.PAUSED,
        MotionEvent.STOPPED: MotionState.STOPPED,
    },
    MotionState.FALLBACK: {
        MotionEvent.MERGED: MotionState.PLAYING,
        MotionEvent.RESET: MotionState.FALLBACK,
        MotionEvent.PAUSED: MotionState.PAUSED,
        MotionEvent.STOPPED: MotionState.STOPPED,
    },
    MotionState.PAUSED: {
        MotionEvent.RESET: MotionState.PAUSED,
        MotionEvent.RESUMED: MotionState.WAITING,
        MotionEvent.KEPT: MotionState.PLAYING,
        MotionEvent.STOPPED: MotionState.STOPPED,
    },
    MotionState.STOPPED: {},
}


def next_state(table: Mapping[_StateT, Mapping[_EventT, _StateT]], state: _StateT, event: _EventT) -> _StateT:
    """Return the state after `event`.

    Raises:
        StateError: the event is illegal in this state.
    """
    try:
        return table[state][event]
    except KeyError:
        legal = ", ".join(sorted(str(e.value) for e in table[state])) or "none"
        raise StateError(
            f"event {event.value!r} is illegal in state {state.value!r}; legal: {legal}"
        ) from None
