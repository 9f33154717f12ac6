"""Lines reach the log from another thread; a log that blocks costs the caller nothing."""

from __future__ import annotations

import logging
import threading

import pytest

from vagus.control.notice_queue import MAX_WAITING, NoticeQueue

PATIENCE_S = 10.0


class StuckHandler(logging.Handler):
    """A terminal that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.lines: list[str] = []
        self.threads: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        self.lines.append(record.getMessage())


def quiet_logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(f"test.notices.{id(handler)}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return logger


def test_lines_are_written_in_order_by_another_thread() -> None:
    handler = StuckHandler()
    handler.gate.set()
    notices = NoticeQueue(quiet_logger(handler))
    notices.warning("said before the start, 100 %")
    notices.start()
    notices.info("b")
    notices.close()
    notices.close()
    assert handler.lines == ["said before the start, 100 %", "b"]
    assert threading.current_thread().name not in handler.threads


def test_a_log_that_takes_nothing_costs_lines_and_not_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.control.notice_queue.CLOSE_S", 0.01)
    handler = StuckHandler()
    notices = NoticeQueue(quiet_logger(handler)).start()
    notices.warning("0")
    assert handler.entered.wait(PATIENCE_S)
    for number in range(1, MAX_WAITING + 6):
        notices.warning(str(number))
    assert notices.dropped == 5
    notices.close()  # comes back though the log hangs
    handler.gate.set()


def test_what_never_started_can_be_closed() -> None:
    NoticeQueue(logging.getLogger("unused")).close()
