"""What a policy or a driver forks is its own: it ends by the signals that end a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from vagus.api.stop_signal import StopEvent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("taking", ["stop_event()", "stack.enter_context(ended_by_signals())"])
def test_a_forked_process_ends_by_a_signal_that_we_take(taking: str, number: int) -> None:
    program = f"""
        import contextlib, os, signal, sys
        from vagus.api.stop_signal import stop_event
        from vagus.cli.signals import ended_by_signals
        with contextlib.ExitStack() as stack:
            taken = {taking}
            pid = os.fork()
            if not pid:
                signal.raise_signal({number})
                os._exit(0)
            ended = os.waitpid(pid, 0)[1]
        sys.exit(int(ended == 0 or taken is not None and taken.is_set()))
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False, env=os.environ)
    assert ended.returncode == 0, ended.stderr


def test_a_signal_that_woke_nobody_ends_a_wait() -> None:
    stopping = StopEvent()
    began = threading.Event()

    def note() -> None:
        began.wait()
        stopping.number = signal.SIGINT  # as the handler does, before the wait is entered

    noting = threading.Thread(target=note)
    noting.start()
    began.set()
    assert stopping.wait(60.0)
    noting.join()


def test_a_wait_ends_at_its_timeout_or_when_the_program_sets_it() -> None:
    stopping = StopEvent()
    assert not stopping.wait(0.0)
    assert not stopping.wait(0.01)
    stopping.set()
    assert stopping.wait()


def test_a_signal_is_taken_while_a_lock_of_the_event_is_held() -> None:
    program = """
        import os, signal
        from vagus.api.stop_signal import stop_event
        stopping = stop_event()
        with stopping._cond:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert done.returncode == 0
