"""Trials over real processes: router, servers, robots and `vagus chaos`, beside simulated ones.

Everything ends with the block that it runs in: the robots are told to stop, and a process that does not end
is killed.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode
from vagus.cli.process_flags import chaos_flags, edge_flags, manifest_of
from vagus.cli.run_report import summary_in
from vagus.errors import ConfigError, VagusError
from vagus.import_path import Option
from vagus.recording.reader import read
from vagus.server.config import ServeConfig
from vagus.trials.agreement import ProcessCell, compare
from vagus.trials.delay_law import DelayLaw
from vagus.trials.named_robot import LANE, make_world_robot
from vagus.trials.play_method import METHODS
from vagus.trials.recorded_trial import PlayedEpisode, played_episodes
from vagus.trials.study_run import DelayStudy, Entrant
from vagus.trials.trial_robot import EpisodeResult
from vagus.trials.trial_run import DelayTrial, run_trials
from vagus.trials.world_robot import WorldReport

__all__ = ["ProcessStudy", "check_processes", "methods_over_processes", "process_cells"]

START_S = 60.0
"""Longest wait for a process to be up."""
SLOWEST = 1.5
"""Longest run of a robot, as a multiple of the time that its steps take."""
LOOK_S = 0.2
"""Pause between two looks at the processes."""
LOCAL = "127.0.0.1"
ROBOT = f"{make_world_robot.__module__}:{make_world_robot.__name__}"
"""Robot of `vagus run` that lives in a world."""


@dataclass(frozen=True)
class ProcessStudy:
    """A study that runs over real processes.

    Attributes:
        study: what is compared; its policies are for the simulated trials beside the real ones.
        config: the policy, as its operator set it up.
        world: name of the world.
        world_options: its settings.
        trust_units: whether units that one side does not state are taken on trust.
        robots: robot processes at once.
        say: tells where it is.
    """

    study: DelayStudy
    config: ServeConfig
    world: str
    robots: int
    say: Callable[[str], None]
    world_options: Mapping[str, Option] = field(default_factory=dict)
    trust_units: bool = False

    @property
    def lanes(self) -> int:
        """Robots of each way of playing."""
        return min(self.robots // len(self.study.entrants), len(self.study.seeds))


def methods_over_processes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that robots of vagus can play; of none: all of these.

    Raises:
        ConfigError: one that they cannot.
    """
    there = tuple(name for name, method in METHODS.items() if method.is_offered)
    for name in names:
        if name in METHODS and name not in there:
            wanted = f"with --processes, some of {', '.join(there)}, which robots can play"
            raise ConfigError("methods", wanted=wanted, got=name)
    return tuple(names) or there


def check_processes(wanted: ProcessStudy) -> None:
    """Raise ConfigError unless a study can run over real processes."""
    taken = sorted({"world", *LANE} & set(wanted.world_options))
    if taken:
        raise ConfigError(
            "world_options", wanted="with --processes, no seed or number of episodes", got=taken[0]
        )
    for law in wanted.study.laws:
        chaos_flags(law, 1000 / wanted.study.entrants[0].offered.rate_hz)
    methods = len(wanted.study.entrants)
    if wanted.robots < methods:
        one_each = f"at least {methods}, a robot for each method"
        raise ConfigError("processes", wanted=one_each, got=str(wanted.robots))


def process_cells(wanted: ProcessStudy) -> Iterator[ProcessCell]:
    """Yield the cells of a study, law by law: real episodes beside simulated ones of the same seeds.

    Args:
        wanted: the study; `check_processes` has accepted it.

    Raises:
        VagusError: a process failed, or did not end in time; its last words are in the message.
        ConfigError: too few episodes count, because the machine was too slow.
    """
    for law in wanted.study.laws:
        with tempfile.TemporaryDirectory(prefix="vagus-bench-") as folder, ExitStack() as stack:
            played = _Rig(wanted, law, Path(folder), stack).play()
        for entrant in wanted.study.entrants:
            yield _compared(wanted.study, entrant, law, played[entrant.name])


def _compared(
    study: DelayStudy, entrant: Entrant, law: DelayLaw, episodes: Sequence[PlayedEpisode]
) -> ProcessCell:
    def simulate(under: DelayLaw, waits: Mapping[int, int]) -> Sequence[EpisodeResult]:
        trial = DelayTrial(study.make_world, entrant.policy, entrant.method, under, entrant.offered, waits)
        return run_trials(trial, study.seeds, robots=study.robots)

    return compare(entrant.name, law, episodes, simulate, step_ms=1000 / entrant.offered.rate_hz)


