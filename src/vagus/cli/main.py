"""`vagus <command>`. Nothing heavy is imported before `main` is in charge: Ctrl-C is in order at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from vagus.cli.exit_code import ExitCode

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(importlib.import_module("vagus.cli.command").run_command(told))
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
