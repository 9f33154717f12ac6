"""A link that goes away and comes back, again and again, under any two programs.

A program prints "ready", works until its input ends, then prints one line of JSON and exits.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netlab.lab import Lab, Weather

SETTLE_S = 3.0
"""After the last outage, for what is still under way."""

FINISH_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Outages:
    """When the network goes away."""

    count: int
    seed: int
    down_s: tuple[float, float] = (0.3, 1.6)
    """Around the lease: some are noticed, some are not, some end while they are being noticed."""
    up_s: tuple[float, float] = (0.8, 2.0)
    """Between two outages."""
    delay_ms: float = 2.0
    """Each way, while the network is there."""


@dataclass(frozen=True)
class Report:
    """What the two programs said at the end."""

    server: dict[str, object]
    robot: dict[str, object]


def flap(lab: Lab, outages: Outages) -> None:
    """Take the network away and give it back."""
    dice = random.Random(outages.seed)
    for _ in range(outages.count):
        lab.set(Weather(delay_ms=outages.delay_ms))
        time.sleep(dice.uniform(*outages.up_s))
        lab.set(Weather(delay_ms=outages.delay_ms, up=False))
        time.sleep(dice.uniform(*outages.down_s))
    lab.set(Weather(delay_ms=outages.delay_ms))
    time.sleep(SETTLE_S)


def run_flapping(
    lab: Lab, server: Sequence[str | Path], robot: Sequence[str | Path], outages: Outages
) -> Report:
    """Run both programs, the server's first, through the outages and return what they report."""
    serving = _start(lab, lab.server, server)
    moving = _start(lab, lab.robot, robot)
    flap(lab, outages)
    return Report(robot=_finish(moving), server=_finish(serving))


def _start(lab: Lab, host: str, command: Sequence[str | Path]) -> subprocess.Popen[str]:
    program = lab.start(host, command)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line == "ready\n", f"{command} said {line!r}"
    return program


def _finish(program: subprocess.Popen[str]) -> dict[str, object]:
    out, _ = program.communicate(timeout=FINISH_TIMEOUT_S)
    assert program.returncode == 0, out
    result: dict[str, object] = json.loads(out.splitlines()[-1])
    return result
