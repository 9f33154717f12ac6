"""A robot with a client of PointAct; kind: ZeroMQ or HTTP. They send what the published program does."""

from __future__ import annotations

import numpy as np

from crowd.robot_process import RobotProcess, run_robot
from integrations.pointact.clients import HttpClient, PointActClient, ZmqClient, asked

CLIENTS: dict[str, type[PointActClient]] = {"ZeroMQ": ZmqClient, "HTTP": HttpClient}
ROWS = 50
"""Horizon of the profile; the policy's chunk is longer."""
MODEL = "crowd"


def work(robot: RobotProcess) -> None:
    with CLIENTS[robot.kind](robot.address) as client:
        client.call("ping")
        while not robot.is_over.is_set():
            robot.ask()
            given = client.call("get_action", asked(batch(robot)))["action"]
            assert isinstance(given, np.ndarray)
            (actions,) = given
            robot.got(actions, rows=ROWS)


def batch(robot: RobotProcess) -> dict[str, object]:
    pictures = {f"observation.images.{name}": [picture] for name, picture in robot.pictures.items()}
    return {
        **pictures,
        "observation.points": [np.zeros((0, 6), np.float32)],
        "observation.state": [robot.state.astype(np.float32)],
        "task": [robot.instruction],
        "repo_id": [MODEL],
    }


if __name__ == "__main__":
    run_robot(work)
