"""Tables and pictures of a study, whole or not."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from vagus.cli.bench_plot import study_figure, study_plot
from vagus.cli.bench_report import StudyReport, show_study, shown_law
from vagus.trials.delay_law import read_law
from vagus.trials.study import Estimate, StudyCell

LAWS = ("0", "400", "lognormal:200:0.5", "mixed:200:500:0.1", "outages:50:0.05:0.7", "trace:runs/$lab.txt")
METHODS = ("sync", "naive", "average", "ensemble", "rtc_soft", "rtc_hard", "vagus")


def cell(method: str, law: str) -> StudyCell:
    gain = None if method == "naive" else Estimate(METHODS.index(method) / 20 - 0.1, 0.06)
    success = Estimate(0.3 + METHODS.index(method) / 10, 0.04)
    return StudyCell(method, law, 40, success, 0.0123, 4.56, 23.4, 0.5, gain)


def report(laws: tuple[str, ...] = LAWS, *, count: int = 99) -> StudyReport:
    shown = tuple(shown_law(read_law(text, read_trace=lambda _: [80.0, 90.0])) for text in laws)
    cells = [cell(method, law) for law in laws for method in sorted(METHODS)][:count]
    begun = StudyReport("gates", "ab" * 32, "gates", 40, 0, "naive", shown, METHODS)
    return begun.of(cells, of=len(laws) * len(METHODS))


def printed(made: StudyReport) -> str:
    screen = Console(file=io.StringIO(), width=200)
    show_study(made, screen)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_laws_are_told_in_words() -> None:
    words = [law.words for law in report().laws]
    assert words == [
        *("0 ms", "400 ms", "lognormal, 200 ms σ 0.5", "200 ms, 10% of 500 ms"),
        *("50 ms, 5% in outages of 0.7 s", "recorded: $lab"),
    ]


def test_rows_are_in_the_order_of_laws_and_methods_whatever_ran_first() -> None:
    assert [(one.law, one.method) for one in report().cells] == [
        (law, way) for law in LAWS for way in METHODS
    ]
    lines = [line for line in printed(report()).splitlines() if line.startswith("│ 400 ms")]
    assert [line.split("│")[2].strip() for line in lines] == list(METHODS)
    assert "30.0 % ± 4.0" in lines[0]
    assert "-10.0 ± 6.0 *" in lines[0]  # its interval does not reach 0
    assert "+0.0 ± 6.0 " in lines[2]
    assert "*" not in lines[2]
    assert "± 6" not in lines[1]  # the baseline is not compared with itself


def test_a_study_that_ended_early_says_so() -> None:
    assert "ended early" not in printed(report())
    early = report(count=9)
    assert not early.is_complete
    assert "ended early: 9 of 42 rows are complete" in printed(early)


def test_json_holds_everything_and_an_interval_without_an_end_is_null() -> None:
    made = report()
    assert msgspec.json.decode(made.to_json(), type=StudyReport) == made
    alone = replace(made, cells=(replace(made.cells[0], success=Estimate(0.5, math.inf)),))
    assert msgspec.json.decode(alone.to_json())["cells"][0]["success"] == {"mean": 0.5, "half_width": None}


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_drawn_in_each_form(form: str, begins: bytes) -> None:
    pytest.importorskip("matplotlib")
    assert study_plot(report(), form).startswith(begins)


@pytest.mark.parametrize(
    ("laws", "said", "unsaid"),
    [
        (LAWS[:2], ["always the same"], ["varies"]),
        (LAWS[2:], ["varies", "10% of 500 ms", "$lab"], ["always the same"]),
        (LAWS, ["always the same", "varies"], []),
    ],
)
def test_a_picture_has_a_panel_for_each_kind_of_law_and_a_label_for_each_method(
    laws: tuple[str, ...], said: list[str], unsaid: list[str]
) -> None:
    pytest.importorskip("matplotlib")
    text = study_plot(report(laws), "svg").decode()
    for word in (*said, *METHODS, "success (%)"):
        assert word in text, word
    assert not [word for word in unsaid if word in text]


def test_a_picture_of_an_early_end_shows_what_is_there() -> None:
    pytest.importorskip("matplotlib")
    assert study_plot(report(count=10), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("laws", [("0", "400"), LAWS[2:], LAWS])
def test_all_that_a_picture_says_is_in_it(laws: tuple[str, ...]) -> None:
    """However long the names are, and with one panel as with two."""
    pytest.importorskip("matplotlib")
    long = replace(
        report(laws), policy="some/where/my_policy.py:PolicyOfMine", world="gym:MountainCarContinuous-v0"
    )
    figure = study_figure(long)
    figure.savefig(io.BytesIO(), dpi=110, format="png")
    assert figure.texts
    assert figure.legends
    for part in (*figure.texts, *figure.legends):
        assert figure.bbox.contains(*part.get_window_extent().min), part
        assert figure.bbox.contains(*part.get_window_extent().max), part
    for axis in figure.axes:
        assert axis.get_ylim()[0] < 0
        assert axis.get_ylim()[1] > 100
