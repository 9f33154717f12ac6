"""Manifest file of a LeRobot checkpoint, with names and rate of the training data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub.constants import HF_HOME

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.checkpoint import read_checkpoint
from vagus.integrations.lerobot.policy.features import ACTION, STATE, manifest_text
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.integrations.lerobot.policy.source import local_directory
from vagus.policies.declare import SpecTable
from vagus.policies.options import OptionValue, read_options

__all__ = ["DatasetInfo", "lerobot_home", "read_dataset", "write_manifest"]

INFO = Path("meta", "info.json")


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """Description of a LeRobot dataset, from its own files.

    Attributes:
        actions: names, in order.
        state: names of the state vector, in order; none where there is none.
        rate_hz: frames per second.
    """

    actions: tuple[str, ...]
    state: tuple[str, ...]
    rate_hz: float


def write_manifest(  # noqa: PLR0913 - one line each in the manifest
    path: Path,
    *,
    model: str,
    revision: str = "main",
    table: SpecTable | None = None,
    trained_rate_hz: float | None = None,
    options: Mapping[str, OptionValue] | None = None,
    dataset: str = "",
) -> None:
    """Write the manifest of `model` to a new file.

    Args:
        path: the file, .yaml.
        model: a directory or a hub id; it is read, nothing of it is run.
        revision: branch, tag or commit on the hub.
        table: what is known already; it wins.
        trained_rate_hz: likewise.
        options: of the backend, as in the manifest; what stands there is written, too.
        dataset: folder or name of the dataset that it was trained on; "": none is at hand.

    Raises:
        ConfigError: the file is there, checkpoint or dataset cannot be read, or they do not fit.
        PolicyError: the hub does not answer.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError("write_manifest", wanted="a new file, .yaml", got=str(path))
    directory = local_directory(model, revision, (model, str(Path(model).expanduser())))
    told = read_options("policy 'lerobot'", LeRobotOptions, options or {})
    checkpoint = read_checkpoint(directory, allowed_classes=told.allowed_classes)
    table = table or SpecTable()
    if dataset:
        said = read_dataset(dataset)
        trained_rate_hz = trained_rate_hz or said.rate_hz
        table = replace(
            table,
            actions=table.actions or dict.fromkeys(said.actions, ""),
            state=table.state or dict.fromkeys(said.state, ""),
        )
    text = manifest_text(checkpoint, table, model=model, rate_hz=trained_rate_hz, options=told)
    if revision != "main":
        text += f"revision: {json.dumps(revision)}\n"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError("write_manifest", wanted="a new file", got=f"{path}: {error.strerror}") from error


def read_dataset(place: str) -> DatasetInfo:
    """Return what a dataset says of itself.

    Args:
        place: its folder, or its name (user/name) where LeRobot keeps it on this machine.

    Raises:
        ConfigError: there is none, or it names nothing.
    """
    home = lerobot_home()
    folders = (Path(place).expanduser(), home / place)
    found = next((folder / INFO for folder in folders if (folder / INFO).is_file()), None)
    if found is None:
        raise ConfigError(
            "dataset",
            wanted="the folder of a LeRobot dataset, with meta/info.json in it",
            got=f"{place}, which is none, and none is called so in {home}",
            fix=f"fetch it: hf download --repo-type dataset {place} --local-dir dataset",
        )
    try:
        info = json.loads(found.read_bytes())
        features, rate_hz = info["features"], float(info["fps"])
        actions, state = _names(features[ACTION]), _names(features.get(STATE, {"names": []}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"dataset {found}",
            wanted=f"fps, and names of {ACTION} and {STATE}",
            got=f"{type(error).__name__}: {error}",
        ) from error
    return DatasetInfo(actions, state, rate_hz)


def lerobot_home() -> Path:
    """Return the folder of the datasets that LeRobot records: HF_LEROBOT_HOME, or lerobot in HF_HOME."""
    return Path(os.environ.get("HF_LEROBOT_HOME") or Path(HF_HOME, "lerobot")).expanduser()


def _names(feature: dict[str, object]) -> tuple[str, ...]:
    """Return the names of a vector's numbers: a list, or lists under a word such as "motors"."""
    names = feature["names"]
    parts = list(names.values()) if isinstance(names, dict) else [names]
    if not all(isinstance(part, list) for part in parts):
        raise TypeError(f"names are {names!r}")
    return tuple(str(name) for part in parts if isinstance(part, list) for name in part)
