"""Recording format `folder`: one folder per session, with JSON lines and JPEG files."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from pathlib import Path

from vagus import __version__
from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.recording.recorder import Recorder
from vagus.recording.registry import Recording, Run
from vagus.recording.session import Json
from vagus.recording.session_folder import SessionFolder
from vagus.robots.robot import Robot
from vagus.transport.keys import ServiceKey, sanitise

__all__ = ["open_folder"]


def open_folder(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Make the folder of a session and its recorder; the folder is named by date and robot, for people only.

    Raises:
        ConfigError: the folder cannot be made.
    """
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    place = Path(config.directory) / f"{stamp}-{sanitise(run.name)}-{secrets.token_hex(2)}"
    said = contract.capabilities
    metadata: dict[str, Json] = {
        "vagus": __version__,
        "robot": run.robot,
        "robot_type": robot.spec.robot_type,
        "name": run.name,
        "service": ServiceKey.of(said.model, said.revision, said.service_name).text,
        "model_hash": contract.model_hash,
        "instruction": run.task(contract),
        "tick_rate_hz": robot.spec.rate_hz,
        "step_rate_hz": contract.step_rate_hz,
        "actions": [feature.name for feature in mapping.actions],
        "state": list(mapping.state_names),
        "tags": dict(run.tags),
        "vouched": list(run.vouched),
    }
    folder = SessionFolder(place, metadata, is_private=config.private_files)
    return Recording(str(place), Recorder(folder, config).start())
