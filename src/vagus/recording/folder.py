"""Recording format `folder`: one folder per session, with JSON lines and files of images."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from pathlib import Path

from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.recording.description import describe
from vagus.recording.recorder import Recorder
from vagus.recording.registry import Recording, Run
from vagus.recording.session_folder import SessionFolder
from vagus.robots.robot import Robot
from vagus.transport.keys import sanitise

__all__ = ["new_place", "open_folder"]


def open_folder(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Make the folder of a session and its recorder.

    Raises:
        ConfigError: the folder cannot be made.
    """
    folder = SessionFolder(
        new_place(config, run), describe(run, robot, mapping, contract), is_private=config.private_files
    )
    return Recording(str(folder.path), Recorder(folder, config).start())


def new_place(config: RecorderConfig, run: Run) -> Path:
    """Return the path of a new session, named by date and robot, for people only."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return Path(config.directory) / f"{stamp}-{sanitise(run.name)}-{secrets.token_hex(2)}"
