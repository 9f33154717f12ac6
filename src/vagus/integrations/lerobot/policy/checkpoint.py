"""Files of a LeRobot checkpoint: required files, allowed references in them, and their content hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.families import family_of

__all__ = [
    "POSTPROCESSOR",
    "PREPROCESSOR",
    "WEIGHTS",
    "Checkpoint",
    "Table",
    "check_source",
    "places_in",
    "read_checkpoint",
    "steps_of",
]

Table: TypeAlias = "Mapping[str, object]"

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PREPROCESSOR = "policy_preprocessor.json"
POSTPROCESSOR = "policy_postprocessor.json"

OWN_CLASS = re.compile(r"lerobot\.(processor|policies)\.[\w.]+Step")
"""Processor steps are imported by the name in a file; these only, unless the manifest lists more. The rest of
LeRobot holds functions that run what they are given, e.g. `lerobot.envs.factory.make_env`."""

PLAIN_STEPS = frozenset({"tokenizer_processor", "eo1_qwen_processor", "molmoact2_pack_inputs"})
"""Steps that only read the files of a place that they name; others may run what lies there."""

INCIDENTAL = frozenset(
    {
        "device",
        "pretrained_path",
        "pretrained_revision",
        "push_to_hub",
        "repo_id",
        "private",
        "tags",
        "license",
    }
)
"""Settings about places and machines, which do not change any output."""

UNLOADED = INCIDENTAL | {"type", "output_dir"}
"""Settings of config.json that may look like a place, and from which nothing is loaded."""

UNFOUND = " (there is no such directory here, so it would be asked of the hub)"

READ_BYTES = 1 << 22
"""Weights are hashed in parts of this size."""

NESTED = ("pretrained_model", "checkpoints/last/pretrained_model", "last/pretrained_model")
"""Where LeRobot's training puts the policy, below the folder that a user is likely to name."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Checkpoint that was examined, but not loaded.

    Attributes:
        path: its directory.
        config: config.json.
        preprocessor: policy_preprocessor.json.
        postprocessor: policy_postprocessor.json.
        digest: hex digest over weights, processors and configuration.
    """

    path: Path
    config: Table
    preprocessor: Table
    postprocessor: Table
    digest: str

    @property
    def policy_type(self) -> str:
        """LeRobot's name of the family."""
        return str(self.config["type"])

    @property
    def settings(self) -> Table:
        """What config.json says, without places that nothing is loaded from."""
        return _settings(self.config)

    def has_step(self, pipeline: Table, name: str) -> bool:
        """Return whether a pipeline has a step registered under `name`."""
        return any(step.get("registry_name") == name for step in steps_of(pipeline))


def check_source(model: str, allowed: Sequence[str], *, is_local: bool) -> None:
    """Check that weights may be loaded from `model`.

    Args:
        model: a directory or a hub id.
        allowed: directories, hub ids, or the part of a hub id before the slash.
        is_local: `model` is a directory.

    Raises:
        ConfigError: it is on no list.
    """
    inside = _is_inside if is_local else _has_prefix
    if any(inside(model, entry) for entry in allowed):
        return
    raise ConfigError(
        f"model {model!r}",
        wanted=f"a source that allowed_sources lists ({', '.join(allowed) or 'nothing yet'})",
        got=f"one that is not on it{'' if is_local else UNFOUND}; its files name what is run on them",
        fix=_line_to_add("allowed_sources", [model]),
    )


def read_checkpoint(path: Path, *, allowed_classes: Sequence[str] = ()) -> Checkpoint:
    """Return what is in the directory `path`.

    Args:
        path: what LeRobot's `save_pretrained` wrote.
        allowed_classes: modules besides LeRobot's own that processor steps may come from, and places that
            other code may come from.

    Raises:
        ConfigError: a file is missing or malformed, or names code from elsewhere.
    """
    _check_files(path)
    config, pre, post = (_read(path / name) for name in (CONFIG, PREPROCESSOR, POSTPROCESSOR))
    if not isinstance(config.get("type"), str):
        raise ConfigError(str(path / CONFIG), wanted='the policy\'s "type"', got=f"{sorted(config)}")
    for name, pipeline in ((PREPROCESSOR, pre), (POSTPROCESSOR, post)):
        _check_classes(path / name, pipeline, allowed_classes)
        _check_states(path / name, pipeline)
    _check_code(path, config, [*steps_of(pre), *steps_of(post)], allowed_classes)
    return Checkpoint(path, config, pre, post, _digest(path))


