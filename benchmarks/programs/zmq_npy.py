"""ZMQ REQ/REP with a msgpack map of npy files, as GR00T's server has it: `client FRAMES PORT` or `server`."""

from __future__ import annotations

import io
import sys
import threading

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from benchmarks.programs.driver import Frames, Notes, announce, chunk, drive, state

STATE = "state.joints"
ACTION = "action.joints"

Arrays = dict[str, NDArray[np.generic]]


def pack(arrays: Arrays) -> bytes:
    """Return the arrays as one frame."""
    files = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        files[name] = {"__ndarray_class__": True, "as_npy": file.getbuffer()}
    return msgspec.msgpack.encode(files)


def unpack(frame: bytes) -> Arrays:
    """Return the arrays in a frame."""
    files: dict[str, dict[str, bytes]] = msgspec.msgpack.decode(frame)
    return {name: np.load(io.BytesIO(file["as_npy"]), allow_pickle=False) for name, file in files.items()}


def run_server() -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=_serve, args=(socket,), daemon=True).start()
    announce(port=port)
    sys.stdin.read()


def _serve(socket: zmq.Socket[bytes]) -> None:
    while True:
        arrays = unpack(socket.recv())
        if not all(array.shape == (480, 640, 3) for name, array in arrays.items() if name != STATE):
            raise ValueError("frames of another size")
        socket.send(pack({ACTION: chunk(np.asarray(arrays[STATE], np.float32))}))


def run_client(frames_path: str, port: int) -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
    socket.connect(f"tcp://127.0.0.1:{port}")

    def call(images: dict[str, Frames]) -> tuple[NDArray[np.float32], Notes]:
        request = pack({STATE: state()} | {f"video.{name}": frame for name, frame in images.items()})
        socket.send(request)
        reply = socket.recv()
        return np.asarray(unpack(reply)[ACTION], np.float32), Notes(len(request), len(reply))

    drive(frames_path, call)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run_server()
    else:
        run_client(sys.argv[2], int(sys.argv[3]))
