"""What `vagus bench delay --processes` refuses before it starts a process, and the table that it prints."""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from vagus.cli.bench import BenchCommand
from vagus.cli.bench_processes import ProcessStudy, check_processes, methods_over_processes
from vagus.cli.process_report import show_processes
from vagus.cli.run_report import summary_in
from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError, ProtocolError
from vagus.server.config import ServeConfig
from vagus.trials.agreement import Agreement, ProcessCell
from vagus.trials.delay_law import read_law
from vagus.trials.entrants import enter
from vagus.trials.study import Estimate, StudyCell
from vagus.trials.study_run import DelayStudy


def study(*, robots: int = 4, delay: str = "100") -> ProcessStudy:
    config = ServeConfig(policy="gates")
    with ExitStack() as stack:
        entry = enter(("naive", "rtc_hard"), config, GatesTrial().spec, stack, trust_units=False)
    laws = [read_law(delay, read_trace=lambda _: [80.0])]
    asked = DelayStudy(GatesTrial, entry.entrants, laws, range(10), "naive")
    return ProcessStudy(asked, config, "gates", robots, lambda _: None)


def test_robots_are_shared_among_the_methods_and_none_is_without_a_seed() -> None:
    assert study(robots=5).lanes == 2
    assert study(robots=64).lanes == 10


def test_what_robots_cannot_play_is_left_out_or_refused() -> None:
    playable = methods_over_processes(())
    assert {"naive", "rtc_soft", "rtc_hard"} <= set(playable)
    assert not {"average", "ensemble"} & set(playable)
    assert methods_over_processes(("rtc_soft",)) == ("rtc_soft",)
    with pytest.raises(ConfigError, match=r"methods: wanted with --processes, some of .* got ensemble"):
        methods_over_processes(("naive", "ensemble"))


def test_what_cannot_run_over_processes_is_said_first() -> None:
    check_processes(study())
    with pytest.raises(ConfigError, match=r"world_options: wanted with --processes, no seed .* got every"):
        check_processes(replace(study(), world_options={"every": 3, "rate_hz": 20}))
    with pytest.raises(ConfigError, match="MS or mixed"):
        check_processes(study(delay="lognormal:100:0.5"))
    with pytest.raises(ConfigError, match="a rare delay that ends at a later step"):
        check_processes(study(delay="mixed:160:190:0.1"))  # at 20 Hz
    with pytest.raises(ConfigError, match="at least 2, a robot for each method, got 1"):
        check_processes(study(robots=1))


def test_a_picture_of_processes_is_refused(tmp_path: Path) -> None:
    command = BenchCommand("delay", processes=4, plot=tmp_path / "x.png")
    with pytest.raises(ConfigError, match="plot: wanted no --processes"):
        command.run()


def cell(method: str, real: float, *, agrees: bool) -> ProcessCell:
    played = StudyCell(method, "200", 32, Estimate(real, 0.05), 0.0, 1.0, 20.0, 0.0)
    other = Agreement(played, Estimate(0.012, 0.03 if agrees else 0.01), agrees)
    return ProcessCell(method, "200", played, 3, 175.2, 0.987, other, other)


def test_the_table_says_per_row_whether_both_agree() -> None:
    screen = Console(file=io.StringIO(), width=200)
    show_processes([cell("naive", 0.5, agrees=True), cell("rtc_hard", 0.7, agrees=False)], screen)
    assert isinstance(screen.file, io.StringIO)
    said = screen.file.getvalue()
    first, second = (line for line in said.splitlines() if "200 ms" in line)
    assert "50.0 % ± 5.0" in first
    assert "yes" in first
    assert "no" not in first
    assert "98.7%" in first
    assert "no" in second
    assert "+1.2 ± 1.0 *" in second
    assert "agree: 1 of 2 under the delay, 1 under the measured delays" in said


def test_a_law_is_printed_as_it_was_typed() -> None:
    screen = Console(file=io.StringIO(), width=200)
    show_processes([replace(cell("naive", 0.5, agrees=True), law="mixed:100:300:0.1")], screen)
    assert isinstance(screen.file, io.StringIO)
    assert "mixed:100:300:0.1 " in screen.file.getvalue()


def test_output_without_a_summary_is_no_summary() -> None:
    with pytest.raises(ProtocolError, match=r"no summary of a run .*\nrouter gone"):
        summary_in("router gone")
    with pytest.raises(ProtocolError, match="no summary"):
        summary_in('{"reason": 3}')
