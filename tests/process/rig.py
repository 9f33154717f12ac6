"""Real processes: a router, servers and robots, and what a robot's own recording says about its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary
from vagus.clock import NS_PER_MS
from vagus.demo.robot import SimReport

HERE = Path(__file__).parent
WAVE = f"{HERE / 'wave_policy.py'}:Wave"
START_S = 60.0
"""Longest wait for a process to be up; the machine may be busy with others."""
PATIENCE_S = 30.0
ROBOT = "robot "
MAX_AGE_MS = 3000.0
"""`max_action_age_s` of the defaults."""
ROUNDING_NS = 2_000
"""The recording gives ages in whole microseconds."""


class Row(msgspec.Struct, frozen=True):
    """One line of the recording."""

    t_ns: int
    epoch: int | None
    seq: int | None
    episode: int
    step: int | None
    index: int | None
    age_ms: float | None
    link: str
    motion: str
    is_moving: bool
    action: tuple[float, ...]
    state: tuple[float, ...]

    @property
    def is_plan_action(self) -> bool:
        """Whether an action of the plan was commanded."""
        return self.step is not None

    @property
    def captured_ns(self) -> int:
        """When the observation behind the plan action was captured."""
        assert self.age_ms is not None
        return self.t_ns - round(self.age_ms * NS_PER_MS)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, what was recorded, and everything the process said."""

    run: RunSummary
    rows: list[Row]
    output: str

    @property
    def report(self) -> SimReport:
        """What the simulated robot says about the commands it was sent."""
        return msgspec.convert(self.run.robot, SimReport)

    @property
    def plan_rows(self) -> list[Row]:
        """The rows with an action of the plan."""
        return [row for row in self.rows if row.is_plan_action]

    def starved_between(self, begin_ns: int, end_ns: int) -> int:
        """Return the ticks without a plan action in a span of time."""
        return sum(1 for row in self.rows if begin_ns <= row.t_ns < end_ns and not row.is_plan_action)

    def first_fresh_ns(self, after_ns: int) -> int | None:
        """Return when an action of an observation captured after `after_ns` was first commanded."""
        return next((row.t_ns for row in self.plan_rows if row.captured_ns >= after_ns), None)


def check_safe(outcome: Outcome) -> None:
    """Assert everything that must hold in every run, whatever was done to it."""
    audit = outcome.report.audit
    assert audit.violations == 0, audit
    assert outcome.run.camera_errors == 0, outcome.output
    assert "Traceback" not in outcome.output, outcome.output
    assert outcome.run.counters.get("worker_errors", 0) == 0, outcome.output
    assert outcome.plan_rows, outcome.output
    assert max(row.age_ms or 0.0 for row in outcome.plan_rows) <= MAX_AGE_MS
    check_steps(outcome.rows)
    check_nothing_from_before_a_fallback(outcome.rows)


def check_steps(rows: Iterable[Row]) -> None:
    """Assert that no step comes twice or out of order within an episode, and each from one chunk only."""
    before: Row | None = None
    for row in rows:
        if not row.is_plan_action:
            continue
        if before is not None and before.episode == row.episode:
            assert row.step is not None
            assert before.step is not None
            assert row.step >= before.step, (before, row)
            if row.step == before.step:
                assert (row.epoch, row.seq, row.index) == (before.epoch, before.seq, before.index)
        before = row


def check_nothing_from_before_a_fallback(rows: Iterable[Row]) -> None:
    """Assert that no action was commanded whose observation is older than a fallback's last motion."""
    moved_ns = 0
    for row in rows:
        if row.is_moving and not row.is_plan_action:
            moved_ns = row.t_ns
        elif row.is_plan_action:
            assert row.captured_ns + ROUNDING_NS >= moved_ns, row


