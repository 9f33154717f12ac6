"""Thread for the calls of one connection."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from vagus.errors import QueryTimeoutError
from vagus.gateways.call_thread import CallThread

LONG_S = 20.0


def raising() -> None:
    raise SystemExit("of a library")


def test_results_and_errors_come_back_to_the_caller_and_the_last_work_is_done() -> None:
    is_cleaned = threading.Event()
    thread = CallThread("calls", is_cleaned.set)
    thread.start()
    assert thread.call(lambda: 7, LONG_S, "no number") == 7
    with pytest.raises(SystemExit, match="of a library"):
        thread.call(raising, LONG_S, "nothing")
    assert thread.call(threading.current_thread, LONG_S, "no thread").name == "calls"
    thread.end()
    assert is_cleaned.wait(LONG_S)


def test_a_call_that_does_not_return_costs_a_deadline_and_its_late_result_is_nobodys() -> None:
    is_released, is_cleaned = threading.Event(), threading.Event()
    thread = CallThread("calls", is_cleaned.set)
    thread.start()
    with pytest.raises(QueryTimeoutError, match=r"no answer within 0\.1 s"):
        thread.call(lambda: is_released.wait(LONG_S), 0.1, "no answer")
    thread.end()
    assert not is_cleaned.is_set()
    is_released.set()
    assert is_cleaned.wait(LONG_S)


SCRIPT = """
import time
from vagus.gateways.call_thread import CallThread
thread = CallThread("test", lambda: (time.sleep(0.2), print("cleaned up", flush=True)))
thread.start()
thread.call(int, 10.0, "nothing")
"""


@pytest.mark.parametrize("end", ["", "thread.end()"])
def test_the_cleanup_is_done_before_the_interpreter_exits(end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + end], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "cleaned up\n"
