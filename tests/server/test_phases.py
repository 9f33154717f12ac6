"""Phases: who waits is told, a stop is final, and what failed first is what is raised."""

from __future__ import annotations

import pytest

from vagus.errors import PolicyError, StateError
from vagus.server.lifecycle import Event, Phase
from vagus.server.phases import Phases


def ready() -> Phases:
    phases = Phases()
    assert phases.advance(Event.LOADED)
    assert phases.advance(Event.WARMED)
    return phases


def test_clients_find_a_server_after_it_is_ready() -> None:
    phases = ready()
    assert phases.current is Phase.READY
    assert not phases.wait_ready(0)
    phases.can_be_found()
    assert phases.wait_ready(0)
    assert not phases.wait_stopped(0)


def test_a_stop_while_the_policy_loads_is_final_and_ends_the_wait() -> None:
    phases = Phases()
    phases.stop(None)
    assert not phases.advance(Event.LOADED)
    assert phases.current is Phase.STOPPED
    assert phases.wait_stopped(0)
    with pytest.raises(StateError, match="stopped before it was ready"):
        phases.wait_ready(0)


def test_it_drains_once_and_not_before_it_serves() -> None:
    phases = ready()
    assert phases.drain() is Phase.DRAINING
    assert phases.drain() is None
    assert not phases.stopped.is_set()
    loading = Phases()
    assert loading.drain() is Phase.STOPPED
    assert loading.drain() is None


def test_the_first_failure_is_raised_and_a_later_one_is_not() -> None:
    phases = ready()
    phases.stop(PolicyError("the first"))
    phases.stop(PolicyError("the second"))
    for wait in (phases.wait_ready, phases.wait_stopped):
        with pytest.raises(PolicyError, match="the first"):
            wait(0)


def test_a_failure_after_the_stop_is_nobodys() -> None:
    phases = ready()
    phases.stop(None)
    phases.stop(PolicyError("late"))
    assert phases.wait_stopped(0)
