"""The same policy beside the robot, behind a network, behind a bad one, and with its server killed.

    python compare.py --episodes 60

Real processes in real time: `vagus router`, `vagus serve`, and `vagus run` with the simulated arm as robot.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import tyro
from beside_robot import beside_robot
from metaworld_arm import ENV_ID
from outcome import Condition, Episode, paired_p, read_journal, table
from plot import save_plot
from rich.console import Console
from rich.progress import track

from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary
from vagus.errors import VagusError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy

HERE = Path(__file__).parent
FIRST = 100_000
"""Number of the first episode; the policy was trained on those from 0 on."""
DELAYS_MS = (50.0, 150.0)
KILL_S = (0.1, 0.4)
"""A server is killed this long after an episode has begun; the quickest success takes 0.6 s."""
START_S = 120.0
POLL_S = 0.005
LEAST_P = 0.05
LEAST_SUCCESS = 0.5
EXECUTE = 10
"""Actions after which the next chunk is asked for, as LeRobot does with this checkpoint."""


class Stage:
    """A router, servers, and robots that are started on it."""

    def __init__(self, folder: Path, checkpoint: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self._stack = stack
        self._runs = 0
        said = self._child("router", ["router", "--listen", "tcp/127.0.0.1:0"]).wait_for_line(
            "router ready on", timeout_s=START_S
        )
        self.endpoint = said.split()[-1]
        self._servers: dict[str, Child] = {}

    def serve(self, *names: str) -> None:
        """Start those of the servers that do not run, and wait until all of them are ready."""
        missing = [name for name in names if name not in self._servers]
        for name in missing:
            sources = ["--options", "allowed_sources", str(self._checkpoint.parent)]
            source = ["--model", str(self._checkpoint), *sources]
            network = ["--connect", self.endpoint, "--server-name", name]
            arguments = ["serve", str(HERE / "serve.toml"), *source, *network, "--max-batch", "1"]
            self._servers[name] = self._child(f"server {name}", arguments)
        for name in missing:
            self._servers[name].wait_for_line("server ready", timeout_s=START_S)

    def kill(self, name: str) -> None:
        """End a server without a warning."""
        server = self._servers.pop(name)
        server.signal(signal.SIGKILL)
        server.wait(timeout_s=START_S)

    def robot(self, first: int, episodes: int, *, endpoint: str = "", execute: int = EXECUTE) -> Robot:
        """Start a robot that plays episodes from number `first` on, and asks after `execute` actions."""
        self._runs += 1
        journal = self._folder / f"journal-{self._runs}.jsonl"
        options = ["mapping", str(HERE / "robot.toml"), "seed", str(first), "env_journal", str(journal)]
        robot = ["--robot", f"gym:{ENV_ID}", "--options", *options, "--execute-horizon", str(execute)]
        network = ["--connect", endpoint or self.endpoint, "--name", "arm"]
        arguments = ["run", *robot, *network, "--episodes", str(episodes), "--json"]
        return Robot(self._child(f"robot {self._runs}", arguments), journal)

    def _child(self, name: str, arguments: list[str]) -> Child:
        return self._stack.enter_context(Child(name, arguments))


class Robot:
    """A running `vagus run`."""

    def __init__(self, child: Child, journal: Path) -> None:
        self.child = child
        self._journal = journal

    @property
    def has_begun(self) -> bool:
        """Whether its first episode has begun."""
        return bool(read_journal(self._journal)[0])

    @property
    def is_over(self) -> bool:
        """Whether its first episode has ended."""
        return bool(read_journal(self._journal)[1])

    def result(self, *, timeout_s: float) -> tuple[RunSummary, list[Episode]]:
        """Wait for the end, and return what the run says and what came of its episodes.

        Raises:
            VagusError: it ended otherwise than by playing all its episodes.
        """
        code = self.child.wait(timeout_s=timeout_s)
        said = [line for line in self.child.output.splitlines() if line.startswith('{"reason"')]
        if code or not said:
            raise VagusError(f"{self.child.name} ended with code {code}:\n{self.child.output}")
        return msgspec.json.decode(said[-1], type=RunSummary), read_journal(self._journal)[1]


def remote(
    stage: Stage, numbers: range, name: str, *, endpoint: str = "", execute: int = EXECUTE
) -> Condition:
    """Play all episodes in one run."""
    stage.serve("a")
    robot = stage.robot(numbers.start, len(numbers), endpoint=endpoint, execute=execute)
    run, episodes = robot.result(timeout_s=START_S + 10.0 * len(numbers))
    return Condition(name, tuple(episodes), _starved([run], episodes))


def delayed(stage: Stage, numbers: range, delay_ms: float, *, execute: int = EXECUTE) -> Condition:
    """Play all episodes behind a path that is slower in both directions."""
    host, port = stage.endpoint.removeprefix("tcp/").split(":")
    with FaultProxy(host, int(port), faults=Faults(delay_ms=delay_ms)) as proxy:
        name = f"vagus, {delay_ms:g} ms more each way" + (", asking always" if execute == 1 else "")
        return remote(stage, numbers, name, endpoint=f"tcp/127.0.0.1:{proxy.port}", execute=execute)


def killed(stage: Stage, numbers: range) -> Condition:
    """Kill the server that serves the robot in every episode; another one is there to take over.

    A run for each episode, because the dead server has to be back before the next one.
    """
    waiter = threading.Event()
    runs, episodes, on_time = [], [], 0
    for number in track(numbers, "killing"):
        stage.serve("a", "b")
        robot = stage.robot(number, 1)
        said = robot.child.wait_for_line("session with", timeout_s=START_S)
        while not robot.has_begun and robot.child.exit_code is None:
            waiter.wait(POLL_S)
        waiter.wait(np.random.default_rng(number).uniform(*KILL_S))
        on_time += not robot.is_over
        stage.kill(said.split("session with ")[1].partition("-")[0])
        run, played = robot.result(timeout_s=START_S)
        runs.append(run)
        episodes += played
    if on_time < len(numbers):
        raise VagusError(
            f"only {on_time} of {len(numbers)} servers were killed before the end of the episode"
        )
    return Condition("vagus, its server killed in every episode", tuple(episodes), _starved(runs, episodes))


def _starved(runs: list[RunSummary], episodes: list[Episode]) -> float:
    """Return the share of the steps that were not an action of a plan."""
    steps = sum(episode.steps for episode in episodes)
    return 1.0 - sum(run.plan_actions for run in runs) / steps


def compare(
    checkpoint: Path = HERE / "outputs/policy", out: Path = HERE / "outputs", episodes: int = 60
) -> int:
    """Play the same episodes under every condition; write table, figures and plot.

    Returns 1 if the policy is no good, or a network without faults or a killed server changed what it does.

    Args:
        checkpoint: folder of the policy.
        out: folder for comparison.json and comparison.png.
        episodes: episodes under each condition.
    """
    os.environ["PYTHONPATH"] = f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"  # for the robots
    os.environ["OMP_NUM_THREADS"] = "1"  # so small a network gains nothing from a second core
    console = Console()
    numbers = range(FIRST, FIRST + episodes)
    folder = out / f"runs-{time.strftime('%Y%m%d-%H%M%S')}"
    folder.mkdir(parents=True)
    conditions = [beside_robot(checkpoint, numbers)]
    with ExitStack() as stack:  # ends every process
        stage = Stage(folder, checkpoint, stack)
        conditions.append(remote(stage, numbers, "vagus, one machine"))
        for execute in (EXECUTE, 1):
            conditions.extend(delayed(stage, numbers, delay_ms, execute=execute) for delay_ms in DELAYS_MS)
        conditions.append(killed(stage, numbers))
    (out / "comparison.json").write_text(
        json.dumps([asdict(condition) for condition in conditions], indent=1)
    )
    save_plot(out / "comparison.png", conditions)
    console.print(table(conditions), highlight=False, soft_wrap=True, markup=False)
    local, loopback, *_, failover = conditions
    problems = [] if local.success.share >= LEAST_SUCCESS else ["the policy did not learn its task"]
    for condition in (loopback, failover):
        p = paired_p(local.episodes, condition.episodes)
        console.print(f"{condition.name}: p = {p:.2f} (aim ≥ {LEAST_P})", highlight=False)
        if p < LEAST_P:
            problems.append(f"{condition.name!r} is not what the policy does beside the robot")
    for problem in problems:
        console.print(f"[red]problem[/] {problem}", highlight=False)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(tyro.cli(compare))
