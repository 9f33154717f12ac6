"""A robot with Google's protobuf and gRPC that speaks Astribot's protocol; kind: chunk, or stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import numpy as np

from crowd.numbers import HORIZON
from crowd.robot_process import RobotProcess, run_robot
from integrations.astribot.stubs import openpi_inference_pb2 as pb2
from integrations.astribot.stubs.openpi_inference_pb2_grpc import OpenPiInferenceServiceStub

MODEL = "crowd"
PATIENCE_S = 60.0
TO_WIRE = np.array([np.pi / 180] * 5 + [0.01])
"""Radians, and a gripper of 0 to 1, as `astribot_so100.yaml` has them."""


def observation_of(robot: RobotProcess) -> pb2.Observation:
    """Return the present request."""
    images = [
        pb2.ImageData(camera_name=name, data=pixels.tobytes(), width=640, height=480, encoding="raw")
        for name, pixels in robot.pictures.items()
    ]
    state = np.asarray(robot.state) * TO_WIRE
    return pb2.Observation(state=state, images=images, prompt=robot.instruction, frame_index=robot.counter)


def ask_for_chunks(robot: RobotProcess, calls: OpenPiInferenceServiceStub) -> None:
    while not robot.is_over.is_set():
        robot.ask()
        chunk = calls.PredictChunk(observation_of(robot), timeout=PATIENCE_S)
        if chunk.status != pb2.OK:
            raise RuntimeError(chunk.error_message)
        robot.got(np.array([step.values for step in chunk.actions]) / TO_WIRE, rows=HORIZON)


def ask_in_a_stream(robot: RobotProcess, calls: OpenPiInferenceServiceStub) -> None:
    def observations() -> Iterator[pb2.Observation]:
        while not robot.is_over.is_set():
            robot.ask()
            yield observation_of(robot)
            is_answered.acquire()

    is_answered = threading.Semaphore(0)
    for action in calls.StreamPredict(observations()):
        if action.status != pb2.OK:
            raise RuntimeError(action.error_message)
        robot.got(np.array([action.values]) / TO_WIRE, rows=1)
        is_answered.release()


def work(robot: RobotProcess) -> None:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(robot.address, options) as channel:
        grpc.channel_ready_future(channel).result(PATIENCE_S)
        calls = OpenPiInferenceServiceStub(channel)
        config = pb2.PolicyConfig(config_name=MODEL, checkpoint_dir="/ckpt", device="cuda")
        status = calls.Configure(config, timeout=PATIENCE_S)
        if not status.is_ready:
            raise RuntimeError(status.message)
        {"chunk": ask_for_chunks, "stream": ask_in_a_stream}[robot.kind](robot, calls)


if __name__ == "__main__":
    run_robot(work)
