"""Lifecycle of a server process, as a table of phases and events."""

from __future__ import annotations

import enum

from vagus.errors import StateError

__all__ = ["TRANSITIONS", "Event", "Phase", "advance"]


class Phase(enum.Enum):
    """Phase of a server."""

    LOADING = "loading"
    """The policy is loaded to the device."""
    WARMING = "warming"
    """The whole request path is run and timed before the first session."""
    READY = "ready"
    """Sessions are accepted."""
    DRAINING = "draining"
    """No new sessions are accepted; accepted requests are finished."""
    STOPPED = "stopped"


class Event(enum.Enum):
    """Event in the life of a server."""

    LOADED = "loaded"
    WARMED = "warmed"
    DRAIN = "drain"
    DRAINED = "drained"
    FAILED = "failed"


TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.LOADING: {
        Event.LOADED: Phase.WARMING,
        Event.DRAIN: Phase.STOPPED,
        Event.FAILED: Phase.STOPPED,
    },
    Phase.WARMING: {
        Event.WARMED: Phase.READY,
        Event.DRAIN: Phase.STOPPED,
        Event.FAILED: Phase.STOPPED,
    },
    Phase.READY: {
        Event.DRAIN: Phase.DRAINING,
        Event.FAILED: Phase.STOPPED,
    },
    Phase.DRAINING: {
        Event.DRAINED: Phase.STOPPED,
        Event.FAILED: Phase.STOPPED,
    },
    Phase.STOPPED: {},
}
"""Phase → event → next phase; all other events are illegal. Before READY there is nothing to drain, so DRAIN
stops."""


def advance(phase: Phase, event: Event) -> Phase:
    """Return the phase after `event`.

    Raises:
        StateError: the event is illegal in this phase.
    """
    try:
        return TRANSITIONS[phase][event]
    except KeyError as error:
        legal = ", ".join(event.value for event in TRANSITIONS[phase]) or "nothing"
        raise StateError(
            f"a server that is {phase.value}: illegal event {event.value!r}; legal: {legal}"
        ) from error
