"""SO-100 robots of GR00T, and its server: `client VERSION FRAMES ROBOTS PORT…` or `server VERSION DEVICE`.

VERSION is n1.5 or n1.7. Both are written here, because GR00T is not to be had as a package: one frame of
msgpack each way, arrays as npy files (N1.5) or as msgpack-numpy writes them (N1.7), and a single thread that
serves one request at a time.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from benchmarks.programs.closed_loop import Ask, actions_for, drive_robots, pictures
from benchmarks.programs.device import Accelerator, accelerator_called
from benchmarks.programs.driver import announce

WIDTHS = {"single_arm": 5, "gripper": 1}
HORIZON = 16
TASK = "annotation.human.task_description"
INSTRUCTION = "put the cup on the shelf"

Array = NDArray[np.generic]
Tree = object
"""What msgpack gives: maps, lists, texts, numbers, bytes."""


def to_npy(array: Array) -> dict[object, object]:
    """Return an array as N1.5 writes it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def from_npy(written: dict[object, object]) -> Array:
    """Return the array that N1.5 wrote."""
    data = written["as_npy"]
    assert isinstance(data, bytes)
    array: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def to_msgpack_numpy(array: Array) -> dict[object, object]:
    """Return an array as N1.7 writes it."""
    data = array.data if array.flags.c_contiguous else array.tobytes()
    return {b"nd": True, b"type": array.dtype.str, b"kind": b"", b"shape": array.shape, b"data": data}


def from_msgpack_numpy(written: dict[object, object]) -> Array:
    """Return the array that N1.7 wrote."""
    data, shape = written[b"data"], written[b"shape"]
    assert isinstance(data, bytes)
    assert isinstance(shape, list)
    return np.frombuffer(data, np.dtype(str(written[b"type"]))).reshape(shape)


class Generation:
    """One generation of the protocol: how it writes arrays, and where it puts them."""

    def __init__(self, name: str) -> None:
        self._is_flat = name == "n1.5"
        self._write: Callable[[Array], object] = to_npy if self._is_flat else to_msgpack_numpy
        self._marker: object = "__ndarray_class__" if self._is_flat else b"nd"
        self._read = from_npy if self._is_flat else from_msgpack_numpy

    def request(self, frames: list[NDArray[np.uint8]], state: NDArray[np.float64]) -> bytes:
        """Return the frame of a robot's question."""
        video = dict(zip(("front", "wrist"), frames, strict=True))
        parts = {"single_arm": state[:5], "gripper": state[5:]}
        if self._is_flat:
            data: dict[str, object] = {
                f"video.{name}": self._write(frame[None]) for name, frame in video.items()
            }
            data |= {f"state.{name}": self._write(part[None]) for name, part in parts.items()}
            data[TASK] = [INSTRUCTION]
        else:
            observation = {
                "video": {name: self._write(frame[None, None]) for name, frame in video.items()},
                "state": {
                    name: self._write(part.astype(np.float32)[None, None]) for name, part in parts.items()
                },
                "language": {TASK: [[INSTRUCTION]]},
            }
            data = {"observation": observation, "options": None}
        return msgspec.msgpack.encode({"endpoint": "get_action", "data": data})

    def state_in(self, frame: bytes) -> NDArray[np.float64]:
        """Return the state of a question, (6,), once all of it is arrays."""
        data = self._tree(msgspec.msgpack.decode(frame))["data"]  # type: ignore[index]
        if self._is_flat:
            parts = [data[f"state.{name}"][0] for name in WIDTHS]
            frames = [data[f"video.{name}"][0] for name in ("front", "wrist")]
        else:
            parts = [data["observation"]["state"][name][0, 0] for name in WIDTHS]
            frames = [data["observation"]["video"][name][0, 0] for name in ("front", "wrist")]
        if not all(frame.shape == (480, 640, 3) for frame in frames):
            raise ValueError("frames of another size")
        return np.concatenate(parts).astype(np.float64)

    def reply(self, actions: NDArray[np.float32]) -> bytes:
        """Return the frame that answers."""
        parts = {"single_arm": actions[:, :5], "gripper": actions[:, 5:]}
        if self._is_flat:
            return msgspec.msgpack.encode(
                {f"action.{name}": self._write(part) for name, part in parts.items()}
            )
        return msgspec.msgpack.encode([{name: self._write(part[None]) for name, part in parts.items()}, {}])

    def actions_in(self, frame: bytes) -> NDArray[np.floating]:
        """Return the actions of an answer, (horizon, 6)."""
        tree = self._tree(msgspec.msgpack.decode(frame))
        if self._is_flat:
            parts = [tree[f"action.{name}"] for name in WIDTHS]  # type: ignore[index]
        else:
            parts = [tree[0][name][0] for name in WIDTHS]  # type: ignore[index]
        return np.concatenate(parts, axis=1)

    def _tree(self, value: Tree) -> Tree:
        if isinstance(value, dict):
            if self._marker in value:
                return self._read(value)
            return {key: self._tree(below) for key, below in value.items()}
        return [self._tree(below) for below in value] if isinstance(value, list) else value


def run_server(generation: Generation, device: Accelerator) -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=_serve, args=(socket, generation, device), daemon=True).start()
    announce(port=port)
    sys.stdin.read()


def _serve(socket: zmq.Socket[bytes], generation: Generation, device: Accelerator) -> None:
    while True:
        state = generation.state_in(socket.recv())
        device.infer(1)
        socket.send(generation.reply(actions_for(state, HORIZON)))


def robot(generation: Generation, frames_path: str, port: int) -> Ask:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
    socket.connect(f"tcp://127.0.0.1:{port}")
    frames = pictures(frames_path)

    def ask(state: NDArray[np.float64]) -> NDArray[np.floating]:
        socket.send(generation.request(frames, state))
        return generation.actions_in(socket.recv())

    return ask


if __name__ == "__main__":
    spoken = Generation(sys.argv[2])
    if sys.argv[1] == "server":
        run_server(spoken, accelerator_called(sys.argv[3]))
    else:
        path, robots, *ports = sys.argv[3:]
        asks = [[robot(spoken, path, int(port)) for _ in range(int(robots))] for port in ports]
        drive_robots(asks, sum(WIDTHS.values()))
