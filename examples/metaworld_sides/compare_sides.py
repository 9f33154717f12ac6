"""The same episodes in real time, over real processes: `vagus router`, `vagus serve`, `vagus run`.

The path between robots and server is slow, in both directions alike.

    python compare_sides.py outputs/weights.npz --delays 0 200

Several robots play beside each other, each a process of its own. `simulate_sides.py` is the same, simulated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import tyro
from sides_results import FIRST, HERE, Cell, PlayedEpisode, in_markdown, read_journal

from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary
from vagus.errors import VagusError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy

ENV_ID = "sides_arm/Sides-v0"
START_S = 120.0
LONGEST_S = 10.0
"""Longest episode, with what comes before and after it."""
SYNC_ACTIONS = "8"
QUICKER_MS = 45
"""The path is so much quicker than the delay: about 20 ms are the robot's step, inference and what lies
between, and the rest aims at the middle of the step in which the delay ends."""


@dataclass(frozen=True)
class Way:
    """A way of playing chunks.

    Attributes:
        policy: options of the policy.
        robot: flags of `vagus run`.
    """

    policy: tuple[str, ...] = ()
    robot: tuple[str, ...] = ()


ALONE = ("--max-in-flight", "1")
WAYS: Mapping[str, Way] = {
    "sync": Way(
        ("actions", SYNC_ACTIONS), ("--no-rtc", "--execute-horizon", "None", "--buffer-time-s", "1e-9")
    ),
    "naive": Way((), ("--no-rtc",)),
    "rtc_soft": Way(("continuation", "guided", "rtc_schedule", "exp"), ALONE),
    "rtc_hard": Way(("continuation", "guided", "rtc_schedule", "zeros"), ALONE),
    "vagus": Way(),
}
"""Name → way. The robot executes 8 actions and waits (sync), switches (naive), continues its plan by guidance
as `vagus bench delay` has it, or gets chunks to which its first actions are given (vagus)."""


class Stage:
    """A router, a server for each way of playing, and robots that are started on it."""

    def __init__(self, weights: Path, folder: Path, stack: ExitStack, *, jumps: bool) -> None:
        self._weights = weights
        self._jumps = jumps
        self._folder = folder
        self._stack = stack
        self._runs = 0
        said = self._child("router", ["router", "--listen", "tcp/127.0.0.1:0"]).wait_for_line(
            "router ready on", timeout_s=START_S
        )
        self.endpoint = said.split()[-1]

    def serve(self, way: str) -> None:
        """Start the server of a way of playing."""
        options = ["weights", str(self._weights), *WAYS[way].policy]
        policy = ["--policy", f"{HERE / 'sides_policy.py'}:SidesPolicy", "--options", *options]
        arguments = ["serve", *policy, "--service", way, "--connect", self.endpoint]
        self._child(f"server of {way}", arguments).wait_for_line("server ready", timeout_s=START_S)

    def play(self, way: str, numbers: range, robots: int, *, endpoint: str) -> list[PlayedEpisode]:
        """Play episodes with some robots at once, and return what came of them, in their order.

        Raises:
            VagusError: a robot ended otherwise than by playing all its episodes.
        """
        shares = [
            numbers[len(numbers) * k // robots : len(numbers) * (k + 1) // robots] for k in range(robots)
        ]
        running = [self._robot(way, share, endpoint) for share in shares if share]
        return [episode for robot in running for episode in _played(*robot)]

    def _robot(self, way: str, share: range, endpoint: str) -> tuple[Child, Path, int]:
        self._runs += 1
        journal = self._folder / f"journal-{self._runs}.jsonl"
        options = ["mapping", str(HERE / "robot.toml"), "seed", str(share.start), "env_journal", str(journal)]
        options += ["env_jumps", str(self._jumps).lower()]
        robot = ["--robot", f"gym:{ENV_ID}", "--options", *options, "--name", f"arm-{self._runs}"]
        network = ["--connect", endpoint, "--service", way]
        arguments = ["run", *robot, *network, *WAYS[way].robot, "--episodes", str(len(share)), "--json"]
        return self._child(f"robot {self._runs}", arguments), journal, len(share)

    def _child(self, name: str, arguments: Sequence[str]) -> Child:
        return self._stack.enter_context(Child(name, arguments))


def _played(child: Child, journal: Path, wanted: int) -> list[PlayedEpisode]:
    code = child.wait(timeout_s=START_S + LONGEST_S * wanted)
    said = [line for line in child.output.splitlines() if line.startswith('{"reason"')]
    episodes = read_journal(journal)
    if code or not said or len(episodes) != wanted:
        raise VagusError(
            f"{child.name} ended with code {code} after {len(episodes)} episodes:\n{child.output}"
        )
    run = msgspec.json.decode(said[-1], type=RunSummary)
    return [episode.of_run(run) for episode in episodes]


def compare(  # noqa: PLR0913 - each is a flag
    weights: Path,
    /,
    out: Path = HERE / "outputs/processes.json",
    delays: tuple[int, ...] = (0, 100, 200, 300),
    ways: tuple[str, ...] = tuple(WAYS),
    episodes: int = 60,
    robots: int = 5,
    *,
    jumps: bool = True,
) -> None:
    """Play the same episodes in each way at each delay; print a table, and write what came of each episode.

    Args:
        weights: file of the policy's weights.
        out: file for the episodes.
        delays: times from an observation to its chunk, in ms.
        ways: ways of playing.
        episodes: episodes of each cell.
        robots: robots that play beside each other.
        jumps: whether posts jump.
    """
    os.environ["PYTHONPATH"] = f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"  # for the robots
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    out.parent.mkdir(parents=True, exist_ok=True)
    cells: list[Cell] = []
    with ExitStack() as stack:  # ends every process
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="vagus-sides-")))
        stage = Stage(weights.resolve(), folder, stack, jumps=jumps)
        for way in ways:
            stage.serve(way)
        for delay_ms in delays:
            host, port = stage.endpoint.removeprefix("tcp/").split(":")
            with FaultProxy(
                host, int(port), faults=Faults(delay_ms=max(delay_ms - QUICKER_MS, 0) / 2)
            ) as proxy:
                for way in ways:
                    numbers = range(FIRST, FIRST + episodes)
                    played = stage.play(way, numbers, robots, endpoint=f"tcp/127.0.0.1:{proxy.port}")
                    cells.append(Cell(way, delay_ms, tuple(played)))
                    print(cells[-1].told, flush=True)
                    out.write_text(json.dumps([asdict(cell) for cell in cells], indent=1))
    print(in_markdown(cells))


if __name__ == "__main__":
    tyro.cli(compare)
