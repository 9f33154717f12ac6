"""LeRobot's three messages as pickles, written by hand: LeRobot's own classes come out of `pickle.loads`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vagus.errors import SpecError
from vagus.integrations.lerobot_grpc.messages import (
    HelpersModule,
    ObservationValue,
    RemotePolicyConfig,
    RobotFeature,
    TimedAction,
    TimedObservation,
)
from vagus.integrations.lerobot_grpc.pickle_emitter import PickleEmitter
from vagus.integrations.lerobot_grpc.pickle_opcodes import Opcode
from vagus.integrations.lerobot_grpc.torch_storage import write_storage

__all__ = ["write_actions", "write_observation", "write_policy_config"]

Pairs = list[tuple[str, Callable[[], None]]]


def write_policy_config(config: RemotePolicyConfig) -> bytes:
    """Return `config` as a robot client pickles it, byte for byte."""
    out = PickleEmitter()
    features: Pairs = [
        (key, partial(_feature, out, feature)) for key, feature in config.lerobot_features.items()
    ]
    fields: Pairs = [
        ("policy_type", partial(out.value, config.policy_type)),
        ("pretrained_name_or_path", partial(out.value, config.pretrained_name_or_path)),
        ("lerobot_features", partial(out.pairs, features)),
        ("actions_per_chunk", partial(out.value, config.actions_per_chunk)),
        ("device", partial(out.value, config.device)),
    ]
    if config.rename_map is not None:
        renames: Pairs = [(key, partial(out.value, value)) for key, value in config.rename_map.items()]
        fields.append(("rename_map", partial(out.pairs, renames)))
    out.instance(config.module.value, "RemotePolicyConfig", fields)
    return out.finish()


def write_observation(observation: TimedObservation) -> bytes:
    """Return `observation` as a robot client pickles it, byte for byte.

    Raises:
        SpecError: an array that is not of booleans, integers or floats.
    """
    out = PickleEmitter()
    values: Pairs = [(key, partial(_observed, out, value)) for key, value in observation.observation.items()]
    fields: Pairs = [
        ("timestamp", partial(out.value, observation.timestamp_s)),
        ("timestep", partial(out.value, observation.timestep)),
        ("observation", partial(out.pairs, values)),
        ("must_go", partial(out.value, observation.must_go)),
    ]
    out.instance(observation.module.value, "TimedObservation", fields)
    return out.finish()


def write_actions(actions: Sequence[TimedAction], module: HelpersModule) -> bytes:
    """Return a list of actions as a policy server answers it; the tensors are rows of one storage.

    A policy server writes the whole chunk once for each of its actions.

    Args:
        actions: at least one, all float32 of one length.
        module: where the receiver keeps its classes.

    Raises:
        SpecError: no action, another element type, or several lengths.
    """
    shapes = {action.action.shape for action in actions}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or any(a.action.dtype != np.float32 for a in actions):
        raise SpecError(
            "actions", wanted="one or more of float32 (action_dim,)", got=f"shapes {sorted(shapes)}"
        )
    out = PickleEmitter()
    storage = write_storage(np.concatenate([action.action for action in actions]))
    out.items([partial(_action, out, action, at, storage, module) for at, action in enumerate(actions)])
    return out.finish()


def _feature(out: PickleEmitter, feature: RobotFeature) -> None:
    fields: Pairs = [
        ("dtype", partial(out.value, feature.dtype)),
        ("shape", partial(out.integers, feature.shape)),
        ("names", partial(out.items, [partial(out.value, name) for name in feature.names])),
    ]
    if feature.info is not None:
        info: Pairs = [(key, partial(out.value, value)) for key, value in feature.info.items()]
        fields.append(("info", partial(out.pairs, info)))
    out.pairs(fields)


def _observed(out: PickleEmitter, value: ObservationValue) -> None:
    if isinstance(value, np.ndarray):
        out.array(value)
    else:
        out.value(value)


def _action(out: PickleEmitter, action: TimedAction, at: int, storage: bytes, module: HelpersModule) -> None:
    fields: Pairs = [
        ("timestamp", partial(out.value, action.timestamp_s)),
        ("timestep", partial(out.value, action.timestep)),
        ("action", partial(_tensor, out, storage, at * action.action.size, action.action.size)),
    ]
    out.instance(module.value, "TimedAction", fields)


def _tensor(out: PickleEmitter, storage: bytes, offset: int, size: int) -> None:
    out.name("torch._utils", "_rebuild_tensor_v2")
    out.opcode(Opcode.MARK)
    out.once("storage", partial(_storage, out, storage))
    out.value(offset)
    out.integers((size,))
    out.integers((1,))
    out.value(value=False)
    out.name("collections", "OrderedDict")  # no hooks
    out.opcode(Opcode.EMPTY_TUPLE, Opcode.REDUCE)
    out.memoize()
    out.call(Opcode.TUPLE)


def _storage(out: PickleEmitter, storage: bytes) -> None:
    out.name("torch.storage", "_load_from_bytes")
    out.data(storage)
    out.call(Opcode.TUPLE1)
