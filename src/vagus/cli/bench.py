"""Command `vagus bench`: what delay costs a policy in a world, for each way of playing its chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vagus.cli.backend_help import help_on, policy_among
from vagus.cli.bench_plot import study_plot
from vagus.cli.bench_policy import PolicyFlags
from vagus.cli.bench_processes import ProcessStudy, check_processes, methods_over_processes, process_cells
from vagus.cli.bench_progress import StudyLine
from vagus.cli.bench_report import StudyReport, show_study, shown_law
from vagus.cli.console import console, say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.output_file import check_output
from vagus.cli.parse import parse_as
from vagus.cli.plan_plot import PLOT_SUFFIXES, check_plot
from vagus.cli.process_report import show_processes
from vagus.cli.serve import WAIT_POLICY
from vagus.cli.signals import ended_by_signals
from vagus.cli.switches import with_switches
from vagus.errors import ConfigError, VagusError
from vagus.import_path import Option
from vagus.server.config import ServeConfig
from vagus.setting_ranges import check_count
from vagus.trials.agreement import ProcessCell
from vagus.trials.delay_law import DelayLaw, read_law
from vagus.trials.delay_trace import delays_in
from vagus.trials.entrants import chosen_methods, enter
from vagus.trials.named_robot import MOST_SEED
from vagus.trials.registry import WORLDS, world_maker
from vagus.trials.study import StudyCell, check_episodes, needed_episodes
from vagus.trials.study_run import DelayStudy, chosen_baseline, study_cells

__all__ = ["BenchCommand"]

MOST_PROCESSES = 256
MOST_INFERENCE_MS = 1e6
MOST_EPISODES = 1_000_000
"""As many as make an interval of a tenth of a point; of `gates` a core plays them in a day."""
QUICK_EPISODES = 32
"""Episodes of each cell where nobody asks for a number or an interval: a look, in about a minute."""
USUAL_DELAYS = ("0", "100", "200", "300")


@dataclass(frozen=True)
class BenchCommand:
    """Measure what delay costs a policy in a simulated world, for each way of playing its chunks.

    Each way is run over the same episodes and the same delays, through the real engine, on simulated time:
    the result does not depend on this machine. Example: vagus bench delay --policy gates --delays 0 200 400
    """

    action: Annotated[Literal["delay"], tyro.conf.Positional]
    """delay: success against delay."""
    policy: Annotated[PolicyFlags, tyro.conf.arg(name="")] = field(default_factory=PolicyFlags)
    world: str = "gates"
    """gates (walls with two gaps), gym:<environment id>, or your own (file.py:Class)."""
    world_options: dict[str, Option] = field(default_factory=dict)
    """Settings of the world; for gym: those of `vagus run --robot gym:…`, e.g. mapping world.yaml, and
    success KEY: the key of `info` that says whether an episode succeeded."""
    methods: tuple[str, ...] = ()
    """Ways of playing chunks: sync, naive, average, ensemble, rtc_soft, rtc_hard …; unset: all that the
    policy can."""
    delays: tuple[str, ...] = USUAL_DELAYS
    """Laws of the time from an observation to its chunk: MS, lognormal:MEDIAN:SIGMA, mixed:USUAL:RARE:SHARE,
    outages:USUAL:SHARE:SECONDS, trace:FILE."""
    inference_ms: float = 0.0
    """Part of each delay in which the policy's device works for one robot. A robot does not ask oftener than
    its device can answer; 0: all delay is network."""
    episodes: int | None = None
    """Episodes of each cell; unset: as many as --interval needs, or 32."""
    interval: float | None = None
    """Half of the longest interval of success (95 %) that you accept, as a share, e.g. 0.05; unset: any."""
    baseline: str = ""
    """Way of playing that the others are compared with; unset: naive, or else the first."""
    seed: int = 0
    """Seed of the first episode; the others follow."""
    robots: int = 32
    """Robots that run side by side, and so the largest batch of the policy."""
    processes: int | None = None
    """Run the episodes in real time by so many robot processes at once, with router, servers and `vagus
    chaos`, and compare them with simulated ones of the same seeds; 16 suit two cores."""
    json: Path | None = None
    """Write the results to this file (.json)."""
    plot: Path | None = None
    """Draw success against delay (.png, .pdf or .svg); needs matplotlib (vagus[plot])."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> BenchCommand:
        """Return the command as the arguments have it.

        Raises:
            SystemExit: help was asked for, or a flag does not fit; either was printed.
            ConfigError: a setting is wrong.
        """
        with help_on(policy_among(arguments)):
            return parse_as(cls, "bench", arguments)

    def __post_init__(self) -> None:
        check_count("episodes", self.episodes)
        check_count("robots", self.robots)
        check_count("processes", self.processes, most=MOST_PROCESSES)
        check_count("seed", self.seed, least=0, most=MOST_SEED)
        if not 0 <= self.inference_ms <= MOST_INFERENCE_MS:
            raise ConfigError(
                "inference_ms",
                wanted=f"milliseconds, 0 to {MOST_INFERENCE_MS:g}",
                got=repr(self.inference_ms),
            )

    def run(self) -> int:
        """Run the study, and print what came of it; Ctrl-C ends it, and what is complete is printed."""
        os.environ.setdefault(*WAIT_POLICY)
        with ended_by_signals(), ExitStack() as open_policies:
            report, study = self._prepared(open_policies)
            if self.processes is not None:
                self._run_processes(report, study, self.processes)
                return ExitCode.OK
            cells: list[StudyCell] = []
            try:
                with StudyLine(console(stderr=True), study) as line:
                    for cell in study_cells(study, line.advance):
                        cells.append(cell)
                        line.tell(cell)
            finally:  # an hour of work is not lost for what ends it
                self._tell(report.of(cells, of=study.cells))
        return ExitCode.OK

    def _run_processes(self, report: StudyReport, study: DelayStudy, robots: int) -> None:
        screen = console(stderr=True)
        wanted = ProcessStudy(
            study,
            self._config,
            self.world,
            robots,
            lambda text: say(text, screen),
            with_switches(self.world_options),
            trust_units=self.policy.trust_units,
        )
        check_processes(wanted)
        cells: list[ProcessCell] = []
        try:
            cells.extend(process_cells(wanted))
        finally:  # what is complete is told, whatever ends it
            if cells:
                show_processes(cells, console())
                self._write(replace(report, processes=tuple(cells), is_complete=len(cells) == study.cells))

    @property
    def _config(self) -> ServeConfig:
        """The policy's settings, as a server would have them."""
        return self.policy.config(self.world if self.world in WORLDS else "")

    def _prepared(self, open_policies: ExitStack) -> tuple[StudyReport, DelayStudy]:
        """Return the study, after all that can be wrong was looked at.

        Raises:
            VagusError: something is.
        """
        self._check_files()
        laws = _laws(self.delays)
        methods = self.methods if self.processes is None else methods_over_processes(self.methods)
        chosen_methods(methods)
        episodes = self._episodes()
        config = self._config
        make_world = world_maker(self.world, with_switches(self.world_options))
        world = make_world()
        world.close()
        entry = enter(methods, config, world.spec, open_policies, trust_units=self.policy.trust_units)
        baseline = chosen_baseline(self.baseline, [entrant.name for entrant in entry.entrants])
        for note in entry.notes:
            say(note, console(stderr=True))
        report = StudyReport(
            policy=config.policy,
            model_hash=entry.plain.model_hash,
            world=self.world,
            episodes=episodes,
            seed=self.seed,
            baseline=baseline,
            inference_ms=self.inference_ms,
            laws=tuple(shown_law(law) for law in laws),
            methods=tuple(entrant.name for entrant in entry.entrants),
            notes=entry.notes,
        )
        seeds = range(self.seed, self.seed + episodes)
        return report, DelayStudy(
            make_world, entry.entrants, laws, seeds, baseline, self.robots, self.inference_ms
        )

    def _check_files(self) -> None:
        if self.json is not None:
            check_output("json", self.json, (".json",))
        if self.plot is not None and self.processes is not None:
            raise ConfigError("plot", wanted="no --processes, whose result is a table", got="both")
        if self.plot is not None:
            check_output("plot", self.plot, PLOT_SUFFIXES)
            check_plot()

    def _episodes(self) -> int:
        """Return the episodes of each cell.

        Raises:
            ConfigError: too few for the interval that was asked for, or more than anybody can wait for.
        """
        usual = QUICK_EPISODES if self.interval is None else needed_episodes(self.interval)
        episodes = usual if self.episodes is None else self.episodes
        check_episodes(episodes, self.interval)
        if episodes > MOST_EPISODES:
            wanted = f"at most {MOST_EPISODES} episodes of each cell, or a wider interval"
            raise ConfigError("episodes", wanted=wanted, got=str(episodes))
        if self.seed + episodes - 1 > MOST_SEED:
            raise ConfigError(
                "seed", wanted=f"all seeds up to {MOST_SEED}", got=str(self.seed + episodes - 1)
            )
        return episodes

    def _tell(self, report: StudyReport) -> None:
        """Print and write what is complete."""
        if not report.cells:
            say("nothing is complete", console(stderr=True))
            return
        show_study(report, console())
        self._write(report)

    def _write(self, report: StudyReport) -> None:
        """Write both files; what one cannot have, the other has all the same.

        Raises:
            VagusError: one cannot be written.
        """
        files: list[tuple[Path, Callable[[], bytes]]] = []
        if self.json is not None:
            files.append((self.json, report.to_json))
        if self.plot is not None:
            form = self.plot.suffix.lower().removeprefix(".")
            files.append((self.plot, lambda: study_plot(report, form)))
        failed = [trouble for path, content in files if (trouble := _written(path, content))]
        if failed:
            raise VagusError(f"not written: {'; '.join(failed)}")


def _written(path: Path, content: Callable[[], bytes]) -> str:
    """Write a file and say so; return why it cannot be written, "" if it was."""
    try:
        path.write_bytes(content())
    except OSError as error:
        return f"{path}: {error.strerror}"
    say(f"written: {path}", console(stderr=True))
    return ""


def _laws(texts: Sequence[str]) -> list[DelayLaw]:
    """Return the laws that were typed.

    Raises:
        ConfigError: none, one that is no law, or one that is there twice.
    """
    laws = [read_law(text, read_trace=delays_in) for text in texts]
    twice = [law.name for law in laws if [one.name for one in laws].count(law.name) > 1]
    if twice or not laws:
        raise ConfigError("delays", wanted="each law once", got=f"{twice[0]} twice" if twice else "none")
    return laws
