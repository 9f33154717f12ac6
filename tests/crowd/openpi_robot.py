"""A robot with the client of openpi, as its package has it; kind `broker`: with its ActionChunkBroker."""

from __future__ import annotations

import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.base_policy import BasePolicy
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from crowd.numbers import HORIZON, read_answer
from crowd.robot_process import RobotProcess, run_robot

EXECUTED = 10


class Noting(BasePolicy):  # type: ignore[misc] # the package has no types
    """Writes down each request, with an observation that is made for it."""

    def __init__(self, policy: WebsocketClientPolicy, robot: RobotProcess) -> None:
        self._policy = policy
        self._robot = robot

    def infer(self, obs: dict[str, object]) -> dict[str, np.ndarray]:
        robot = self._robot
        robot.ask()
        pictures = robot.pictures
        obs = {
            "observation/state": np.append(np.deg2rad(robot.state[:5]), robot.state[5] / 100),
            "images": {name: np.moveaxis(picture, 2, 0) for name, picture in pictures.items()},
            "prompt": robot.instruction,
        }
        reply: dict[str, np.ndarray] = self._policy.infer(obs)
        robot.got(in_degrees(reply["actions"]), rows=HORIZON)
        return reply


def in_degrees(actions: np.ndarray) -> np.ndarray:
    return np.concatenate([np.rad2deg(actions[..., :5]), actions[..., 5:] * 100], axis=-1)


def work(robot: RobotProcess) -> None:
    host, _, port = robot.address.rpartition(":")
    policy = Noting(WebsocketClientPolicy(host, int(port)), robot)
    if robot.kind != "broker":
        while not robot.is_over.is_set():
            policy.infer({})
        return
    broker, row = ActionChunkBroker(policy, EXECUTED), 0
    while not robot.is_over.is_set():
        action = in_degrees(broker.infer({})["actions"])
        if read_answer(action[None], robot.who, robot.life, first_row=row) != robot.counter:
            raise ValueError(f"row {row} is not of request {robot.counter}: {action}")
        row = (row + 1) % EXECUTED


if __name__ == "__main__":
    run_robot(work)
