from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from vagus.cli import waiting
from vagus.cli.waiting import keep_trying
from vagus.errors import ConfigError, LinkError, SessionRefusedError, SpecError, VagusError
from vagus.wire.schema import EventCode

NO_ROUTER = LinkError("no [router]")
FULL = SessionRefusedError(EventCode.SESSIONS_FULL.value, "full")


class Pauses(threading.Event):
    """Notes how long it would be waited for, and lets no time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seen.append(timeout or 0.0)
        return self.is_set()


def failing(errors: list[VagusError]) -> Callable[[], str]:
    def attempt() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return attempt


def test_it_is_tried_ever_less_often_and_each_change_is_told_once() -> None:
    out, pauses = io.StringIO(), Pauses()
    errors: list[VagusError] = [NO_ROUTER] * 6 + [FULL] * 2
    assert keep_trying(failing(errors), Console(file=out, width=200), pauses) == "done"
    assert out.getvalue().splitlines() == ["waiting: no [router]", f"waiting: {FULL}"]
    assert pauses.seen == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 0.5, 1.0]
    assert max(pauses.seen) == waiting.LONGEST_PAUSE_S


@pytest.mark.parametrize(
    "error",
    [
        SpecError("state", wanted="x", got="y"),
        ConfigError("service", wanted="one", got="two"),
        SessionRefusedError(EventCode.MODEL_CHANGED.value, "another model"),
        SessionRefusedError(EventCode.INSTRUCTION_PINNED.value, "another task"),
    ],
)
def test_what_waiting_does_not_cure_ends_it_at_once(error: VagusError) -> None:
    pauses = Pauses()
    with pytest.raises(type(error)):
        keep_trying(failing([NO_ROUTER, error]), Console(file=io.StringIO()), pauses)
    assert len(pauses.seen) == 1


def test_a_signal_ends_the_wait() -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(LinkError):
        keep_trying(failing([NO_ROUTER] * 9), Console(file=io.StringIO()), stopping)
