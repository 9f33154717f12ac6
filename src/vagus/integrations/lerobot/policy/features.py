"""Inputs and outputs of a LeRobot checkpoint, from its own files and the manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.checkpoint import Checkpoint, Table, steps_of
from vagus.integrations.lerobot.policy.families import Family
from vagus.integrations.lerobot.policy.manifest_text import ACTION, STATE, Stated, manifest_of
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.policies.declare import SpecTable
from vagus.specs import PolicySpec, RtcSpec

__all__ = ["ACTION", "STATE", "Features", "features_of", "manifest_text", "model_horizon", "rtc_of"]

STATES = (STATE, "observation.environment_state")
"""Vectors that a policy looks at, in the order in which they make up our state. The second one holds what
only a simulator, or a tracker, knows: where things are."""
CAMERA_KEYS = ("observation.images.", "observation.")
"""Longest first: what precedes a camera's name in a checkpoint."""

EMPTY_CAMERA = "empty_camera_"
"""Prefix of cameras that exist only in the network and are always masked."""

CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Features:
    """Features of a checkpoint, as vagus names them.

    Attributes:
        spec: without real-time chunking.
        cameras: camera name → key of its frames in LeRobot's batch.
        states: key in LeRobot's batch → its place in our state; in the order of `STATES`.
    """

    spec: PolicySpec
    cameras: Mapping[str, str]
    states: Mapping[str, slice]


def features_of(
    checkpoint: Checkpoint, family: Family, table: SpecTable, *, model: str, trained_rate_hz: float | None
) -> Features:
    """Return what the checkpoint and the manifest say together.

    Args:
        checkpoint: as read.
        family: its family.
        table: the `spec` of the manifest.
        model: what the user calls it, for messages.
        trained_rate_hz: as in the manifest.

    Raises:
        ConfigError: something that neither says, with a manifest to paste; or they contradict each other.
    """
    stated = _stated(checkpoint)
    _check_cameras(stated, family, table)
    rate_hz = trained_rate_hz or stated.rate_hz
    lacking = _lacking(stated, table, rate_hz)
    if lacking or not rate_hz:
        manifest = manifest_of(model, stated, table, rate_hz, LeRobotOptions())
        raise ConfigError(
            f"model {model!r}",
            wanted="names, units and a rate for every number that goes to or comes from a motor",
            got="; ".join(lacking),
            fix="complete your manifest, or have it written (--write-manifest serve.yaml, with --dataset for "
            f"names and rate of its data), and check every line:\n\n{manifest}",
        )
    complete = replace(
        table,
        cameras={name: table.cameras.get(name, size) for name, size in stated.sizes.items()},
        horizon=model_horizon(checkpoint.config, family),
        rate_hz=rate_hz,
        prefix_horizon=None,
    )
    spec = replace(complete.to_spec(), policy_type=checkpoint.policy_type, model_dim=stated.action_dim)
    return Features(spec, stated.cameras, _places(stated.states))


def manifest_text(
    checkpoint: Checkpoint,
    table: SpecTable,
    *,
    model: str,
    rate_hz: float | None,
    options: LeRobotOptions | None = None,
) -> str:
    """Return a manifest in YAML for this checkpoint, to be checked by a person line by line.

    Args:
        checkpoint: as read.
        table: names and units as far as they are known, e.g. those of the dataset.
        model: what the user calls it.
        rate_hz: of the data; None: the checkpoint's own, else a guess.
        options: what is known of the backend's own settings; without sources, the model is one.

    Raises:
        ConfigError: there are more or fewer names than the checkpoint has numbers.
    """
    stated = _stated(checkpoint)
    for what, given, wanted in _vectors(stated, table):
        if given and len(given) != wanted:
            raise ConfigError(
                f"names of {what}s", wanted=f"{wanted}, as many as the policy has", got=str(list(given))
            )
    return manifest_of(model, stated, table, rate_hz or stated.rate_hz, options or LeRobotOptions())


def model_horizon(config: Table, family: Family) -> int:
    """Return the length of a chunk.

    Raises:
        ConfigError: the configuration has no such setting.
    """
    for name in family.horizon:
        value = config.get(name)
        if isinstance(value, int):
            return value
    raise ConfigError(
        "model", wanted=f"the length of its chunks as one of {family.horizon}", got=f"{sorted(config)}"
    )


def rtc_of(config: Table, horizon: int) -> RtcSpec:
    """Return the settings of real-time chunking that the checkpoint carries, else LeRobot's defaults."""
    own = config.get("rtc_config")
    said = own if isinstance(own, dict) else {}
    return RtcSpec(
        prefix_horizon=min(int(said.get("execution_horizon", 10)), horizon),
        schedule=str(said.get("prefix_attention_schedule", "linear")).lower(),
        max_guidance=float(said.get("max_guidance_weight", 10.0)),
    )


