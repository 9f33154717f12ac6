"""Recording formats by name. A format's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.control.ports import RecorderPort
from vagus.edge.client.handshake import Contract
from vagus.robots.robot import Robot
from vagus.types import Image

__all__ = ["FORMATS", "Opener", "Recording", "Run", "open_recording"]


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

    def task(self, contract: Contract) -> str:
        """Return what the policy is asked to do."""
        return self.instruction or contract.capabilities.default_instruction


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


Opener: TypeAlias = "Callable[[RecorderConfig, Run, Robot, OrderMapping, Contract], Recording]"

FORMATS: Mapping[str, str] = {
    "folder": "vagus.recording.folder:open_folder",
    "lerobot": "vagus.integrations.lerobot.dataset.recording:open_dataset",
}
"""Format → what opens a recording of it."""


def open_recording(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Open what the settings ask for.

    Raises:
        ConfigError: the folder cannot be used, or what writes a dataset is not installed.
    """
    if not config.directory:
        return Recording()
    place, _, name = FORMATS[config.format].partition(":")
    opener: Opener = getattr(importlib.import_module(place), name)
    return opener(config, run, robot, mapping, contract)
