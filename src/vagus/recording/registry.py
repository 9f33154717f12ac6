"""Table of recording formats by name. The module of a format is imported only when the format is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.control.ports import RecorderPort
from vagus.edge.client.handshake import Contract
from vagus.errors import ConfigError
from vagus.import_path import load_brought
from vagus.recording.several import SeveralRecorders
from vagus.robots.robot import Robot
from vagus.types import Frame

__all__ = ["FORMATS", "Opener", "Recording", "Run", "open_recording", "packages_for", "shown"]


@dataclass(frozen=True, slots=True)
class Run:
    """Run that is recorded.

    Attributes:
        robot: robot as given, e.g. "sim".
        name: its name among the clients of the server.
        instruction: what it is to do; "": the policy's default.
        tags: free text of the operator.
        vouched: actions without a limit or feedback that the operator takes responsibility for.
        rename: robot name → policy name.
        settings: the other settings by section, as dataclasses or plain values, without secrets.
    """

    robot: str
    name: str
    instruction: str
    tags: Mapping[str, str]
    vouched: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)

    def task(self, contract: Contract) -> str:
        """Return the instruction for the policy."""
        return self.instruction or contract.capabilities.default_instruction


@dataclass(frozen=True, slots=True)
class Recording:
    """Open recording, as the loop uses it; all fields are empty if nothing is recorded.

    Attributes:
        place: folder name for the summary.
        recorder: recorder that the loop closes.
        read_images: replaces the robot's method if the recorder reads the cameras, too.
    """

    place: str = ""
    recorder: RecorderPort | None = None
    read_images: Callable[[], Mapping[str, Frame]] | None = None


Opener: TypeAlias = "Callable[[RecorderConfig, Run, Robot, OrderMapping, Contract], Recording]"

FORMATS: Mapping[str, str] = {
    "folder": "vagus.recording.folder:open_folder",
    "mcap": "vagus.integrations.mcap.recording:open_mcap",
    "lerobot": "vagus.integrations.lerobot.dataset.recording:open_dataset",
}
"""Format name → function that opens a recording."""

VIEWER = "vagus.integrations.rerun.live"
"""Module that shows a run while it lasts."""


@contextmanager
def packages_for(extra: str, what: str) -> Iterator[None]:
    """Tell which extra to install if an import inside the block lacks a package.

    Raises:
        ConfigError: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        lacking = error.name or str(error)
        if lacking.partition(".")[0] == "vagus":
            raise
        raise ConfigError(
            what,
            wanted=f"the package {lacking}",
            got="an installation without it",
            fix=f'pip install "vagus[{extra}]"',
        ) from error


def open_recording(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Open the recording that the settings describe.

    Raises:
        ConfigError: the folder cannot be used, or the package that writes this format is not installed.
    """
    if not config.directory:
        return Recording()
    place, _, name = FORMATS[config.format].partition(":")
    with packages_for(config.format, f"recorder format {config.format}"):
        opener: Opener = getattr(importlib.import_module(place), name)
    return opener(config, run, robot, mapping, contract)


def shown(recording: Recording, view: str, run: Run, mapping: OrderMapping, contract: Contract) -> Recording:
    """Return the recording with a Rerun viewer that is shown the same.

    Args:
        recording: open, or empty.
        view: address of a running viewer, a .rrd file, or "" for a viewer that is started here.
        run: description of the run.
        mapping: between the robot's order and the policy's.
        contract: with the server.

    Raises:
        ConfigError: Rerun is not installed.
    """
    module = load_brought(VIEWER, subject="view", extra="view")
    viewer: RecorderPort = module.start_live_view(view, run, mapping, contract)
    recorders = [viewer] if recording.recorder is None else [recording.recorder, viewer]
    return replace(recording, recorder=SeveralRecorders(recorders))
