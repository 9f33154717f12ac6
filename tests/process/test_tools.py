"""The tools around a running system: what they print for programs and for people."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from process.rig import PATIENCE_S, Rig, call, check_one_line, rig_in
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.transport.faults import FaultProxy, Faults

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

DELAY_MS = 120.0
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("tools")) as running:
        yield running


@pytest.fixture(scope="module")
def server(rig: Rig) -> Child:
    assert rig.call("status", "--json").stdout.strip() == "[]"
    check_one_line(rig.call("doctor"), ExitCode.UNREACHABLE, "no server", "vagus serve")
    lease = ("--lease-s", "30")  # so that its token outlives a stop, as that of a policy that hangs does
    return rig.serve("tool", "--service-name", "tools", *lease, options=("horizon", "30"))


class Terminal:
    """A command in a pseudo-terminal, read as text without colours."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vagus", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "40"},
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read_until(self, pattern: str) -> re.Match[str]:
        """Return the first match of `pattern` in what is printed from now on."""
        deadline_s = time.monotonic() + PATIENCE_S
        start = len(self.text)
        while time.monotonic() < deadline_s:
            if select.select([self._master], [], [], 0.1)[0]:
                self.text += ANSI.sub("", os.read(self._master, 65536).decode(errors="replace"))
            found = re.search(pattern, self.text[start:])
            if found:
                return found
        pytest.fail(f"{pattern!r} did not appear:\n{self.text[-2000:]}")

    def end(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        try:
            while self._process.poll() is None:
                if select.select([self._master], [], [], 0.1)[0]:
                    self.text += ANSI.sub("", os.read(self._master, 65536).decode(errors="replace"))
        except OSError:
            pass  # the other end is closed: it has ended
        code = self._process.wait(PATIENCE_S)
        os.close(self._master)
        return code


def test_status_says_for_a_program_who_is_there(rig: Rig, server: Child) -> None:
    (said,) = json.loads(rig.call("status", "--json").stdout)
    assert said["service"] == "wave/main/tools"
    assert said["answers"] is True
    assert said["capabilities"]["phase"] == "ready"
    assert said["capabilities"]["load"]["sessions"] == 0
    missed = rig.call("status", "--json", "--service", "wave/main/other")
    check_one_line(missed, ExitCode.UNREACHABLE, "wave/main/other", "wave/main/tools")


@pytest.mark.slow
def test_status_watches_the_load_as_it_changes(rig: Rig, server: Child) -> None:
    watch = Terminal(["status", "--watch", "--interval-s", "0.2", "--connect", rig.endpoint])
    watch.read_until(r"tools.*tool-\w+.*ready.*0/64")
    robot = rig.run("watched")
    watch.read_until(r"ready.*1/64")
    robot.end()
    watch.read_until(r"ready.*0/64")
    assert watch.end() == ExitCode.OK
    assert "Traceback" not in watch.text


def test_doctor_finds_nothing_wrong_on_a_good_network(rig: Rig, server: Child) -> None:
    done = rig.call("doctor", "--count", "5", "--buffer-time-s", "0.9")
    assert done.returncode == ExitCode.OK, done.stdout
    assert "loss 0%" in done.stdout
    assert "problem" not in done.stdout


@pytest.mark.slow
def test_doctor_asks_for_a_larger_buffer_on_a_slow_network(rig: Rig, server: Child) -> None:
    with FaultProxy("127.0.0.1", rig.port, faults=Faults(delay_ms=300)) as proxy:
        slow = ("--connect", f"tcp/127.0.0.1:{proxy.port}", "--count", "3")
        done = call("doctor", *slow, "--buffer-time-s", "0.3")
    assert done.returncode == ExitCode.REFUSED, done.stdout
    found = re.search(r"problem a chunk takes .*--buffer-time-s ([\d.]+) .*\(set: 0.3\)", done.stdout)
    assert found, done.stdout
    assert float(found.group(1)) > 0.9


def test_doctor_and_status_see_that_a_server_hangs(rig: Rig, server: Child) -> None:
    server.signal(signal.SIGSTOP)
    try:
        done = rig.call("doctor")
        (said,) = json.loads(rig.call("status", "--json").stdout)
    finally:
        server.signal(signal.SIGCONT)
    assert done.returncode == ExitCode.REFUSED, done.stdout
    assert "alive but silent" in done.stdout
    assert said["answers"] is False
    assert said["trouble"]


def test_chaos_really_delays(rig: Rig, server: Child) -> None:
    chaos = rig.child(
        "chaos", ["chaos", "127.0.0.1:0", f"127.0.0.1:{rig.port}", "--delay-ms", f"{DELAY_MS:g}"]
    )
    said = chaos.wait_for_line("forwarding", timeout_s=PATIENCE_S)
    found = re.search(r"127.0.0.1:(\d+) to", said)
    assert found
    done = call("doctor", "--connect", f"tcp/127.0.0.1:{found.group(1)}", "--count", "3")
    trip = re.search(r"round trip p50 ([\d.]+) ms", done.stdout)
    assert trip, done.stdout + done.stderr
    assert float(trip.group(1)) >= 2 * DELAY_MS
    chaos.signal(signal.SIGTERM)
    assert chaos.wait(timeout_s=PATIENCE_S) == ExitCode.OK


@pytest.mark.slow
def test_chaos_cuts_as_often_as_told_and_the_robot_lives_through_it(rig: Rig, server: Child) -> None:
    cuts = ("--cut-every-s", "2", "--cut-for-s", "0.5")
    chaos = rig.child("chaos", ["chaos", "127.0.0.1:0", f"127.0.0.1:{rig.port}", *cuts])
    said = chaos.wait_for_line("forwarding", timeout_s=PATIENCE_S)
    found = re.search(r"127.0.0.1:(\d+) to", said)
    assert found
    robot = rig.run("cut", port=int(found.group(1)))
    for _ in range(2):
        chaos.wait_for_line("cut for 0.5 s", timeout_s=PATIENCE_S)
    robot.wait_for_line("session open with", timeout_s=PATIENCE_S)
    robot.signal(signal.SIGINT)
    assert robot.wait(timeout_s=PATIENCE_S) == ExitCode.INTERRUPTED
    assert "Traceback" not in robot.output
    chaos.end()


def test_a_run_shows_a_live_line_and_ends_with_a_summary(rig: Rig, server: Child) -> None:
    run = Terminal(["run", "--name", "live", "--connect", rig.endpoint])
    run.read_until(
        r"STREAMING +PLAYING +step \d+ +buffer +\d\.\d\d s +latency +\d+ ms +\d+ Hz +late +\d+\.\d\d ms"
        r" +tool-\w+ \(net \d+ queue \d+ inference \d+\)"
    )
    server.signal(signal.SIGSTOP)
    run.read_until("FALLBACK")
    server.signal(signal.SIGCONT)
    run.read_until("STREAMING +PLAYING")
    assert run.end() == ExitCode.INTERRUPTED
    for word in ("run ended: interrupted", "duration", "lateness", "fallback", "merged"):
        assert word in run.text, run.text[-3000:]
    assert "Traceback" not in run.text


def test_a_run_of_a_given_length_ends_well_and_parses(rig: Rig, server: Child) -> None:
    done = rig.call("run", "--name", "short", "--duration-s", "1", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    said = json.loads(done.stdout)
    assert said["reason"] == "finished"
    assert said["exit_code"] == 0
    assert said["robot"]["audit"]["commands"] == said["commands"] > 50


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_gateway_that_is_ended_has_done_its_work(rig: Rig, number: signal.Signals) -> None:
    where = ("--connect", rig.endpoint_at(None), "--listen", "127.0.0.1:0")
    gateway = rig.child("gateway", ["gateway", "openpi", "--profile", "droid", *where])
    gateway.wait_for_line("gateway ready", timeout_s=PATIENCE_S)
    gateway.signal(number)
    assert gateway.wait(timeout_s=PATIENCE_S) == ExitCode.OK, gateway.output
