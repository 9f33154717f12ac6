"""`vagus <command>`: parse, run, and say in one line what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Union

import tyro
from rich.console import Console
from rich.markup import escape

from vagus.cli.chaos import ChaosCommand
from vagus.cli.demo import DemoCommand
from vagus.cli.doctor import DoctorCommand
from vagus.cli.exit_code import ExitCode, exit_code_of
from vagus.cli.lerobot_rollout import LerobotRolloutCommand
from vagus.cli.lifeline import follow_parent
from vagus.cli.log_output import log_to_terminal
from vagus.cli.router import RouterCommand
from vagus.cli.run import RunCommand
from vagus.cli.serve import ServeCommand, serve_defaults
from vagus.cli.status import StatusCommand
from vagus.errors import ConfigError, SpecError, VagusError
from vagus.quoting import quoted_block

__all__ = ["Command", "main"]

Command = Union[  # noqa: UP007 - tyro reads the annotations at run time, on Python 3.10 too
    Annotated[DemoCommand, tyro.conf.subcommand("demo")],
    Annotated[ServeCommand, tyro.conf.subcommand("serve")],
    Annotated[RunCommand, tyro.conf.subcommand("run")],
    Annotated[RouterCommand, tyro.conf.subcommand("router")],
    Annotated[StatusCommand, tyro.conf.subcommand("status")],
    Annotated[DoctorCommand, tyro.conf.subcommand("doctor")],
    Annotated[ChaosCommand, tyro.conf.subcommand("chaos")],
    Annotated[LerobotRolloutCommand, tyro.conf.subcommand("lerobot-rollout")],
]

SPELLING = (tyro.conf.EnumChoicesFromValues,)
"""A choice is spelled as in a manifest: lower case."""

DESCRIPTION = "The nerve between a robot's policy and its body."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit code."""
    follow_parent()
    log_to_terminal(os.environ.get("VAGUS_LOG", "WARNING"))
    try:
        return int(_parse(list(sys.argv[1:] if arguments is None else arguments)).run())
    except VagusError as error:
        is_line = isinstance(error, (ConfigError, SpecError))  # others may quote what a process printed
        text = quoted_block(" ".join(str(error).split()) if is_line else error)
        Console(stderr=True).print(f"[bold red]vagus:[/] {escape(text)}", highlight=False, soft_wrap=True)
        return int(exit_code_of(error))
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has seen enough, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's flush fails
        return int(ExitCode.FAILED)


def _parse(arguments: list[str]) -> Command:
    if arguments[:1] == ["lerobot-rollout"]:  # its flags are LeRobot's
        return LerobotRolloutCommand(tuple(arguments[1:]))
    if arguments[:1] == ["serve"]:  # its defaults come from the manifest that the arguments name
        defaults = serve_defaults(arguments[1:])
        return tyro.cli(
            ServeCommand, prog="vagus serve", args=arguments[1:], default=defaults, config=SPELLING
        )
    return tyro.cli(Command, prog="vagus", description=DESCRIPTION, args=arguments, config=SPELLING)
