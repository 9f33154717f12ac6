"""What `vagus run` records: a folder of its own, or a LeRobot dataset."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vagus import __version__
from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.control.parts import RecorderPort
from vagus.control.recorder import Recorder
from vagus.control.robot import Robot
from vagus.control.session_folder import Json, SessionFolder
from vagus.edge.handshake import Contract
from vagus.integrations.lerobot_dataset import DatasetSettings, start_dataset_recorder
from vagus.transport.keys import ServiceKey, sanitise
from vagus.types import Image

__all__ = ["Recording", "Run", "open_recording"]


@dataclass(frozen=True, slots=True)
class Run:
    """Who is recorded: the robot as it was asked for, its name, what it is to do, and free text.

    `vouched`: what somebody vouches for though nothing bounds or measures it.
    """

    robot: str
    name: str
    instruction: str
    tags: Mapping[str, str]
    vouched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """What the loop needs to be recorded; all of it empty where nothing is.

    Attributes:
        place: folder, for the summary.
        recorder: to be closed by the loop.
        read_images: instead of the robot's, where the recorder looks through the cameras too.
    """

    place: str = ""
    recorder: RecorderPort | None = None
    read_images: Callable[[], Mapping[str, Image]] | None = None


def open_recording(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Open what the settings ask for.

    Raises:
        ConfigError: the folder cannot be used, or what writes a dataset is not installed.
    """
    if not config.directory:
        return Recording()
    if config.format == "lerobot":
        return _dataset(config, run, robot, mapping, contract)
    return _folder(config, run, robot, mapping, contract)


def _folder(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Named by date and robot, for people; nothing is computed from it."""
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
        "instruction": _task(run, contract),
        "tick_rate_hz": robot.spec.rate_hz,
        "step_rate_hz": contract.step_rate_hz,
        "actions": [feature.name for feature in mapping.actions],
        "state": list(mapping.state_names),
        "tags": dict(run.tags),
        "vouched": list(run.vouched),
    }
    folder = SessionFolder(place, metadata, is_private=config.private_files)
    return Recording(str(place), Recorder(folder, config).start())


def _dataset(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    root = Path(config.directory)
    settings = DatasetSettings(
        root=str(root),
        repo_id=config.repo_id or f"local/{root.resolve().name}",
        rate_hz=contract.step_rate_hz,
        task=_task(run, contract),
        codec=config.codec,
        encoder_threads=config.encoder_threads,
        has_images=config.images,
        has_provenance=config.provenance,
        is_private=config.private_files,
    )
    read_images = _one_at_a_time(robot.read_images)
    recorder = start_dataset_recorder(robot.spec, settings, mapping=mapping, read_images=read_images)
    return Recording(str(root), recorder, read_images)


def _task(run: Run, contract: Contract) -> str:
    return run.instruction or contract.capabilities.default_instruction


def _one_at_a_time(read_images: Callable[[], Mapping[str, Image]]) -> Callable[[], Mapping[str, Image]]:
    """Return the same for two threads: a robot is only ever asked by one."""
    lock = threading.Lock()

    def read() -> Mapping[str, Image]:
        with lock:
            return read_images()

    return read
