"""Command `vagus lerobot-rollout`: LeRobot's own rollout with a served policy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from vagus.cli.console import console
from vagus.cli.run_report import summarise, summary_table
from vagus.cli.steady_output import end_process
from vagus.control.loop_stats import LoopSummary
from vagus.control.outcome import RunOutcome
from vagus.errors import ConfigError

__all__ = ["LerobotRolloutCommand"]

INTEGRATION = "vagus.integrations.lerobot.rollout.rollout"
"""Integration that is loaded by name, because it needs LeRobot and torch."""


@dataclass(frozen=True)
class LerobotRolloutCommand:
    """Drive a LeRobot robot by a served policy, under LeRobot's own rollout strategies.

    Takes the flags of `lerobot-rollout`; the policy's are --policy.endpoint, --policy.service …
    Example: vagus lerobot-rollout --robot.type=so101_follower --robot.port=/dev/ttyACM0
    --policy.endpoint=tcp/gpu-server:7447 --task="pick the cube"
    """

    arguments: tuple[str, ...] = ()
    """Flags of `lerobot-rollout`; `vagus lerobot-rollout --help` lists them."""

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> LerobotRolloutCommand:
        """Return the command with LeRobot's flags, as they are."""
        return cls(tuple(arguments))

    def run(self) -> int:
        """Run until the strategy ends, Ctrl-C is pressed, or the link is dead."""
        return run_rollout(self.arguments)


def run_rollout(arguments: Sequence[str]) -> int:
    """Parse `arguments` with LeRobot's parser and run; print the summary and return the exit code.

    Raises:
        ConfigError: LeRobot is not installed.
        VagusError: nothing was run, for the reason in the error.
    """
    try:
        integration = importlib.import_module(INTEGRATION)
    except ImportError as error:
        raise ConfigError(
            "lerobot-rollout",
            wanted="LeRobot with its dataset extra, on Python 3.12 or newer",
            got=str(error),
            fix=f'{sys.executable} -m pip install "vagus[lerobot]"',
        ) from error

    def end(summary: LoopSummary) -> None:
        """End the process, whose main thread hangs in the robot."""
        run = summarise(summary, {}, None)
        end_process(lambda: console().print(summary_table(run)), run.exit_code)

    outcome: RunOutcome = integration.main(arguments, end)
    run = summarise(outcome.summary, outcome.counters, None, outcome.recording, client=outcome.client)
    console().print(summary_table(run))
    return run.exit_code