class _Rig:
    """The processes of one law: a router, `vagus chaos` before it, and each method's server and robots."""

    def __init__(self, wanted: ProcessStudy, law: DelayLaw, folder: Path, stack: ExitStack) -> None:
        self._wanted = wanted
        self._law = law
        self._folder = folder
        self._stack = stack
        self._others: list[Child] = []
        self._robots: dict[str, list[Child]] = {}

    def play(self) -> dict[str, list[PlayedEpisode]]:
        """Return the episodes of each method, in the order of their seeds."""
        entrants = self._wanted.study.entrants
        router = self._start("router", "router", "--listen", f"tcp/{LOCAL}:0", until="router ready on")
        endpoint = router.split()[-1]
        flags = chaos_flags(self._law, 1000 / entrants[0].offered.rate_hz)
        target = endpoint.partition("/")[2]
        proxy = self._start("chaos", "chaos", f"{LOCAL}:0", target, *flags, until="forwarding")
        for entrant in entrants:
            self._serve(entrant, endpoint)
        self._stack.callback(self._stop_robots)
        for entrant in entrants:
            self._robots[entrant.name] = self._drive(entrant, f"tcp/{proxy.split()[1]}")
        self._await_robots()
        return {name: _episodes(robots) for name, robots in self._robots.items()}

    def _start(self, name: str, *arguments: str, until: str) -> str:
        """Start a process; return the line in which it says that it is up."""
        child = self._stack.enter_context(Child(name, arguments))
        self._others.append(child)
        said = child.wait_for_line(until, timeout_s=START_S)
        child.follow(lambda: None)
        return said

    def _serve(self, entrant: Entrant, endpoint: str) -> None:
        method, manifest = entrant.method, self._folder / f"{entrant.name}.json"
        manifest.write_bytes(manifest_of(self._wanted.config, method.policy, method.options))
        arguments = ["serve", str(manifest), "--service", entrant.name, "--connect", endpoint]
        self._start(f"server of {entrant.name}", *arguments, until="server ready")

    def _drive(self, entrant: Entrant, endpoint: str) -> list[Child]:
        """Start the robots of a method, which share the seeds; return them."""
        wanted, robots = self._wanted, list[Child]()
        for at in range(wanted.lanes):
            seeds, name = wanted.study.seeds[at :: wanted.lanes], f"{entrant.name}-{at}"
            every = seeds[1] - seeds[0] if len(seeds) > 1 else 1
            lane = {"world": wanted.world, "seed": seeds[0], "episodes": len(seeds), "every": every}
            told = {**lane, **wanted.world_options}.items()
            robot = ["--robot", ROBOT, "--options", *(str(word) for pair in told for word in pair)]
            network = ["--connect", endpoint, "--service", entrant.name, "--name", name]
            record = ["--json", "--record", str(self._folder / "runs"), "--record.no-images"]
            edge = replace(entrant.method.edge, trust_units=wanted.trust_units)
            arguments = ["run", *robot, *network, *record, *edge_flags(edge)]
            robots.append(self._stack.enter_context(Child(f"robot {name}", arguments)))
        for child in robots:
            child.wait_for_line("robot running", timeout_s=START_S)
            child.follow(lambda: None)
        return robots

    def _await_robots(self) -> None:
        """Return once all robots have ended.

        Raises:
            VagusError: one failed or takes too long, or a process that all need has ended.
        """
        wanted, robots = self._wanted, [robot for some in self._robots.values() for robot in some]
        world = wanted.study.make_world()
        episodes = -(-len(wanted.study.seeds) // wanted.lanes)
        long_s = episodes * world.max_steps / world.spec.rate_hz
        world.close()
        wanted.say(f"delay {self._law.name}: {len(robots)} robots run for {long_s:.0f} s")
        end_s = time.monotonic() + SLOWEST * long_s + START_S
        while any(robot.exit_code is None for robot in robots):
            lost = [child for child in self._others if child.exit_code is not None]
            lost += [robot for robot in robots if robot.exit_code not in (None, ExitCode.OK)]
            for child in lost:
                raise VagusError(f"{child.name} ended with code {child.exit_code}:\n{child.output}")
            if time.monotonic() > end_s:
                raise VagusError(f"the robots have not ended after {SLOWEST * long_s + START_S:.0f} s")
            time.sleep(LOOK_S)

    def _stop_robots(self) -> None:
        """Tell all robots at once to end: one after another would take long."""
        for robots in self._robots.values():
            for robot in robots:
                robot.signal(signal.SIGTERM)


def _episodes(robots: Sequence[Child]) -> list[PlayedEpisode]:
    """Return what robots have played, in the order of the seeds."""
    found: list[PlayedEpisode] = []
    for robot in robots:
        code = robot.wait(timeout_s=START_S)
        if code != ExitCode.OK:
            raise VagusError(f"{robot.name} ended with code {code}:\n{robot.output}")
        run = summary_in(robot.output)
        report = msgspec.convert(run.robot, WorldReport)
        found += played_episodes(read(run.recording), report)
    return sorted(found, key=lambda episode: episode.result.seed)
