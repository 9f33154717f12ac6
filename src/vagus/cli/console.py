"""Console output for any terminal, any encoding, a pipe, or no output at all."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console

__all__ = ["as_typed", "console", "make_printable", "print_nowhere", "say"]

PIPE_WIDTH = 10_000
"""Width of output to a pipe, so that lines for a program are not cut or wrapped."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PIPE_WIDTH)


def say(text: str, screen: Console | None = None) -> None:
    """Print a line without markup, colours or wrapping; by default on standard output."""
    (screen or console()).print(text, highlight=False, soft_wrap=True, markup=False, emoji=False)


def as_typed(text: str) -> str:
    """Return an argument as it was typed: a console without UTF-8 (LANG=C) passes it byte by byte.

    Use it for texts, not for file names, which are right without it.
    """
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text  # no UTF-8 either; whoever needs text says so


def make_printable() -> None:
    """Make printing safe: it does not fail for a character, or because stdout or stderr is missing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - lives as long as we do
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_nowhere() -> None:
    """Drop the remaining output, so that the interpreter's last flush does not fail."""
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
