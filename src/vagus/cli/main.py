"""Entry point of `vagus <command>`. It imports nothing large before `main` handles Ctrl-C."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from vagus.cli.exit_code import ExitCode
from vagus.cli.last_end import end_within

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in the arguments; return its exit code."""
    is_process = arguments is None
    told = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = int(importlib.import_module("vagus.cli.command").run_command(told))
    except KeyboardInterrupt:
        code = int(ExitCode.INTERRUPTED)
    if is_process:
        end_within(code)
    return code
