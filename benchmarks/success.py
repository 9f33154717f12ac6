"""Success against delay, for each way of playing chunks: constant, heavy tails, outages, a trace.

Time is simulated, so that the numbers do not depend on the machine; engine, limits, client protocol, world
and policy are the real ones. `VAGUS_GATES_WEIGHTS` may name files with weights of other trainings (by
scripts/train_gates.py), parted as in PATH; they are run beside those of the package.
`VAGUS_SUCCESS_EPISODES` may say how many episodes each cell has for each of them: 96 take a quarter of an
hour on two idle cores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import Aim, Report, Table, number
from benchmarks.success_runs import Results, Variant, run_all
from vagus.cli.bench_plot import study_plot
from vagus.cli.bench_report import StudyReport, gain_text, shown_law
from vagus.edge.config import AUTO, DelayEstimate, EdgeConfig
from vagus.trials.delay_law import read_law
from vagus.trials.delay_trace import delays_in
from vagus.trials.play_method import METHODS
from vagus.trials.study import cell_of, difference, estimate
from vagus.trials.study_run import BASELINE

__all__ = ["run"]

EPISODES, QUICK_EPISODES = 96, 4
TRACE = f"trace:{Path(__file__).parent / 'traces' / 'shared_server.txt'}"
CONSTANT = ("0", "100", "200", "300", "400")
VARYING = ("lognormal:200:0.5", "mixed:200:500:0.1", "outages:100:0.05:0.7", TRACE)
TAILS = "mixed:200:500:0.1"
QUICK_LAWS = ("200",)
WEIGHTS = "VAGUS_GATES_WEIGHTS"
HOW_MANY = "VAGUS_SUCCESS_EPISODES"
PICTURE = Path("build") / "success_against_delay.png"

DEFAULT = "vagus"
"""What `vagus run` does; nothing is set."""
ORDERINGS: Mapping[tuple[str, str], Sequence[str]] = {
    ("ensemble", "average"): ("0", "100"),
    ("average", "naive"): ("0", "100", "200"),
    ("sync", "naive"): ("0", "100", "200", "300"),
    ("naive", "rtc_soft"): ("200", "300", "400"),
    ("naive", "rtc_hard"): ("200", "300", "400"),
    ("rtc_soft", "rtc_hard"): ("0", "100", "200"),
}
"""(Worse, better) → the constant delays at which it should be so."""
ADVANTAGE = 5.0
"""Points that the default should be above every other way, from 200 ms on."""
TAIL_GAIN = 10.0
"""Points that the median should gain over the worst of the last ten under heavy tails."""
ASKING_ALWAYS: Mapping[str, object] = {"execute_horizon": 1}
"""Where a robot asks rarely, under heavy tails it starves, and what the policy is told hardly matters."""
ESTIMATED: Mapping[str, tuple[str, Mapping[str, object], Mapping[str, str]]] = {
    "rtc_soft": ("rtc_soft", ASKING_ALWAYS, {}),
    "rtc_hard": ("rtc_hard", ASKING_ALWAYS, {}),
    "given prefix": ("rtc_hard", ASKING_ALWAYS, {"continuation": "given"}),
    DEFAULT: (DEFAULT, {}, {}),
}
"""Way of continuing the plan → method, settings of the robot's side, and options of the policy."""
REFILLS: Mapping[str, Mapping[str, object]] = {
    "after 1 action": {"execute_horizon": 1},
    "after 2": {"execute_horizon": 2},
    "after 4": {"execute_horizon": 4},
    "after 8": {"execute_horizon": 8},
    "auto, one at a time": {"execute_horizon": AUTO, "max_in_flight": 1},
    "auto": {"execute_horizon": AUTO},
    "0.5 s before the end": {"execute_horizon": None, "buffer_time_s": EdgeConfig().buffer_time_s},
}
"""When the next chunk is asked for → the settings."""
REFILLED = ("naive", DEFAULT)
REFILL_LAWS = ("0", "100", "200", "300", "400", TAILS)


def run(*, quick: bool) -> Report:
    """Run every way of playing under every law; then the told delay, and when to ask."""
    weights = ["", *filter(None, os.environ.get(WEIGHTS, "").split(os.pathsep))]
    bench = _Bench([""] if quick else weights, quick=quick)
    laws = QUICK_LAWS if quick else (*CONSTANT, *VARYING)
    found = bench.run([Variant(name, name) for name in METHODS], laws)
    report = Report("Success against delay: the embedded policy `gates` on simulated time")
    report.tables += [
        _success_table(bench, found, laws),
        _cost_table(found),
        _gain_table(found, laws),
    ]
    report.aims += _ordering_aims(found, laws)
    report.tables.append(_estimates(bench, report.aims, laws=(TAILS,) if quick else ("200", *VARYING)))
    report.tables.append(_refills(bench, laws=QUICK_LAWS if quick else REFILL_LAWS))
    report.notes.append(f"picture: {_drawn(found, laws, bench)}")
    report.notes.append(f"trainings: {len(bench.weights)}; the interval is of 95 %, over all episodes")
    return report


class _Bench:
    """What all tables have in common: trainings, episodes, processes."""

    def __init__(self, weights: Sequence[str], *, quick: bool) -> None:
        self.weights = weights
        self.episodes = QUICK_EPISODES if quick else int(os.environ.get(HOW_MANY, EPISODES))
        self.chosen = slice(-1, None) if quick else slice(None)
        self._processes = 1 if quick else os.cpu_count() or 1

    def run(self, variants: Sequence[Variant], laws: Sequence[str]) -> Results:
        return run_all(variants, laws, self.weights, episodes=self.episodes, processes=self._processes)

    @property
    def size(self) -> str:
        """Episodes of each cell, in words."""
        return f"{len(self.weights)} × {self.episodes} episodes of six walls in each cell"


