"""The process ends when all is done, whatever a driver or a policy has left behind."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

LEFT_BEHIND = {
    "a thread": ("threading.Thread(target=forever.wait, name='pump').start()", "pump"),
    "an exit function": ("atexit.register(forever.wait)", "something that runs at the exit"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_a_process_ends_with_its_code_although_there_is(what: str) -> None:
    line, said = LEFT_BEHIND[what]
    program = f"""
        import atexit, sys, threading
        from vagus.cli.last_end import end_within
        forever = threading.Event()
        {line}
        end_within(7, 0.3 if {line!r} else 1000.0)
        sys.exit(7)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False)
    assert ended.returncode == 7
    assert said in ended.stderr
    assert bool(said) == ("it is ended now" in ended.stderr)
