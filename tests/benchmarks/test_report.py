from __future__ import annotations

import pytest

from benchmarks.report import Aim, Report, Table, number


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_is_aligned_markdown() -> None:
    table = Table("caption", ("", "ratio"), [("ours", "1.00"), ("a peer", "12.5")])
    assert table.to_markdown().splitlines() == [
        "**caption**",
        "",
        "|        | ratio |",
        "|--------|-------|",
        "| ours   |  1.00 |",
        "| a peer |  12.5 |",
    ]


@pytest.mark.parametrize(("ratio", "verdict"), [(0.35, "met"), (0.351, "MISSED")])
def test_an_aim_says_whether_it_was_met(ratio: float, verdict: str) -> None:
    assert Aim("at 1 Gbit/s", ratio, 0.35).to_markdown().endswith(f"— {verdict}")


def test_a_report_holds_tables_aims_and_notes() -> None:
    report = Report("name")
    report.aims.append(Aim("an aim", 0.5, 1.0))
    report.notes.append("not measured: no network")
    assert report.to_markdown().splitlines() == [
        "## name",
        "",
        "- an aim: 0.500 (aim ≤ 1.00) — met",
        "",
        "- not measured: no network",
    ]