class Rig:
    """Starts processes in a folder, and ends all of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.router = self.child("router", ["router", "--listen", "tcp/127.0.0.1:0"])
        said = self.router.wait_for_line("router ready on", timeout_s=START_S)
        self.endpoint = said.split()[-1]
        self.port = int(self.endpoint.rpartition(":")[2])

    def child(self, name: str, arguments: Sequence[str], *, python: str = sys.executable) -> Child:
        """Start a command."""
        return self._stack.enter_context(Child(name, arguments, python=python))

    def start_server(
        self, name: str = "a", *arguments: str, policy: str = WAVE, options: Sequence[str] = ()
    ) -> Child:
        """Start a server; it may not be ready yet."""
        network = ["--connect", self.endpoint, "--server-name", name]
        told = ["--options", *options] if options else []
        return self.child(
            f"server {name}", ["serve", "--policy", policy, "--model", "wave", *network, *arguments, *told]
        )

    def serve(
        self, name: str = "a", *arguments: str, policy: str = WAVE, options: Sequence[str] = ()
    ) -> Child:
        """Start a server and wait until it is ready."""
        server = self.start_server(name, *arguments, policy=policy, options=options)
        server.wait_for_line("server ready", timeout_s=START_S)
        return server

    def start_manifest(
        self, settings: Mapping[str, object], name: str = "a", *arguments: str, python: str = sys.executable
    ) -> Child:
        """Start a server by a manifest with these settings; it may not be ready yet."""
        manifest = self.folder / f"{name}.json"
        manifest.write_bytes(msgspec.json.encode(settings))
        network = ["--connect", self.endpoint, "--server-name", name]
        return self.child(f"server {name}", ["serve", str(manifest), *network, *arguments], python=python)

    def run(self, name: str, *arguments: str, robot: str = "sim", port: int | None = None) -> Child:
        """Start a robot and wait until it runs; `port`: of a proxy on the way to the router."""
        robot_process = self.start_robot(name, *arguments, robot=robot, port=port)
        robot_process.wait_for_line("robot running", timeout_s=START_S)
        return robot_process

    def start_robot(
        self,
        name: str,
        *arguments: str,
        robot: str = "sim",
        port: int | None = None,
        python: str = sys.executable,
    ) -> Child:
        """Start a robot; it may not run yet."""
        network = ["--connect", self.endpoint_at(port), "--name", name]
        is_told = "--record" in arguments
        record = [] if is_told else ["--record", str(self.folder / "runs"), "--record.no-images"]
        command = ["run", "--robot", robot, "--json", *network, *record, *arguments]
        return self.child(f"{ROBOT}{name}", command, python=python)

    def endpoint_at(self, port: int | None) -> str:
        """Return the router's endpoint, or that of a proxy."""
        return self.endpoint if port is None else f"tcp/127.0.0.1:{port}"

    def call(self, *arguments: str, timeout_s: float = START_S) -> subprocess.CompletedProcess[str]:
        """Run a command of this network to its end."""
        return call(*arguments, "--connect", self.endpoint, timeout_s=timeout_s)

    def restart_router(self) -> None:
        """Start the router again on the same port."""
        self.router = self.child("router", ["router", "--listen", self.endpoint])
        self.router.wait_for_line("router ready on", timeout_s=START_S)


@contextmanager
def rig_in(folder: Path) -> Iterator[Rig]:
    """Yield a rig with a running router; end every process afterwards."""
    with ExitStack() as stack:
        yield Rig(folder, stack)


def kill(process: Child) -> None:
    """Kill with SIGKILL and wait for the end."""
    process.signal(signal.SIGKILL)
    process.wait(timeout_s=PATIENCE_S)


def outcome_of(robot: Child, *, timeout_s: float = PATIENCE_S) -> Outcome:
    """Wait for a robot to end by itself and return what it said and recorded."""
    run = summary_of(robot, timeout_s=timeout_s)
    decode = msgspec.json.Decoder(Row).decode
    lines = (Path(run.recording) / "steps.jsonl").read_bytes().splitlines()
    return Outcome(run, [decode(line) for line in lines], robot.output)


def summary_of(robot: Child, *, timeout_s: float = PATIENCE_S) -> RunSummary:
    """Wait for a robot to end by itself and return its summary."""
    code = robot.wait(timeout_s=timeout_s)
    said = [line for line in robot.output.splitlines() if line.startswith('{"reason"')]
    assert said, robot.output
    run = msgspec.json.decode(said[-1], type=RunSummary)
    assert run.exit_code == code
    return run


def stop_robot(robot: Child) -> Outcome:
    """End a robot with Ctrl-C and return what it said."""
    robot.signal(signal.SIGINT)
    return outcome_of(robot)


def wait_until(
    is_true: Callable[[], bool], what: Callable[[], str], *, timeout_s: float = PATIENCE_S
) -> None:
    """Return once `is_true`; fail after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what()}"
        time.sleep(0.05)


def rows_so_far(folder: Path, name: str, *, last: int = 0) -> list[Row]:
    """Return what the newest recording of a robot holds already: everything, or the last rows alone."""
    decode = msgspec.json.Decoder(Row).decode
    files = sorted((folder / "runs").glob(f"*-{name}-*/steps.jsonl"))
    lines = files[-1].read_bytes().splitlines() if files else []
    return [decode(line) for line in lines[-last:]]


def await_fresh(folder: Path, robot: Child, after_ns: int, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a robot commands an action of an observation captured after `after_ns`."""
    name = robot.name.removeprefix(ROBOT)

    def is_fresh() -> bool:
        assert robot.exit_code is None, robot.output
        return any(row.is_plan_action and row.captured_ns >= after_ns for row in rows_so_far(folder, name))

    wait_until(is_fresh, lambda: f"{name} moves by a fresh observation\n{robot.output}", timeout_s=timeout_s)


def call(*arguments: str, timeout_s: float = START_S) -> subprocess.CompletedProcess[str]:
    """Run `vagus <arguments>` to its end, output and errors apart."""
    return subprocess.run(
        [sys.executable, "-m", "vagus", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )


def check_one_line(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> str:
    """Assert that a command ended with `code` and one line that says `parts`; return the line."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("vagus: "), lines
    for part in parts:
        assert part in lines[0], lines
    return lines[0]
