"""LeRobot's own classes and torch load what is written here, and what they pickle is read here."""

from __future__ import annotations

import importlib.util
import pickle  # noqa: TID251 - what LeRobot's client and server do
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import lerobot
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply
from vagus.integrations.lerobot_grpc.dialect import (
    decode_request,
    decode_setup,
    encode_reply,
    encode_setup,
    images_of,
    state_of,
)
from vagus.integrations.lerobot_grpc.messages import HelpersModule, TimedObservation
from vagus.integrations.lerobot_grpc.pickle_reader import read_actions, read_observation, read_policy_config
from vagus.integrations.lerobot_grpc.pickle_writer import write_observation
from vagus.integrations.lerobot_grpc.protobuf import decode_data, encode_data

PACKAGE = "lerobot.async_inference"
FOLDER = Path(lerobot.__file__).parent / "async_inference"
loads = pickle.loads
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["a.pos", "b.pos"]},
    "observation.images.front": {
        "dtype": "image", "shape": (480, 640, 3), "names": ["height", "width", "channels"],
        "info": {"is_depth_map": False},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def helpers() -> Iterator[types.ModuleType]:
    """Load LeRobot's own file; its package wants gRPC, which its classes do not need."""
    before = {name: found for name, found in sys.modules.items() if name.startswith(PACKAGE)}
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(FOLDER)]
    sys.modules[PACKAGE] = package
    spec = importlib.util.spec_from_file_location(f"{PACKAGE}.helpers", FOLDER / "helpers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"{PACKAGE}.helpers"] = module
    spec.loader.exec_module(module)
    yield module
    for name in (PACKAGE, f"{PACKAGE}.helpers"):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.parametrize("protocol", [4, 5])
def test_what_lerobot_pickles_is_read(helpers: types.ModuleType, protocol: int) -> None:
    config = helpers.RemotePolicyConfig("act", "user/model", FEATURES, 50, "cpu", {"a": "b"})
    setup = read_policy_config(pickle.dumps(config, protocol))
    assert (setup.policy_type, setup.actions_per_chunk, setup.rename_map) == ("act", 50, {"a": "b"})
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    raw = {
        "a.pos": 0.25,
        "b.pos": np.float32(-1.5),
        "front": picture,
        "task": "pick",
        "touch": torch.arange(6),
    }
    observation = helpers.TimedObservation(
        timestamp=1.5, timestep=7, observation=raw | {"wide": torch.zeros(3, 2).T}, must_go=True
    )
    request = decode_request(pickle.dumps(observation, protocol))
    assert state_of(request, setup).tolist() == [0.25, -1.5]
    np.testing.assert_array_equal(images_of(request, setup)["front"], picture)
    touch, wide = request.observation["touch",], request.observation["wide",]
    assert isinstance(touch, np.ndarray)
    assert isinstance(wide, np.ndarray)
    assert (touch.tolist(), wide.shape) == ([0, 1, 2, 3, 4, 5], (2, 3))


@pytest.mark.parametrize("protocol", [4, 5])
def test_what_a_policy_server_pickles_is_read(helpers: types.ModuleType, protocol: int) -> None:
    chunk = torch.arange(300, dtype=torch.float32).reshape(50, 6)
    actions = [
        helpers.TimedAction(timestamp=at / 30, timestep=at, action=row) for at, row in enumerate(chunk)
    ]
    read = read_actions(pickle.dumps(actions, protocol))
    np.testing.assert_array_equal(np.stack([action.action for action in read]), chunk.numpy())


def test_lerobot_loads_the_actions_that_are_written(helpers: types.ModuleType) -> None:
    rows = np.random.default_rng(0).random((50, 6), np.float32)
    setup = decode_setup(encode_data(pickle.dumps(helpers.RemotePolicyConfig("act", "m", FEATURES, 50))))
    times: dict[str | bytes, Value] = {"timestamp": 100.0, "timestep": 7, "step_s": 0.5}
    asked = Envelope("lerobot_grpc", version=setup.module.value)
    message = encode_reply(ForeignReply({"actions": rows}, times), asked)
    loaded = loads(decode_data(message))
    assert all(type(action) is helpers.TimedAction for action in loaded)
    assert [action.get_timestep() for action in loaded] == list(range(7, 57))
    assert [action.get_timestamp() for action in loaded] == [100.0 + at / 2 for at in range(50)]
    tensors = [action.get_action() for action in loaded]
    assert all(tensor.dtype == torch.float32 and not tensor.requires_grad for tensor in tensors)
    np.testing.assert_array_equal(torch.stack(tensors).numpy(), rows)
    mixed = 0.3 * tensors[0] + 0.7 * tensors[1]  # as the client joins two chunks
    tensors[0].add_(1)
    np.testing.assert_array_equal(tensors[1].numpy(), rows[1])
    assert mixed.shape == (6,)


def test_lerobot_loads_the_setup_and_the_observation_that_are_written(helpers: types.ModuleType) -> None:
    config = helpers.RemotePolicyConfig("act", "user/model", FEATURES, 50, "cpu", {"a": "b"})
    assert loads(decode_data(encode_setup(read_policy_config(pickle.dumps(config))))) == config
    picture = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    ours = TimedObservation(1.5, 3, {"a.pos": 0.5, "front": picture, "task": "pick"}, must_go=False)
    loaded = loads(write_observation(ours))
    assert type(loaded) is helpers.TimedObservation
    assert (loaded.timestamp, loaded.timestep, loaded.must_go) == (1.5, 3, False)
    assert (loaded.observation["a.pos"], loaded.observation["task"]) == (0.5, "pick")
    np.testing.assert_array_equal(loaded.observation["front"], picture)
    loaded.observation["front"][0] = 0  # LeRobot gives it to torch, which wants it writable
    assert read_observation(write_observation(ours)).module is HelpersModule.SINCE_0_4
