"""What we have to say is said, however a driver or a policy sets up logging."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vagus.cli.log_output import TOLD
from vagus.edge.client import first_contact

SCRIPT = """
import logging, logging.config
import vagus.control.watchdog
from vagus.cli.log_output import LogFlags, log_to_terminal

log_to_terminal(LogFlags())
logger = logging.getLogger("vagus.control.watchdog")
logger.critical("first")
{}
logger.critical("second")
logger.debug("not asked for")
"""
SETUPS = {
    "a configuration that disables what is there": "logging.config.dictConfig({'version': 1})",
    "one with a root of its own": "logging.config.dictConfig({'version': 1, 'root': {'handlers': []}})",
    "everything switched off": "logging.disable(logging.CRITICAL)",
    "another handler": "logging.basicConfig(force=True, filename='/dev/null')",
    "each logger switched off": "logger.disabled = True",
    "nothing": "",
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
def test_nobody_else_can_silence_us(setup: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(setup)], capture_output=True, text=True, check=True, timeout=60
    )
    said = [line.rpartition(": ")[2] for line in done.stderr.splitlines()]
    assert said == ["first", "second"]


def test_whom_a_run_waits_for_is_heard_from_the_logger_that_says_it() -> None:
    assert first_contact.logger.name in TOLD
