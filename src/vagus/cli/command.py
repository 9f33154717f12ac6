"""Parsing and running of a command, with each error in one line."""

from __future__ import annotations

import sys

from rich.markup import escape

from vagus import __version__
from vagus.cli.console import console, make_printable, print_nowhere
from vagus.cli.exit_code import ExitCode, exit_code_of
from vagus.cli.lifeline import follow_parent
from vagus.cli.log_output import TOLD, LogFlags, log_to_terminal
from vagus.cli.parse import parse
from vagus.cli.signals import EndedError
from vagus.cli.steady_output import steady_output
from vagus.errors import ConfigError, SpecError, VagusError
from vagus.quoting import quoted_block

__all__ = ["run_command"]


def run_command(arguments: list[str]) -> int:
    """Run the command in the arguments; return its exit code.

    Raises:
        SystemExit: help was printed, or the arguments are no valid command.
    """
    make_printable()
    follow_parent()
    try:
        return _run(arguments)
    except EndedError as ended:
        return int(ended.code)
    except VagusError as error:
        _say(_text_of(error))
        return int(exit_code_of(error))
    except BrokenPipeError:  # whoever read our output has seen enough, e.g. `| head`
        return int(ExitCode.FAILED)
    except OSError as error:  # e.g. a full disk behind stdout
        _say(str(error))
        return int(ExitCode.FAILED)
    finally:
        print_nowhere()


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        sys.stdout.write(f"vagus {__version__}\n")
        return ExitCode.OK
    command = parse(arguments)
    log_to_terminal(getattr(command, "log", LogFlags()), told=getattr(command, "told", TOLD))
    if not getattr(command, "is_lasting", False):
        return int(command.run())
    with steady_output():
        return int(command.run())


def _text_of(error: VagusError) -> str:
    if not isinstance(error, (ConfigError, SpecError)):
        return quoted_block(error)  # it may quote what a process printed
    line, blank, block = str(error).partition("\n\n")  # what is to be pasted into a file stays as it is
    return quoted_block(f"{' '.join(line.split())}{blank}{block}".rstrip())


def _say(text: str) -> None:
    console(stderr=True).print(f"[bold red]vagus:[/] {escape(text)}", highlight=False, soft_wrap=True)
