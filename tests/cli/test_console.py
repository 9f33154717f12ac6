"""Commands print on any console, and into none."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from vagus.cli import console as module
from vagus.cli.console import as_typed, console, make_printable, say

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def test_what_an_encoding_lacks_is_printed_as_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    make_printable()
    table = Table("ロボット")
    table.add_row("loading … → 🍌")
    console().print(table)
    sys.stdout.flush()
    assert b"loading ? ? ?" in raw.getvalue()


def test_words_are_what_was_typed_where_the_console_knows_only_ascii() -> None:
    typed = "Füge → 🍌\nhinzu"
    program = "import sys; from vagus.cli.console import as_typed; sys.exit(ascii(as_typed(sys.argv[1])))"
    ended = subprocess.run(
        [sys.executable, "-c", program, typed],
        env=ASCII,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert ended.stderr.strip() == ascii(typed)
    assert as_typed(typed) == typed
    assert as_typed("\udcff") == "\udcff"


def test_a_program_that_reads_gets_names_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table("service", "server")
    table.add_row("a" * 200, "b" * 200)
    console().print(table)
    assert "a" * 200 in stream.getvalue()
    assert "b" * 200 in stream.getvalue()


@pytest.mark.process
@pytest.mark.parametrize("redirect", ["", ">&-", ">&- 2>&-", "> /dev/full", "2> /dev/full"])
def test_no_console_is_no_traceback(redirect: str, tmp_path: Path) -> None:
    if "/dev/full" in redirect and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    command = f"{sys.executable} -m vagus --help {redirect}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=ASCII, check=False)
    assert done.returncode == (1 if redirect == "> /dev/full" else 0), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception" not in done.stdout + done.stderr


def test_the_width_of_a_pipe_is_beyond_any_name() -> None:
    assert module.PIPE_WIDTH >= 1000


def test_a_line_has_no_picture_in_place_of_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    say("delay mixed:100:300:0.1")
    assert capsys.readouterr().out == "delay mixed:100:300:0.1\n"
