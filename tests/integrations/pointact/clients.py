"""Robot clients that send and read what the published program for PointAct does, on both wires.

Written without this package's dialect, so that a mistake of its shows.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TypeVar, cast

import msgspec
import numpy as np
import zmq

from vagus.gateways.msgpack import AnyArray

PATIENCE_S = 60.0
"""The program waits for ever; a test does not."""
REPO_ID = "user/pointact_model"

ClientT = TypeVar("ClientT", bound="PointActClient")


def as_msgpack_numpy(array: AnyArray) -> dict[bytes, object]:
    """Return an array as msgpack-numpy writes it."""
    return {
        b"nd": True,
        b"type": array.dtype.str,
        b"kind": b"",
        b"shape": list(array.shape),
        b"data": array.tobytes(),
    }


def plain(value: object) -> object:
    """Return what msgpack has words for."""
    if isinstance(value, np.ndarray):
        return as_msgpack_numpy(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def decoded(value: object) -> object:
    """Return arrays as msgpack-numpy reads them; all else as it is."""
    if isinstance(value, dict):
        if value.get(b"nd"):
            return np.frombuffer(value[b"data"], np.dtype(value[b"type"])).reshape(value[b"shape"])
        return {key: decoded(one) for key, one in value.items()}
    return [decoded(one) for one in value] if isinstance(value, list) else value


def batch(
    states: Sequence[AnyArray], *, task: str = "pick", frame: AnyArray | None = None, repo_id: str = REPO_ID
) -> dict[str, list[object]]:
    """Return what the program sends for so many robots, without a calibrated camera."""
    frame = np.zeros((2, 2, 3), np.uint8) if frame is None else frame
    count = len(states)
    return {
        "observation.images.front_image": [frame] * count,
        "observation.points": [np.zeros((0, 6), np.float32)] * count,
        "observation.state": [state.astype(np.float32) for state in states],
        "task": [task] * count,
        "repo_id": [repo_id] * count,
    }


def asked(batch: Mapping[str, object], options: object = None) -> dict[str, object]:
    """Return the data of `get_action`."""
    return {"batch": batch, "options": {"pred_rot_type": None} if options is None else options}


class PointActClient:
    """What both wires share.

    Args:
        address: host:port.
        token: sent as `api_token`.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self.token = token
        self.connect()

    def connect(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def exchange(self, frame: bytes) -> bytes:
        raise NotImplementedError

    def __enter__(self: ClientT) -> ClientT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request(self, endpoint: str, data: object = None) -> bytes:
        """Return the frame of a request."""
        told: dict[str, object] = {"endpoint": endpoint}
        if data is not None:
            told["data"] = plain(data)
        if self.token is not None:
            told["api_token"] = self.token
        return msgspec.msgpack.encode(told)

    def call(self, endpoint: str, data: object = None) -> dict[str, object]:
        reply = decoded(msgspec.msgpack.decode(self.exchange(self.request(endpoint, data))))
        if isinstance(reply, dict) and "error" in reply:
            raise RuntimeError(f"Server error: {reply['error']}")
        return cast("dict[str, object]", reply)

    def act(
        self,
        state: AnyArray,
        *,
        task: str = "pick",
        frame: AnyArray | None = None,
        repo_id: str = REPO_ID,
    ) -> AnyArray:
        """Return the chunk (horizon, 6), as the program stores it."""
        given = self.call("get_action", asked(batch([state], task=task, frame=frame, repo_id=repo_id)))
        actions = np.array(given["action"])
        while actions.ndim > 2:
            actions = actions[0]
        return actions


class ZmqClient(PointActClient):
    """The published program's wire: one REQ socket, one frame each way."""

    def connect(self) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(f"tcp://{self.address}")

    def close(self) -> None:
        self.socket.close()
        self.context.term()

    def exchange(self, frame: bytes) -> bytes:
        self.socket.send(frame)
        return self.socket.recv()


class HttpClient(PointActClient):
    """The plan's wire: POST with the same body, over a connection that is kept."""

    def connect(self) -> None:
        host, _, port = self.address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        self.status = 0

    def close(self) -> None:
        self.connection.close()

    def exchange(self, frame: bytes) -> bytes:
        self.connection.request("POST", "/get_action", frame, {"Content-Type": "application/msgpack"})
        with self.connection.getresponse() as response:
            self.status = response.status
            assert response.getheader("Content-Type") == "application/msgpack"
            return response.read()


class HastyHttpClient(HttpClient):
    """A client that connects anew for each request, as a plain `requests.post` does."""

    def exchange(self, frame: bytes) -> bytes:
        self.connection.close()
        return super().exchange(frame)