def _estimates(bench: _Bench, aims: list[Aim], *, laws: Sequence[str]) -> Table:
    """Return the table of told delays, and add what was promised of them to `aims`."""
    methods, told = list(ESTIMATED)[bench.chosen], [one.value for one in DelayEstimate]
    variants = [
        Variant(f"{name}, {value}", method, {**edge, "delay_estimate": DelayEstimate(value)}, options)
        for name, (method, edge, options) in ESTIMATED.items()
        for value in told
        if name in methods
    ]
    found = bench.run(variants, laws)
    for method in methods:
        worst = f"{method}, {DelayEstimate.MAX.value}"
        usual = f"{method}, {EdgeConfig().delay_estimate.value}"
        if TAILS in laws:
            gain = difference(found[worst, TAILS], found[f"{method}, median", TAILS])
            text = (
                f"{method} told the worst less told the median, {_words(TAILS)}, points ({gain_text(gain)})"
            )
            aims.append(Aim(text, 100 * gain.mean, -TAIL_GAIN))
        for law in laws if usual != worst else ():
            gain = difference(found[worst, law], found[usual, law])
            text = f"{worst} less the default, {_words(law)}, lower end of the interval, points"
            aims.append(Aim(text, 100 * (gain.mean - gain.half_width), 0.0))
    rows = [
        (_words(law), method, *(_success(found, f"{method}, {value}", law) for value in told))
        for law in laws
        for method in methods
    ]
    caption = f"the delay that the policy is told: walls passed, %; {bench.size}"
    return Table(caption, ("delay", "method", *told), rows)


def _refills(bench: _Bench, *, laws: Sequence[str]) -> Table:
    variants = [
        Variant(f"{method}, {when}", method, edge)
        for method in REFILLED[bench.chosen]
        for when, edge in REFILLS.items()
    ]
    found = bench.run(variants, laws)
    rows = [
        (
            variant.method,
            variant.name.partition(", ")[2],
            *(_success(found, variant.name, law) for law in laws),
            *(number(float(np.mean([one.requests for one in found[variant.name, law]]))) for law in laws),
        )
        for variant in variants
    ]
    words = [_words(law) for law in laws]
    columns = ("method", "asks", *words, *(f"requests, {word}" for word in words))
    return Table("when the next chunk is asked for: walls passed, %, and requests per episode", columns, rows)


def _success_table(bench: _Bench, found: Results, laws: Sequence[str]) -> Table:
    rows = [(_words(law), *(_success(found, name, law) for name in METHODS)) for law in laws]
    return Table(f"walls passed, %; {bench.size}", ("delay", *METHODS), rows)


def _cost_table(found: Results) -> Table:
    law = QUICK_LAWS[0]
    rows = []
    for name in METHODS:
        cell = cell_of(name, law, found[name, law])
        rows.append(
            (
                name,
                f"{cell.starved:.1%}",
                number(cell.acceleration),
                number(cell.requests),
                f"{cell.underestimated:.1%}",
            )
        )
    columns = ("", "starved", "command acceleration rms, m/s²", "requests per episode", "came late")
    return Table(f"what each way costs, {_words(law)}", columns, rows)


def _gain_table(found: Results, laws: Sequence[str]) -> Table:
    others = [name for name in METHODS if name != BASELINE]
    rows = [
        (_words(law), *(gain_text(difference(found[name, law], found[BASELINE, law])) for name in others))
        for law in laws
    ]
    caption = f"points more than {BASELINE}, over the same episodes; *: the interval is on one side of 0"
    return Table(caption, ("delay", *others), rows)


def _ordering_aims(found: Results, laws: Sequence[str]) -> list[Aim]:
    aims = [
        _less(found, worse, better, law)
        for (worse, better), at in ORDERINGS.items()
        for law in at
        if law in laws
    ]
    if DEFAULT not in METHODS:
        return aims
    for law in (law for law in laws if law in CONSTANT and float(law) >= 200):
        others = [name for name in METHODS if name != DEFAULT]
        best = max(others, key=lambda name: estimate([one.success for one in found[name, law]]).mean)
        gain = difference(found[best, law], found[DEFAULT, law])
        text = f"the best other ({best}) less {DEFAULT}, {_words(law)}, points ({gain_text(gain)})"
        aims.append(Aim(text, 100 * gain.mean, -ADVANTAGE))
    return aims


def _less(found: Results, worse: str, better: str, law: str) -> Aim:
    gain = difference(found[worse, law], found[better, law])
    text = f"{worse} less {better}, {_words(law)}, upper end of the interval, points"
    return Aim(text, 100 * (gain.mean + gain.half_width), 0.0)


def _success(found: Results, name: str, law: str) -> str:
    share = estimate([one.success for one in found[name, law]])
    return f"{100 * share.mean:.1f} ± {100 * share.half_width:.1f}"


def _words(law: str) -> str:
    return shown_law(read_law(law, read_trace=delays_in)).words


def _drawn(found: Results, laws: Sequence[str], bench: _Bench) -> Path:
    shown = [shown_law(read_law(law, read_trace=delays_in)) for law in laws]
    cells = [cell_of(name, law, found[name, law]) for name in METHODS for law in laws]
    report = StudyReport(
        policy="gates",
        model_hash="",
        world="gates",
        episodes=len(bench.weights) * bench.episodes,
        seed=0,
        baseline=BASELINE,
        laws=tuple(shown),
        methods=tuple(METHODS),
    ).of(cells, of=len(cells))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(study_plot(report, "png"))
    return PICTURE
