"""A robot with a client of GR00T; kind: N1.5, N1.6 or N1.7. The clients send what the originals do."""

from __future__ import annotations

import numpy as np

from crowd.robot_process import RobotProcess, run_robot
from integrations.gr00t.clients import TASK, ClientN15, ClientN16, ClientN17

CLIENTS: dict[str, type[ClientN15 | ClientN16]] = {"N1.5": ClientN15, "N1.6": ClientN16, "N1.7": ClientN17}


ROWS = 16
"""Horizon of the profile; the policy's chunk is longer."""


def work(robot: RobotProcess) -> None:
    client = CLIENTS[robot.kind](robot.address)
    with client:
        client.ping()
        while not robot.is_over.is_set():
            robot.ask()
            if isinstance(client, ClientN15):
                actions = client.get_action(flat(robot))
                arm, gripper = actions["action.single_arm"], actions["action.gripper"]
                gripper = np.reshape(gripper, (-1, 1))
            else:
                actions, _ = client.get_action(nested(robot))
                (arm,), (gripper,) = actions["single_arm"], actions["gripper"]
            robot.got(np.concatenate([arm, gripper], axis=1), rows=ROWS)


def flat(robot: RobotProcess) -> dict[str, object]:
    state = robot.state[None].astype(np.float64)
    video = {f"video.{name}": picture[None] for name, picture in robot.pictures.items()}
    return {
        **video,
        "state.single_arm": state[:, :5],
        "state.gripper": state[:, 5:],
        TASK: [robot.instruction],
    }


def nested(robot: RobotProcess) -> dict[str, dict[str, object]]:
    state = robot.state[None, None].astype(np.float32)
    return {
        "video": {name: picture[None, None] for name, picture in robot.pictures.items()},
        "state": {"single_arm": state[..., :5], "gripper": state[..., 5:]},
        "language": {TASK: [[robot.instruction]]},
    }


if __name__ == "__main__":
    run_robot(work)
