"""The floor for JPEG: the same JPEG bytes over a bare TCP connection. `client FRAMES PORT` or `server`.

Same coder, same quality and as many threads for it as vagus has on either side; no sessions, no checks, no
router, one client.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

import numpy as np
from numpy.typing import NDArray

from benchmarks.programs.driver import ACTION_DIM, Frames, Notes, announce, chunk, drive, state
from vagus.edge.client.worker import ENCODE_THREADS
from vagus.server.config import ServeConfig
from vagus.threads import ThreadPool
from vagus.wire.images import DEFAULT_QUALITY
from vagus.wire.jpeg import decode_jpeg, encode_jpeg

DECODE_THREADS = ServeConfig().decode_workers
LENGTHS = struct.Struct("<4I")
"""Bytes of state and of three frames."""
CHUNK_LENGTH = struct.Struct("<I")


def run_server() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    announce(port=listener.getsockname()[1])
    sys.stdin.read()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    decoders = ThreadPool(DECODE_THREADS, "decode")
    with connection, connection.makefile("rb") as stream:
        while head := stream.read(LENGTHS.size):
            state_bytes, *lengths = LENGTHS.unpack(head)
            received = np.frombuffer(stream.read(state_bytes), np.float32)
            jpegs = [stream.read(length) for length in lengths]
            decoders.map(lambda jpeg: decode_jpeg(jpeg, height=480, width=640), jpegs)
            reply = chunk(received).tobytes()
            connection.sendall(CHUNK_LENGTH.pack(len(reply)) + reply)


def run_client(frames_path: str, port: int) -> None:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb")
    encoders = ThreadPool(ENCODE_THREADS, "encode")

    def call(images: dict[str, Frames]) -> tuple[NDArray[np.float32], Notes]:
        joints = state().tobytes()
        jpegs = encoders.map(lambda frame: encode_jpeg(frame, quality=DEFAULT_QUALITY), images.values())
        request = b"".join([LENGTHS.pack(len(joints), *map(len, jpegs)), joints, *jpegs])
        connection.sendall(request)
        (length,) = CHUNK_LENGTH.unpack(stream.read(CHUNK_LENGTH.size))
        reply = stream.read(length)
        actions = np.frombuffer(reply, np.float32).reshape(-1, ACTION_DIM)
        return actions, Notes(len(request), CHUNK_LENGTH.size + length)

    drive(frames_path, call)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run_server()
    else:
        run_client(sys.argv[2], int(sys.argv[3]))
