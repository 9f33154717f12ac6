from __future__ import annotations

import os

import pytest

from benchmarks.process import Program, ProgramError, cpu_ns

pytestmark = pytest.mark.process


def test_a_program_that_fails_to_start_tells_its_last_words() -> None:
    with pytest.raises(ProgramError, match="No module named"), Program("benchmarks.programs.no_such_program"):
        pass


def test_a_program_says_hello_and_ends_with_its_input() -> None:
    with Program("benchmarks.programs.zmq_npy", "server") as server:
        pid = server.pid
        assert isinstance(server.hello["port"], int)
        assert server.cpu_ns > 0
    with pytest.raises(OSError, match=r"."):
        os.kill(pid, 0)


def test_the_cpu_time_of_a_process_only_grows() -> None:
    before = cpu_ns(os.getpid())
    sum(range(100_000))
    assert cpu_ns(os.getpid()) > before
