"""What the comparison in examples/metaworld_act says of its episodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcome import Condition, Episode, paired_p, read_journal, table, wilson


def episodes(successes: str) -> tuple[Episode, ...]:
    """Return an episode per letter: y succeeded in 50 steps, n ran out of time."""
    return tuple(
        Episode(n, letter == "y", 50 + n if letter == "y" else 120) for n, letter in enumerate(successes)
    )


def test_the_interval_is_wilsons() -> None:
    found = wilson(8, 10)
    assert (found.share, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least 1 trial, got 0"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [
        ("yyynn", "yyynn", 1.0),
        ("ynynyn", "nynyny", 1.0),
        ("yyyyyy", "nnnnnn", 2 / 2**6),
        ("yyyyyyn", "nnnnnny", 2 * 8 / 2**7),
    ],
)
def test_a_difference_counts_where_it_is_one_sided(one: str, other: str, p: float) -> None:
    assert paired_p(episodes(one), episodes(other)) == pytest.approx(p)
    assert paired_p(episodes(other), episodes(one)) == pytest.approx(p)


def test_other_episodes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="the same episodes"):
        paired_p(episodes("yyy"), episodes("yy"))


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == ([], [])
    end = '{"episode": 7, "event": "end", "is_success": true, "steps": 61}\n'
    path.write_text('{"episode": 7, "event": "begin"}\n' + end + '{"episode": 8, "ev')
    assert read_journal(path) == ([7], [Episode(7, True, 61)])


def test_the_table_pairs_each_condition_with_the_first() -> None:
    conditions = [
        Condition("local", episodes("yyyyyy"), None),
        Condition("far", episodes("nnnnnn"), 0.25),
    ]
    _, _, local, far = table(conditions).splitlines()
    assert local == "| local | 100% of 6 | 61% to 100% | 52.5 | - |  |"
    assert far == "| far | 0% of 6 | 0% to 39% | - | 25.0% | 0.03 |"
