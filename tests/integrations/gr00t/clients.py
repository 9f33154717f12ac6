"""Clients of GR00T N1.5, N1.6 and N1.7 that send and read what the original ones do, byte for byte.

Written without this package's dialects, so that a mistake of theirs shows. Only N1.7 gives up waiting, as
only its original does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import TracebackType
from typing import TypeAlias, TypeVar, cast

import msgspec
import numpy as np
import zmq

from vagus.gateways.msgpack import AnyArray

Actions: TypeAlias = "dict[str, AnyArray]"
ClientT = TypeVar("ClientT", bound="Client")

TEST_PATIENCE_MS = 60_000
"""The originals of N1.5 and N1.6 wait for ever; a test does not."""
TASK = "annotation.human.task_description"


def as_npy(array: AnyArray) -> dict[str, object]:
    """Return an array as N1.5 and N1.6 write it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def as_msgpack_numpy(array: AnyArray) -> dict[bytes, object]:
    """Return an array as N1.7 writes it."""
    return {
        b"nd": True,
        b"type": array.dtype.str,
        b"kind": b"",
        b"shape": list(array.shape),
        b"data": array.tobytes(),
    }


class Client:
    """What all versions share: one REQ socket, one frame each way."""

    encode_array = staticmethod(as_npy)

    def __init__(self, address: str, api_token: str | None = None) -> None:
        self.address = address
        self.api_token = api_token
        self.context = zmq.Context()
        self.connect()

    def connect(self) -> None:
        self.socket = self.context.socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, TEST_PATIENCE_MS)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"tcp://{self.address}")

    def close(self) -> None:
        self.socket.close()
        self.context.term()

    def __enter__(self: ClientT) -> ClientT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request(self, endpoint: str, data: object = None, *, with_data: bool = False) -> bytes:
        """Return the frame of a request: endpoint, then data, then the token."""
        asked: dict[str, object] = {"endpoint": endpoint}
        if with_data:
            asked["data"] = self._plain(data)
        if self.api_token:
            asked["api_token"] = self.api_token
        return msgspec.msgpack.encode(asked)

    def call(self, endpoint: str, data: object = None, *, with_data: bool = False) -> object:
        self.socket.send(self.request(endpoint, data, with_data=with_data))
        return self.read(self.socket.recv())

    def read(self, reply: bytes) -> object:
        raise NotImplementedError

    def ping(self) -> object:
        return self.call("ping")

    def act(self, state: AnyArray, *, task: str = "pick", frame: AnyArray | None = None) -> AnyArray:
        """Return the chunk (horizon, 6) for a state (6,)."""
        raise NotImplementedError

    def _plain(self, value: object) -> object:
        if isinstance(value, np.ndarray):
            return self.encode_array(value)
        if isinstance(value, Mapping):
            return {key: self._plain(one) for key, one in value.items()}
        return [self._plain(one) for one in value] if isinstance(value, list) else value

    def _decoded(self, value: object) -> object:
        """Return arrays as this version's client decodes them; all else as it is."""
        if isinstance(value, dict):
            if "__ndarray_class__" in value:
                return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
            return {key: self._decoded(one) for key, one in value.items()}
        return [self._decoded(one) for one in value] if isinstance(value, list) else value


class ClientN15(Client):
    """`gr00t/eval/service.py`: flat, time axis, no batch; every reply is searched for `error`."""

    def read(self, reply: bytes) -> object:
        if reply == b"ERROR":
            raise RuntimeError("Server error")
        decoded = self._decoded(msgspec.msgpack.decode(reply))
        if "error" in cast("dict[str, object]", decoded):  # a None raises TypeError, as in the original
            raise RuntimeError(f"Server error: {cast('dict[str, object]', decoded)['error']}")
        return decoded

    def get_action(self, observation: Mapping[str, object]) -> Actions:
        return cast("Actions", self.call("get_action", observation, with_data=True))

    def act(self, state: AnyArray, *, task: str = "pick", frame: AnyArray | None = None) -> AnyArray:
        actions = self.get_action(flat_observation(state, task, frame))
        arm, gripper = actions["action.single_arm"], actions["action.gripper"]
        # eval_lerobot.py: one step after the other, in the order of the modality keys
        return np.array(
            [np.concatenate([np.atleast_1d(arm[i]), np.atleast_1d(gripper[i])]) for i in range(4)]
        )


