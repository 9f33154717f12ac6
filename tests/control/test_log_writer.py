"""Whoever logs does not wait for a terminal that takes no line."""

from __future__ import annotations

import io
import logging
import sys
import threading

import pytest

from vagus.control.log_writer import MAX_WAITING, SteadyHandler


class StuckTerminal(io.StringIO):
    """Takes nothing until it is let go, as one that was stopped with Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.go_on.wait(60.0)
        return super().write(text)


@pytest.fixture
def log() -> tuple[logging.Logger, SteadyHandler]:
    logger = logging.Logger("test")  # noqa: LOG001 - one of its own for each test
    handler = SteadyHandler()
    logger.addHandler(handler)
    return logger, handler


def test_a_stuck_terminal_holds_nobody_up_and_what_it_missed_is_counted(
    monkeypatch: pytest.MonkeyPatch, log: tuple[logging.Logger, SteadyHandler]
) -> None:
    terminal = StuckTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logger, handler = log
    logger.warning("line 0")
    assert terminal.entered.wait(60.0)
    for number in range(1, 2 * MAX_WAITING):
        logger.warning("line %d", number)
    handler.flush()  # comes back although nothing was written
    assert terminal.getvalue() == ""
    terminal.go_on.set()
    handler.flush()
    logger.warning("last")
    while "last" not in terminal.getvalue():
        handler.flush()
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "line 0"
    assert lines[-1] == "last"
    kept = sum(line.startswith("line ") for line in lines)
    assert any(line.startswith(f"({2 * MAX_WAITING - kept} lines were dropped") for line in lines)


def test_lines_go_to_the_stderr_of_the_moment(
    monkeypatch: pytest.MonkeyPatch, log: tuple[logging.Logger, SteadyHandler]
) -> None:
    logger, handler = log
    first, second = io.StringIO(), io.StringIO()
    for stream in (first, second):
        monkeypatch.setattr(sys, "stderr", stream)
        logger.warning("said")
        handler.flush()
    assert first.getvalue() == second.getvalue() == "said\n"


def test_a_terminal_that_is_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, log: tuple[logging.Logger, SteadyHandler]
) -> None:
    logger, handler = log
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    logger.warning("into the void")
    handler.flush()
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    logger.warning("here")
    handler.flush()
    assert terminal.getvalue() == "here\n"
