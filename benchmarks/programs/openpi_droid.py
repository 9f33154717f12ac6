"""openpi's DROID robots, and a server as openpi has it: `client FRAMES ROBOTS PORT…` or `server DEVICE`.

Both use the real openpi-client, in an environment of its own. The server does what openpi's own does: asyncio
websockets without compression, metadata first, inference inside the event loop, and so one request at a time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial

import numpy as np
from numpy.typing import NDArray
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.programs.closed_loop import Ask, actions_for, drive_robots, pictures
from benchmarks.programs.device import Accelerator, accelerator_called
from benchmarks.programs.driver import announce

SIDE = 224
WIDTH = 8
HORIZON = 15


async def answer(device: Accelerator, connection: ServerConnection) -> None:
    """Serve one robot."""
    packer = msgpack_numpy.Packer()
    await connection.send(packer.pack({"server": "reference"}))
    async for message in connection:
        begin_s = time.monotonic()
        observation = msgpack_numpy.unpackb(message)
        names = ("observation/joint_position", "observation/gripper_position")
        state = np.concatenate([observation[name] for name in names])
        device.infer(1)
        timing = {"infer_ms": (time.monotonic() - begin_s) * 1000}
        await connection.send(packer.pack({"actions": actions_for(state, HORIZON), "server_timing": timing}))


async def run_server(device: Accelerator) -> None:
    async with serve(partial(answer, device), "127.0.0.1", 0, compression=None, max_size=None) as server:
        announce(port=next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def robot(frames_path: str, port: int) -> Ask:
    policy = WebsocketClientPolicy("127.0.0.1", port)
    exterior, wrist = pictures(frames_path, side=SIDE)

    def ask(state: NDArray[np.float64]) -> NDArray[np.floating]:
        observation = {
            "observation/exterior_image_1_left": exterior,
            "observation/wrist_image_left": wrist,
            "observation/joint_position": state[:7],
            "observation/gripper_position": state[7:],
            "prompt": "put the cup on the shelf",
        }
        actions: NDArray[np.floating] = policy.infer(observation)["actions"]
        return actions

    return ask


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(run_server(accelerator_called(sys.argv[2])))
    else:
        path, robots, *ports = sys.argv[2:]
        drive_robots([[robot(path, int(port)) for _ in range(int(robots))] for port in ports], WIDTH)
