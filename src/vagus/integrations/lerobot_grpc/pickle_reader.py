"""LeRobot's three pickled messages as values of ours; nothing that they name is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import AnyArray
from vagus.integrations.lerobot_grpc.messages import (
    HelpersModule,
    ObservationValue,
    PlainValue,
    RemotePolicyConfig,
    RobotFeature,
    TimedAction,
    TimedObservation,
)
from vagus.integrations.lerobot_grpc.pickle_globals import ArrayInMaking, PickleInstance, Role, whole
from vagus.integrations.lerobot_grpc.pickle_machine import PickleLimits, run_pickle
from vagus.quoting import quoted
from vagus.wire.codec import MAX_CHUNK_BYTES, MAX_CONTROL_BYTES, MAX_OBSERVATION_BYTES
from vagus.wire.schema import MAX_CAMERAS, MAX_FEATURES, MAX_INSTRUCTION, MAX_NDIM

__all__ = ["read_actions", "read_observation", "read_policy_config"]

_CONFIG_LIMITS = PickleLimits(MAX_CONTROL_BYTES, max_opcodes=20_000)
_OBSERVATION_LIMITS = PickleLimits(MAX_OBSERVATION_BYTES, max_opcodes=20_000)
_ACTIONS_LIMITS = PickleLimits(MAX_CHUNK_BYTES, max_opcodes=60_000)
"""An action takes about 35 opcodes."""
_MAX_ACTIONS = 1000
_MAX_VALUES = MAX_FEATURES + MAX_CAMERAS + 1
_MAX_INFO = 64

Fields = Mapping[str, object]


def read_policy_config(payload: bytes | memoryview) -> RemotePolicyConfig:
    """Return the policy that a robot client asks for.

    Raises:
        ProtocolError: anything else than a pickled `RemotePolicyConfig`; it names the opcode or global.
    """
    fields, module = _instance(run_pickle(payload, _CONFIG_LIMITS), Role.POLICY_CONFIG)
    wanted = ("policy_type", "pretrained_name_or_path", "lerobot_features", "actions_per_chunk", "device")
    _check_fields(fields, wanted, optional=("rename_map",))
    features = _dict(fields["lerobot_features"], "lerobot_features", _MAX_VALUES)
    return RemotePolicyConfig(
        _text(fields["policy_type"], "policy_type"),
        _text(fields["pretrained_name_or_path"], "pretrained_name_or_path"),
        {key: _feature(value) for key, value in features.items()},
        whole(fields["actions_per_chunk"], "actions_per_chunk"),
        _text(fields["device"], "device"),
        _rename_map(fields["rename_map"]) if "rename_map" in fields else None,
        module,
    )


def read_observation(payload: bytes | memoryview) -> TimedObservation:
    """Return an observation; its arrays are read-only views of `payload`. NaN and infinity pass.

    Raises:
        ProtocolError: anything else than a pickled `TimedObservation`; it names the opcode or global.
    """
    fields, module = _instance(run_pickle(payload, _OBSERVATION_LIMITS), Role.OBSERVATION)
    _check_fields(fields, ("timestamp", "timestep", "observation", "must_go"))
    values = _dict(fields["observation"], "observation", _MAX_VALUES)
    must_go = fields["must_go"]
    if not isinstance(must_go, bool):
        raise ProtocolError(f"must_go: wanted true or false, got {type(must_go).__name__}")
    observed = {key: _observed(value, key) for key, value in values.items()}
    size = sum(value.nbytes for value in observed.values() if isinstance(value, np.ndarray))
    if size > MAX_OBSERVATION_BYTES:  # of bytes that are there once, however often they are named
        raise ProtocolError(
            f"observation: wanted arrays of at most {MAX_OBSERVATION_BYTES} bytes, got {size}"
        )
    return TimedObservation(
        _time(fields["timestamp"]),
        whole(fields["timestep"], "timestep"),
        observed,
        must_go,
        module,
    )


def read_actions(payload: bytes | memoryview) -> tuple[TimedAction, ...]:
    """Return the actions of a policy server's answer, views of `payload`. NaN and infinity pass.

    Raises:
        ProtocolError: anything else than a pickled list of `TimedAction` with float32 tensors of one length.
    """
    found = run_pickle(payload, _ACTIONS_LIMITS)
    if not isinstance(found, list) or len(found) > _MAX_ACTIONS:
        raise ProtocolError(f"actions: wanted a list of at most {_MAX_ACTIONS}, got {_kind(found)}")
    actions = tuple(map(_action, found))
    if len({action.action.shape for action in actions}) > 1:
        raise ProtocolError("actions: wanted all of one length, got several")
    return actions


def _action(value: object) -> TimedAction:
    fields, _ = _instance(value, Role.ACTION)
    _check_fields(fields, ("timestamp", "timestep", "action"))
    action = _array(fields["action"])
    if action is None or action.dtype != np.float32 or action.ndim != 1 or action.size > MAX_FEATURES:
        wanted = f"a float32 tensor (action_dim,) of at most {MAX_FEATURES}"
        raise ProtocolError(f"action: wanted {wanted}, got {_kind(fields['action'])}")
    return TimedAction(
        _time(fields["timestamp"]),
        whole(fields["timestep"], "timestep"),
        action.astype(np.float32, copy=False),
    )


def _instance(value: object, role: Role) -> tuple[Fields, HelpersModule]:
    if not isinstance(value, PickleInstance) or value.kind.role is not role:
        raise ProtocolError(f"pickle: wanted a {role.name}, got {_kind(value)}")
    if value.fields is None:
        raise ProtocolError(f"pickle: a {role.name} came without its fields")
    return value.fields, HelpersModule(value.kind.module)


def _check_fields(fields: Fields, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    missing = [name for name in wanted if name not in fields]
    unknown = [name for name in fields if name not in (*wanted, *optional)]
    if missing or unknown:
        got = quoted(", ".join(fields))
        raise ProtocolError(f"pickle: wanted the fields {', '.join(wanted)}, got {got}")


def _feature(value: object) -> RobotFeature:
    fields = _dict(value, "a feature", 4)
    _check_fields(fields, ("dtype", "shape", "names"), optional=("info",))
    shape, names = fields["shape"], fields["names"]
    if not isinstance(shape, (tuple, list)) or len(shape) > MAX_NDIM:
        raise ProtocolError(f"a feature's shape: wanted at most {MAX_NDIM} sizes, got {_kind(shape)}")
    if not isinstance(names, (tuple, list)) or len(names) > MAX_FEATURES:
        raise ProtocolError(f"a feature's names: wanted at most {MAX_FEATURES} texts, got {_kind(names)}")
    return RobotFeature(
        _text(fields["dtype"], "a feature's dtype"),
        tuple(whole(size, "a feature's size") for size in shape),
        tuple(_text(name, "a feature's name") for name in names),
        _info(fields["info"]) if "info" in fields else None,
    )


def _info(value: object) -> Mapping[str, PlainValue]:
    return {key: _plain(one) for key, one in _dict(value, "a feature's info", _MAX_INFO).items()}


def _plain(value: object) -> PlainValue:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _text(value, "a feature's info")


def _rename_map(value: object) -> Mapping[str, str]:
    pairs = _dict(value, "rename_map", _MAX_VALUES)
    return {key: _text(one, "rename_map") for key, one in pairs.items()}


def _observed(value: object, key: str) -> ObservationValue:
    if isinstance(value, (bool, int, float)):
        return value
    array = _array(value)
    return _text(value, f"observation {quoted(key, 64)}") if array is None else array


def _array(value: object) -> AnyArray | None:
    if isinstance(value, ArrayInMaking):
        if value.array is None:
            raise ProtocolError("numpy.ndarray: came without its numbers")
        return value.array
    return value if isinstance(value, np.ndarray) else None


def _time(value: object) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise ProtocolError(f"timestamp: wanted a finite float, got {_kind(value)}")
    return value


def _text(value: object, subject: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_INSTRUCTION:
        raise ProtocolError(
            f"{subject}: wanted a text of at most {MAX_INSTRUCTION} characters, got {_kind(value)}"
        )
    return value


def _dict(value: object, subject: str, most: int) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) > most:
        raise ProtocolError(f"{subject}: wanted a dict of at most {most} entries, got {_kind(value)}")
    return value


def _kind(value: object) -> str:
    if isinstance(value, PickleInstance):
        return f"a {value.kind.role.name}"
    if isinstance(value, (list, dict, tuple, str)):
        return f"a {type(value).__name__} of {len(value)}"
    array = value.array if isinstance(value, ArrayInMaking) else value
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(value).__name__