class ClientN16(Client):
    """`gr00t/policy/server_client.py` of N1.6: nested, batch and time axes; a map with `error` is one."""

    def read(self, reply: bytes) -> object:
        if reply == b"ERROR":
            raise RuntimeError("Server error")
        decoded = self._decoded(msgspec.msgpack.decode(reply))
        if isinstance(decoded, dict) and "error" in decoded:
            raise RuntimeError(f"Server error: {decoded['error']}")
        return decoded

    def get_action(
        self, observation: Mapping[str, object], options: object = None
    ) -> tuple[Actions, dict[str, object]]:
        asked = {"observation": observation, "options": options}
        actions, about = cast("list[object]", self.call("get_action", asked, with_data=True))
        return cast("Actions", actions), cast("dict[str, object]", about)

    def reset(self) -> object:
        return self.call("reset", {"options": None}, with_data=True)

    def act(self, state: AnyArray, *, task: str = "pick", frame: AnyArray | None = None) -> AnyArray:
        actions, about = self.get_action(nested_observation(state[None], [task], frame))
        assert about == {}
        # eval_so100.py: one step after the other
        return np.array(
            [np.concatenate([actions["single_arm"][0][t], actions["gripper"][0][t]]) for t in range(4)]
        )


class ClientN17(ClientN16):
    """N1.7: arrays of msgpack-numpy, a timeout, and a new socket after it."""

    encode_array = staticmethod(as_msgpack_numpy)  # type: ignore[assignment]

    def __init__(self, address: str, api_token: str | None = None, *, timeout_ms: int = 15_000) -> None:
        self.timeout_ms = timeout_ms
        super().__init__(address, api_token)

    def connect(self) -> None:
        super().connect()
        self.socket.setsockopt(zmq.RCVTIMEO, self.timeout_ms)
        self.socket.setsockopt(zmq.SNDTIMEO, self.timeout_ms)

    def call(self, endpoint: str, data: object = None, *, with_data: bool = False) -> object:
        try:
            return super().call(endpoint, data, with_data=with_data)
        except zmq.error.Again:
            self.socket.close()
            self.connect()
            raise

    def _decoded(self, value: object) -> object:
        if isinstance(value, dict) and b"nd" in value:
            return np.frombuffer(value[b"data"], np.dtype(value[b"type"])).reshape(value[b"shape"])
        if isinstance(value, dict) and "__ModalityConfig__" in value:
            return value["as_json"]
        return super()._decoded(value)


def flat_observation(state: AnyArray, task: str = "pick", frame: AnyArray | None = None) -> dict[str, object]:
    """Return what eval_lerobot.py sends for a state (6,)."""
    frame = np.zeros((2, 2, 3), np.uint8) if frame is None else frame
    return {
        "video.front": frame[None],
        "state.single_arm": state[:5][None].astype(np.float64),
        "state.gripper": state[5:6][None].astype(np.float64),
        TASK: [task],
    }


def nested_observation(
    states: AnyArray, tasks: list[str], frame: AnyArray | None = None
) -> dict[str, dict[str, object]]:
    """Return what eval_so100.py sends, for states (batch, 6)."""
    frame = np.zeros((2, 2, 3), np.uint8) if frame is None else frame
    frames = np.repeat(frame[None, None], len(states), axis=0)
    return {
        "video": {"front": frames, "wrist": frames},
        "state": {
            "single_arm": states[:, None, :5].astype(np.float32),
            "gripper": states[:, None, 5:].astype(np.float32),
        },
        "language": {TASK: [[task] for task in tasks]},
    }
