"""The real openpi-client, and a minimal server of its protocol: `client FRAMES PORT` or `server`.

Runs in an environment of its own, because openpi-client wants numpy < 2. The server does what openpi's own
does: asyncio websockets without compression, its msgpack framing, inference inside the event loop.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
from numpy.typing import NDArray
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.programs.driver import Frames, Notes, announce, chunk, drive, state


async def answer(connection: ServerConnection) -> None:
    """Serve one client: metadata first, then one reply per observation."""
    packer = msgpack_numpy.Packer()
    await connection.send(packer.pack({"server": "benchmark"}))
    async for message in connection:
        observation = msgpack_numpy.unpackb(message)
        _touch(observation["images"])
        reply = {"actions": chunk(observation["state"]), "server_timing": {"infer_ms": 0.0}}
        await connection.send(packer.pack(reply))


def _touch(images: dict[str, Frames]) -> None:
    """Prove that the frames have arrived as arrays."""
    if not all(image.shape == (480, 640, 3) for image in images.values()):
        raise ValueError("frames of another size")


async def run_server() -> None:
    async with serve(answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
        announce(port=next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def run_client(frames_path: str, port: int) -> None:
    policy = WebsocketClientPolicy("127.0.0.1", port)
    notes: list[Notes] = []

    def call(images: dict[str, Frames]) -> tuple[NDArray[np.float32], Notes]:
        observation = {"state": state(), "images": images, "prompt": "put the cup on the shelf"}
        reply = policy.infer(observation)
        if not notes:
            notes.append(Notes(len(msgpack_numpy.packb(observation)), len(msgpack_numpy.packb(reply))))
        return reply["actions"], notes[0]

    drive(frames_path, call)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(run_server())
    else:
        run_client(sys.argv[2], int(sys.argv[3]))
