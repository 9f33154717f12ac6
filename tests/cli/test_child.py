from __future__ import annotations

import signal
from pathlib import Path

import pytest

from vagus.cli.child import Child
from vagus.errors import VagusError

pytestmark = pytest.mark.process

START_S = 30.0


def test_a_line_is_waited_for_and_the_end_is_polite() -> None:
    with Child("chaos", ["chaos", "127.0.0.1:0", "127.0.0.1:1"]) as child:
        assert "127.0.0.1:" in child.wait_for_line("forwarding", timeout_s=START_S)
        assert child.pid
        assert child.exit_code is None
    assert child.exit_code is None


def test_a_process_that_ends_early_tells_what_it_said() -> None:
    with Child("chaos", ["chaos", "nowhere", "x"]) as child, pytest.raises(VagusError, match="host:port"):
        child.wait_for_line("forwarding", timeout_s=START_S)


def test_a_line_that_does_not_come_is_no_endless_wait() -> None:
    with Child("chaos", ["chaos", "127.0.0.1:0", "127.0.0.1:1"]) as child:
        child.wait_for_line("forwarding", timeout_s=START_S)
        with pytest.raises(VagusError, match="did not say"):
            child.wait_for_line("something else", timeout_s=0.2)
        with pytest.raises(VagusError, match="did not end"):
            child.wait(timeout_s=0.1)


def test_one_that_was_killed_or_never_started_is_no_trouble() -> None:
    child = Child("chaos", ["chaos", "127.0.0.1:0", "127.0.0.1:1"])
    child.signal(signal.SIGTERM)
    child.end()
    with pytest.raises(VagusError, match="not started"):
        child.wait(timeout_s=0.1)
    with child:
        child.signal(signal.SIGKILL)
        assert child.wait(timeout_s=START_S) == -signal.SIGKILL
        child.signal(signal.SIGTERM)
    child.end()


def test_bytes_that_are_no_text_are_read_over(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nprintf 'a\\377b\\nready\\n'\n")
    python.chmod(0o700)
    with Child("speaker", [], python=str(python)) as child:
        child.wait_for_line("ready", timeout_s=START_S)
        assert child.output.startswith("a\ufffdb")
