"""Consoles that print on any terminal, in any encoding, into a pipe, or nowhere."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from rich.console import Console

__all__ = ["as_typed", "console", "make_printable", "print_nowhere", "say"]

PIPE_WIDTH = 10_000
"""Columns where nobody looks: what a program reads is not cut and not broken into lines."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PIPE_WIDTH)


def say(text: str, screen: Console | None = None) -> None:
    """Print a line as it is, on standard output unless said otherwise: no markup, no colours, no breaks."""
    (screen or console()).print(text, highlight=False, soft_wrap=True, markup=False)


def as_typed(text: str) -> str:
    """Return an argument as it was typed: a console without UTF-8 (LANG=C) hands it over byte by byte.

    For words; the name of a file is right as it came.
    """
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text  # no UTF-8 either; whoever needs text says so


def make_printable() -> None:
    """Let nothing that is printed fail for its letters, or because there is no stdout or stderr."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - lives as long as we do
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_nowhere() -> None:
    """Drop what is still to be printed, so that the interpreter's own flush at the end does not fail."""
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
