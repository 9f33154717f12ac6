"""Opening of a recording as a LeRobot dataset."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.integrations.lerobot.dataset.recorder import DatasetSettings, start_dataset_recorder
from vagus.recording.registry import Recording, Run
from vagus.robots.robot import Robot
from vagus.types import Frame

__all__ = ["open_dataset"]


def open_dataset(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Begin a dataset, or resume the one that is there.

    Raises:
        ConfigError: it cannot be used, or LeRobot is not installed.
    """
    root = Path(config.directory)
    settings = DatasetSettings(
        root=str(root),
        repo_id=config.repo_id or f"local/{root.resolve().name}",
        rate_hz=contract.step_rate_hz,
        task=run.task(contract),
        codec=config.codec,
        encoder_threads=config.encoder_threads,
        has_images=config.images,
        has_provenance=config.provenance,
        is_private=config.private_files,
    )
    read_images = _one_at_a_time(robot.read_images)
    recorder = start_dataset_recorder(robot.spec, settings, mapping=mapping, read_images=read_images)
    return Recording(str(root), recorder, read_images)


def _one_at_a_time(read_images: Callable[[], Mapping[str, Frame]]) -> Callable[[], Mapping[str, Frame]]:
    """Return the same for two threads: a robot is only ever asked by one."""
    lock = threading.Lock()

    def read() -> Mapping[str, Frame]:
        with lock:
            return read_images()

    return read
