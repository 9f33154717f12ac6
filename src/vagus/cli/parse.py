"""Parser of the arguments; only the module of the chosen command is imported."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar, cast

import tyro

from vagus.cli.console import console
from vagus.cli.exit_code import ExitCode
from vagus.errors import ConfigError

__all__ = ["COMMANDS", "CliCommand", "parse", "parse_as"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("vagus.cli.demo:DemoCommand", "Watch an arm while its server is killed, hung and cut off."),
    "serve": ("vagus.cli.serve:ServeCommand", "Serve a policy to robots."),
    "run": ("vagus.cli.run:RunCommand", "Drive a robot from a served policy."),
    "gateway": (
        "vagus.cli.gateway:GatewayCommand",
        "Let robots of openpi, GR00T, LeRobot or Astribot use a vagus server.",
    ),
    "router": ("vagus.cli.router:RouterCommand", "Run a Zenoh router: robots and servers meet here."),
    "status": ("vagus.cli.status:StatusCommand", "List the servers on the network and how busy they are."),
    "doctor": ("vagus.cli.doctor:DoctorCommand", "Check a network and its servers, and recommend settings."),
    "plan": (
        "vagus.cli.plan:PlanCommand",
        "Tell how many robots a device carries, and how many devices a fleet needs.",
    ),
    "bench": (
        "vagus.cli.bench:BenchCommand",
        "Measure what delay costs a policy in a world, for each way of playing its chunks.",
    ),
    "profile": (
        "vagus.cli.profile:ProfileCommand",
        "Check a profile of a gateway, or list those that vagus brings.",
    ),
    "replay": (
        "vagus.cli.replay:ReplayCommand",
        "Compare builds by captures, or play a session on another network.",
    ),
    "view": ("vagus.cli.view:ViewCommand", "Show a recorded session: in Rerun, as a page or as a picture."),
    "chaos": ("vagus.cli.chaos:ChaosCommand", "Forward a TCP port with faults."),
    "lerobot-rollout": (
        "vagus.cli.lerobot_rollout:LerobotRolloutCommand",
        "Drive a LeRobot robot under LeRobot's own rollout strategies.",
    ),
}
"""Command name → module:class and description."""

SPELLING = (tyro.conf.EnumChoicesFromValues,)
"""Spelling of a choice, in lower case as in a manifest."""

DESCRIPTION = "The nerve between a robot's policy and its body."

CommandT = TypeVar("CommandT")


class CliCommand(Protocol):
    """Command that is ready to run."""

    def run(self) -> int:
        """Run the command and return the exit code."""
        ...


def parse(arguments: Sequence[str]) -> CliCommand:
    """Return the command in the arguments.

    Raises:
        SystemExit: help or an error about the arguments was printed.
        VagusError: a file or setting in the arguments is wrong.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        console(stderr=not arguments).print(_help(), highlight=False, markup=False)
        raise SystemExit(ExitCode.OK if arguments else ExitCode.CONFIG)
    name, *rest = arguments
    if name not in COMMANDS:
        _refuse(name)
    module, _, attribute = COMMANDS[name][0].partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    make = getattr(kind, "from_arguments", None)
    return cast("CliCommand", parse_as(kind, name, rest) if make is None else make(rest))


def parse_as(
    kind: type[CommandT], name: str, arguments: Sequence[str], default: CommandT | None = None
) -> CommandT:
    """Return an object of `kind` from the arguments; all other fields are from `default`.

    Raises:
        SystemExit: help or an error about the arguments was printed.
        ConfigError: a flag is given twice, or a value is invalid.
    """
    _check_no_flag_twice(name, arguments)
    prog, description = f"vagus {name}", inspect.cleandoc(kind.__doc__ or "")
    if default is None:
        return tyro.cli(kind, prog=prog, description=description, args=list(arguments), config=SPELLING)
    return tyro.cli(
        kind, prog=prog, description=description, args=list(arguments), default=default, config=SPELLING
    )


def _check_no_flag_twice(name: str, arguments: Sequence[str]) -> None:
    """Raise ConfigError if a flag is given twice: only the last would count."""
    flags = [
        argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")
    ]
    settings = [flag.replace("--no-", "--", 1).replace(".no-", ".", 1) for flag in flags]
    twice = sorted({flag for flag in settings if settings.count(flag) > 1})
    if twice:
        fix = "give all of its values after one of them"
        raise ConfigError(f"vagus {name}", wanted="each flag once", got=f"{twice[0]} twice", fix=fix)


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items())
    return (
        f"usage: vagus COMMAND …\n\n{DESCRIPTION}\n\ncommands:\n{listed}\n\n"
        "`vagus COMMAND --help` explains each setting; `vagus --version` prints the version."
    )


def _refuse(name: str) -> None:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    text = f"vagus: wanted one of {', '.join(COMMANDS)}, got {name!r}{meant}"
    console(stderr=True).print(text, highlight=False, markup=False, style="bold red")
    raise SystemExit(ExitCode.CONFIG)
