"""A thread of ours goes on or fails loudly, whatever is raised in it."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import pytest

from vagus.threads import Supervised

SOURCES = Path(__file__).resolve().parents[1] / "src" / "vagus"
JOIN_S = 20.0


class Panic(BaseException):
    """As an extension written in Rust raises it."""


FAULTS = [
    ValueError("x"),
    SystemExit(0),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    Panic(),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_work_that_fails_is_told_and_taken_up_again(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    left, told = [fault, fault], list[BaseException]()

    def work() -> None:
        if left:
            raise left.pop()

    thread = Supervised(work, name="vagus-test", on_fault=told.append)
    thread.start()
    thread.join(JOIN_S)
    assert not thread.is_alive()
    assert told == [fault, fault]
    assert "thread vagus-test failed; it goes on" in caplog.text


def test_work_that_is_not_repeated_ends_loudly(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise SystemExit(3)

    thread = Supervised(work, name="vagus-test", is_repeated=False)
    thread.start()
    thread.join(JOIN_S)
    assert calls == [1]
    assert "it has ended" in caplog.text


def test_an_owner_that_cannot_be_told_does_not_end_the_work() -> None:
    left = [ValueError()]
    done = threading.Event()

    def work() -> None:
        if left:
            raise left.pop()
        done.set()

    def deaf(error: BaseException) -> None:
        raise SystemExit(1)

    Supervised(work, name="vagus-test", on_fault=deaf).start()
    assert done.wait(JOIN_S)


def test_every_thread_of_ours_is_of_this_kind() -> None:
    makers = re.compile(r"threading\.Thread\(|Thread\(target=|threading\.Timer\(|_thread\.start_new")
    sources = [path for path in SOURCES.rglob("*.py") if path.name != "threads.py"]
    assert len(sources) > 100
    assert not [str(path) for path in sources if makers.search(path.read_text(encoding="utf-8"))]