def _stated(checkpoint: Checkpoint) -> Stated:
    config = checkpoint.config
    inputs, outputs = _table(config, "input_features"), _table(config, "output_features")
    if ACTION not in outputs:
        raise ConfigError("model", wanted=f"an output feature {ACTION!r}", got=f"{sorted(outputs)}")
    cameras: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for key, feature in inputs.items():
        kind, shape = _feature(key, feature)
        if kind == "VISUAL" and EMPTY_CAMERA not in key:
            name = _camera_name(key)
            cameras[name], sizes[name] = key, _size(key, shape)
        elif kind != "VISUAL" and key not in STATES:
            wanted = f"cameras, {' and '.join(STATES)}"
            raise ConfigError("model", wanted=wanted, got=f"one that also needs {key!r}")
    states = {key: _feature(key, inputs[key])[1][0] for key in STATES if key in inputs}
    action_dim = _feature(ACTION, outputs[ACTION])[1][0]
    names = _action_names(checkpoint)
    if names is not None and len(names) != action_dim:
        names = None  # a list for another robot names nothing here
    return Stated(names, action_dim, states, cameras, sizes, _simulator_rate(checkpoint))


def _places(sizes: Mapping[str, int]) -> dict[str, slice]:
    """Return where each vector begins and ends in our state."""
    ends = list(accumulate(sizes.values()))
    return {key: slice(end - sizes[key], end) for key, end in zip(sizes, ends, strict=True)}


def _action_names(checkpoint: Checkpoint) -> tuple[str, ...] | None:
    relative = [s for s in steps_of(checkpoint.preprocessor) if "action_names" in _table(s, "config")]
    candidates = [checkpoint.config.get("action_feature_names")]
    candidates += [_table(step, "config")["action_names"] for step in relative]
    for names in candidates:
        if isinstance(names, list) and names:
            return tuple(str(name) for name in names)
    return None


def _simulator_rate(checkpoint: Checkpoint) -> float | None:
    """Return the rate of the simulator that the policy was trained in; data sets leave no trace of theirs."""
    path = checkpoint.path / "train_config.json"
    try:
        config = json.loads(path.read_bytes())
        rate = config["env"]["fps"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(rate) if isinstance(rate, (int, float)) and rate > 0 else None


def _check_cameras(stated: Stated, family: Family, table: SpecTable) -> None:
    if table.depth_cameras:
        raise ConfigError(
            "depth_cameras",
            wanted="none, because a LeRobot policy looks at colour frames only",
            got=f"{sorted(table.depth_cameras)}",
        )
    unknown = sorted((set(table.cameras) | set(table.optional_cameras)) - set(stated.cameras))
    if unknown:
        raise ConfigError(
            "cameras",
            wanted=f"the policy's: {sorted(stated.cameras)}",
            got=f"{unknown}",
            fix="a robot's other names are mapped on its side: --rename <the robot's> <the policy's>",
        )
    if not family.fits_frames and table.optional_cameras:
        raise ConfigError(
            "optional_cameras",
            wanted="none, because this policy looks at all of its cameras",
            got=f"{list(table.optional_cameras)}",
        )
    resized = [n for n, size in table.cameras.items() if tuple(size) != stated.sizes[n]]
    if not family.fits_frames and resized:
        raise ConfigError(
            "cameras",
            wanted=f"the sizes it was trained with: { {n: stated.sizes[n] for n in resized} }",
            got=f"{ {n: tuple(table.cameras[n]) for n in resized} }",
        )


def _vectors(stated: Stated, table: SpecTable) -> Iterator[tuple[str, Mapping[str, str], int]]:
    """Yield what each vector is made of: in words, name → unit as given, and how many the checkpoint has."""
    yield "action", table.actions, stated.action_dim
    yield "state feature", table.state, stated.state_dim


def _lacking(stated: Stated, table: SpecTable, rate_hz: float | None) -> list[str]:
    """Return what neither the checkpoint nor the manifest says, or says otherwise."""
    lacking = [] if rate_hz else ["no trained rate"]
    if stated.actions is not None and table.actions and tuple(table.actions) != stated.actions:
        how = "in another order" if sorted(table.actions) == sorted(stated.actions) else "by other names"
        lacking.append(f"the actions {how} than the checkpoint's {list(stated.actions)}")
    for what, given, wanted in _vectors(stated, table):
        if len(given) != wanted:
            lacking.append(f"{len(given)} of {wanted} {what}s named" if given else f"no {what} named")
        lacking += [f"no unit of {what} {name!r}" for name, unit in given.items() if not unit]
    return lacking


def _table(table: Table, name: str) -> Table:
    value = table.get(name)
    return value if isinstance(value, dict) else {}


def _feature(key: str, feature: object) -> tuple[str, tuple[int, ...]]:
    """Return kind and shape of one feature."""
    if isinstance(feature, dict):
        shape = feature.get("shape")
        if isinstance(shape, (list, tuple)) and shape and all(isinstance(n, int) and n > 0 for n in shape):
            return str(feature.get("type")), tuple(shape)
    raise ConfigError(f"feature {key!r} of the model", wanted="a type and a shape", got=repr(feature))


def _size(key: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a camera's frames, stated channels first or last."""
    if len(shape) == CHANNELS and shape[0] == CHANNELS:
        return shape[1], shape[2]
    if len(shape) == CHANNELS and shape[2] == CHANNELS:
        return shape[0], shape[1]
    raise ConfigError(f"camera {key!r} of the model", wanted="RGB frames", got=f"shape {shape}")


def _camera_name(key: str) -> str:
    for prefix in CAMERA_KEYS:
        if key.startswith(prefix):
            return key[len(prefix) :]
    return key
