"""A server that reads and writes with openpi's own code, as the brain of a robot of ours."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray
from openpi_client import msgpack_numpy
from websockets.sync.server import ServerConnection, serve

from vagus.errors import PolicyError
from vagus.integrations.openpi.options import OpenPiOptions
from vagus.integrations.openpi.policy import OpenPiPolicy
from vagus.policies.policy import Row
from vagus.types import ActionChunk, Observation

HORIZON = 10
JOINTS, GRIPPER = "observation/joint_position", "observation/gripper_position"
VIEWS = ("observation/exterior_image_1_left", "observation/wrist_image_left")

Act = Callable[[dict[str, NDArray[np.generic]]], dict[str, object]]


@contextmanager
def openpi_server(act: Act) -> Iterator[str]:
    """Serve as openpi's `WebsocketPolicyServer` does; yield its address."""
    packer = msgpack_numpy.Packer()

    def converse(connection: ServerConnection) -> None:
        connection.send(packer.pack({"model": "droid"}))
        for frame in connection:
            try:
                connection.send(packer.pack(act(msgpack_numpy.unpackb(frame))))
            except Exception:  # noqa: BLE001, PERF203 - as the original: whatever goes wrong is said
                connection.send(traceback.format_exc())
                connection.close(1011, "Internal server error. Traceback included in previous frame.")

    with serve(converse, "127.0.0.1", 0, compression=None, close_timeout=0.2) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"openpi+ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
    thread.join()


def row_of(number: int) -> Row[None]:
    frames = np.random.default_rng(number).integers(0, 255, (2, 224, 224, 3), np.uint8)
    state = np.linspace(-0.1 * number, 0.1 * number, 8, dtype=np.float32)
    seen = Observation(state, {"exterior_1": frames[0], "wrist": frames[1]}, "pick", 0)
    return Row(None, seen, number, None, 0, 0, 0)


def policy_at(address: str) -> OpenPiPolicy:
    return OpenPiPolicy(address, options=OpenPiOptions(profile="droid", timeout_s=20.0))


def test_it_reads_what_we_send_and_we_read_what_it_answers() -> None:
    heard: list[dict[str, NDArray[np.generic]]] = []

    def act(observation: dict[str, NDArray[np.generic]]) -> dict[str, object]:
        heard.append(observation)
        state = np.concatenate([observation[JOINTS], observation[GRIPPER]])
        return {"actions": np.tile(state, (HORIZON, 1)), "state": state, "policy_timing": {"infer_ms": 1.0}}

    with openpi_server(act) as address:
        policy = policy_at(address)
        chunks = policy.infer([row_of(1), row_of(2)])
        policy.close()
    for number, (chunk, observation) in enumerate(zip(chunks, heard, strict=True), start=1):
        assert isinstance(chunk, ActionChunk)
        sent = row_of(number).observation
        np.testing.assert_allclose(chunk.robot, np.tile(sent.state, (HORIZON, 1)), atol=1e-6)
        assert observation["prompt"] == "pick"
        assert observation[JOINTS].dtype == np.float64
        for view, camera in zip(VIEWS, ("exterior_1", "wrist"), strict=True):
            np.testing.assert_array_equal(observation[view], sent.images[camera])


def test_its_traceback_is_told_and_the_next_question_is_answered() -> None:
    is_first = iter([True])

    def act(observation: dict[str, NDArray[np.generic]]) -> dict[str, object]:
        del observation
        if next(is_first, False):
            raise KeyError("observation/state")
        return {"actions": np.zeros((HORIZON, 8), np.float32)}

    with openpi_server(act) as address:
        policy = policy_at(address)
        bad, good = policy.infer([row_of(1), row_of(2)])
        policy.close()
    assert isinstance(bad, PolicyError)
    assert str(bad).endswith("says: KeyError: 'observation/state'")
    assert isinstance(good, ActionChunk)


@pytest.mark.parametrize("actions", [np.full((HORIZON, 8), np.nan), np.zeros((HORIZON, 7)), None])
def test_what_must_not_be_commanded_is_an_error(actions: NDArray[np.float64] | None) -> None:
    answer: dict[str, object] = {"status": "ok"} if actions is None else {"actions": actions}
    with openpi_server(lambda _: answer) as address:
        policy = policy_at(address)
        (result,) = policy.infer([row_of(1)])
        policy.close()
    assert isinstance(result, PolicyError)
    assert "actions" in str(result)