def steps_of(pipeline: Table) -> list[Table]:
    """Return the steps of a processor file."""
    steps = pipeline.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def places_in(value: object) -> Iterator[str]:
    """Return every text in a JSON value that could be a directory or a hub id."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from places_in(inner)
    elif isinstance(value, str) and (set(value) & set("/\\") or os.path.isdir(value)):
        yield value


def _settings(config: Table) -> Table:
    return {key: value for key, value in config.items() if key not in UNLOADED}


def _is_inside(model: str, folder: str) -> bool:
    """Return whether `model` is `folder` or below it, links resolved."""
    return Path(model).resolve().is_relative_to(Path(folder).expanduser().resolve())


def _has_prefix(model: str, prefix: str) -> bool:
    return model == prefix or model.startswith(prefix.rstrip("/") + "/")


def _check_files(path: Path) -> None:
    missing = [n for n in (CONFIG, WEIGHTS, PREPROCESSOR, POSTPROCESSOR) if not (path / n).is_file()]
    if not missing:
        return
    below = [path / nested for nested in NESTED if (path / nested / CONFIG).is_file()]
    if below:
        fix = f"did you mean {below[0]}?"
    elif CONFIG in missing:
        fix = "give the directory that LeRobot's training wrote, …/checkpoints/last/pretrained_model"
    elif WEIGHTS in missing and (path / "adapter_config.json").is_file():
        fix = "this is an adapter: merge it into its policy and save that"
    elif WEIGHTS in missing:
        fix = "save the policy again, whole"
    else:
        fix = (
            "give a checkpoint of an older LeRobot its processors with LeRobot's migrate_policy_normalization"
        )
    raise ConfigError(f"model {path}", wanted="a LeRobot policy", got=f"no {', no '.join(missing)}", fix=fix)


def _check_states(path: Path, pipeline: Table) -> None:
    """Check that what the steps have learned is there; what is not, LeRobot 0.6.0 would ask the hub for."""
    states = [str(step["state_file"]) for step in steps_of(pipeline) if step.get("state_file")]
    missing = [state for state in states if not (path.parent / state).is_file()]
    if missing:
        raise ConfigError(
            str(path),
            wanted="the files that its steps name",
            got=f"no {', no '.join(missing)}",
            fix="save the policy again, whole",
        )


def _read(path: Path) -> Table:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), wanted="JSON", got=str(error)) from error
    if not isinstance(table, dict):
        raise ConfigError(str(path), wanted="a JSON object", got=type(table).__name__)
    return table


def _check_classes(path: Path, pipeline: Table, allowed: Sequence[str]) -> None:
    """Refuse steps that would be imported from anywhere but LeRobot and `allowed`."""
    for step in steps_of(pipeline):
        named = step.get("class")
        if named is None or "registry_name" in step:
            continue  # a registered name imports nothing
        trusted = tuple(prefix.rstrip(".") + "." for prefix in allowed)
        if not (OWN_CLASS.fullmatch(str(named)) or str(named).startswith(trusted)):
            place = str(named).rpartition(".")[0]
            raise ConfigError(
                f"{path.name} of model {path.parent}",
                wanted="processor steps of LeRobot's own",
                got=f"class {named!r}, which would be imported and run",
                fix=_line_to_add("allowed_classes", [place]),
            )


def _check_code(path: Path, config: Table, steps: Sequence[Table], allowed: Sequence[str]) -> None:
    """Refuse places whose code LeRobot might run (`trust_remote_code`), also those within an allowed source.

    What a setting is for is known to whoever reads it only, so anything that could be loaded counts.
    """
    loaded: list[object] = [step for step in steps if str(step.get("registry_name")) not in PLAIN_STEPS]
    if family_of(str(config["type"])).runs_named_code:
        loaded.append(_settings(config))
    places = sorted({place for part in loaded for place in places_in(part)} - set(allowed))
    if places:
        raise ConfigError(
            f"model {path}",
            wanted="files that name no code",
            got=f"{places}, from where LeRobot may import and run Python",
            fix=_line_to_add("allowed_classes", places),
        )


def _line_to_add(setting: str, trusted: Sequence[str]) -> str:
    """Return what somebody who trusts these adds to the manifest."""
    line = f"{setting}: {json.dumps(list(trusted))}"
    return f"if you trust it, put this into the manifest:\n\noptions:\n  {line}\n"


def _digest(path: Path) -> str:
    """Return the digest over all files that change an output, equal wherever they lie."""
    digest = hashlib.sha256()
    for file in sorted(_contents(path)):
        digest.update(file.name.encode() + b"\0")
        if file.suffix == ".json":
            table = {key: value for key, value in _read(file).items() if key not in INCIDENTAL}
            content = json.dumps(_without_device(table), sort_keys=True).encode()
            digest.update(hashlib.sha256(content).digest())
        else:
            digest.update(_file_digest(file))
    return digest.hexdigest()


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while part := content.read(READ_BYTES):
            digest.update(part)
    return digest.digest()


def _contents(path: Path) -> Iterator[Path]:
    yield path / CONFIG
    for pattern in ("model*.safetensors", "policy_*.json", "policy_*.safetensors"):
        yield from path.glob(pattern)


def _without_device(value: object) -> object:
    """Return a JSON value without the settings of its device steps."""
    if isinstance(value, dict):
        return {key: _without_device(inner) for key, inner in value.items() if key != "device"}
    if isinstance(value, list):
        return [_without_device(inner) for inner in value]
    return value
