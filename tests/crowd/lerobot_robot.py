"""A robot with LeRobot's RobotClient; what its simulated arm reads says who it is."""

from __future__ import annotations

import threading

import numpy as np
from lerobot.async_inference.configs import RobotClientConfig
from lerobot.async_inference.helpers import TimedAction, TimedObservation
from lerobot.async_inference.robot_client import RobotClient
from lerobot_robot_vsim import VSimCameraConfig, VSimConfig

from crowd.numbers import NAMES, SIZE, read_answer
from crowd.robot_process import MAX_TEXT, RobotProcess, run_robot

RATE_HZ = 8
PER_CHUNK = 24
MODEL = "crowd"


class NotingClient(RobotClient):  # type: ignore[misc] # the package has no types
    """LeRobot's client as it is; it also writes down what it sends and gets."""

    def __init__(self, robot: RobotProcess) -> None:
        height, width = SIZE
        cameras = {name: VSimCameraConfig(fps=30, width=width, height=height) for name in ("front", "wrist")}
        config = RobotClientConfig(
            policy_type="act",
            pretrained_name_or_path=MODEL,
            robot=VSimConfig(cameras=cameras),
            actions_per_chunk=PER_CHUNK,
            task=robot.instruction,
            server_address=robot.address,
            chunk_size_threshold=1.0,
            fps=RATE_HZ,
            aggregate_fn_name="latest_only",
        )
        super().__init__(config)
        self.noted = robot
        self.read, self.command = self.robot.get_observation, self.robot.send_action
        self.robot.get_observation, self.robot.send_action = self.get_observation, self.send_action

    def get_observation(self) -> dict[str, object]:
        self.noted.counter += 1
        seen = {**self.read(), **self.noted.pictures}
        return {**seen, **dict(zip(NAMES, self.noted.state.tolist(), strict=True))}

    def send_action(self, action: dict[str, float]) -> dict[str, float]:
        self.check([[action[name] for name in NAMES]], first_row=None)
        performed: dict[str, float] = self.command(action)
        return performed

    def send_observation(self, obs: TimedObservation) -> bool:
        counter = self.noted.counter
        self.noted.diary.note("ask", counter)
        is_sent: bool = super().send_observation(obs)
        self.noted.diary.note("sent" if is_sent else "error", counter, "" if is_sent else "not sent")
        return is_sent

    def _aggregate_action_queues(
        self, incoming_actions: list[TimedAction], aggregate_fn: object = None
    ) -> None:
        counter = self.check([action.get_action().tolist() for action in incoming_actions])
        steps = [action.get_timestep() for action in incoming_actions]
        if len(steps) != PER_CHUNK or steps != list(range(steps[0], steps[0] + PER_CHUNK)):
            self.noted.diary.note("wrong", counter, f"steps {steps}"[:MAX_TEXT])
        elif counter:
            self.noted.diary.note("got", counter)
        super()._aggregate_action_queues(incoming_actions, aggregate_fn)

    def check(self, actions: list[list[float]], *, first_row: int | None = 0) -> int:
        try:
            return read_answer(np.array(actions), self.noted.who, self.noted.life, first_row=first_row)
        except ValueError as error:
            self.noted.diary.note("wrong", self.noted.counter, str(error)[:MAX_TEXT])
            return 0


def work(robot: RobotProcess) -> None:
    client = NotingClient(robot)
    if not client.start():
        raise ConnectionError("the gateway did not take it")
    receiver = threading.Thread(target=client.receive_actions, daemon=True)
    receiver.start()
    controller = threading.Thread(target=client.control_loop, args=(robot.instruction,), daemon=True)
    controller.start()
    robot.is_over.wait()
    client.shutdown_event.set()
    controller.join()
    client.stop()
    receiver.join(10.0)


if __name__ == "__main__":
    run_robot(work)
