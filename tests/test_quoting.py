from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.quoting import quoted, quoted_block


def test_plain_text_is_what_it_is() -> None:
    assert quoted("ValueError: wanted (7,), got [nan, nan] – größer") == (
        "ValueError: wanted (7,), got [nan, nan] – größer"
    )


def test_what_would_act_on_a_terminal_or_forge_a_line_is_escaped() -> None:
    assert quoted("a\nb\x1b[2J\r\u202ec\x00") == "a\\nb\\x1b[2J\\r\\u202ec\\x00"
    assert quoted("\ud800") == "\\ud800"


def test_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert quoted("x" * 10**6, 5) == "xxxxx… (1000000 characters)"


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_object_that_cannot_say_itself_is_named() -> None:
    assert quoted(MuteError()) == "<MuteError, whose text failed with RuntimeError>"


def test_a_block_keeps_its_lines_its_beginning_and_its_end() -> None:
    text = "\n".join(f"line {number}\x1b" for number in range(10_000))
    shown = quoted_block(text, 100)
    assert shown.startswith("line 0\\x1b\nline 1")
    assert shown.endswith("line 9999\\x1b")
    assert "characters)" in shown


@given(st.text(st.characters(), max_size=400), st.integers(1, 300))
def test_whatever_it_is_it_can_be_printed_on_one_line(text: str, limit: int) -> None:
    shown = quoted(text, limit)
    assert shown.isprintable()
    assert len(shown) <= 10 * limit + 40
    shown.encode()
    block = quoted_block(text, limit)
    assert all(line.isprintable() for line in block.split("\n"))
