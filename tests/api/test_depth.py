"""Depth from a robot's camera to its policy, over a real link: the policy sees the camera's numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

import vagus
from vagus.api.serve import PolicyServer
from vagus.edge.config import ImageCodec
from vagus.errors import SessionRefusedError, SpecError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import DepthCameraSpec, PolicySpec, RobotSpec
from vagus.types import ActionChunk, DepthImage, Frame

HERE = "tcp/127.0.0.1:0"
PATIENCE_S = 20.0
JOINT = vagus.ActionFeature("x", "rad", limits=vagus.Limits(-1.0, 1.0, velocity=1.0, acceleration=10.0))
DEEP = DepthCameraSpec("wrist_depth", 30, 40)
POLICY = PolicySpec(
    "deep",
    actions=(vagus.ActionFeature("x", "rad"),),
    state=(vagus.StateFeature("x", "rad"),),
    cameras=(vagus.CameraSpec("wrist", 30, 40),),
    horizon=5,
    model_dim=1,
    rate_hz=50,
    depth_cameras=(DEEP, DepthCameraSpec("spare", 2, 2, is_required=False)),
)
ROBOT = RobotSpec("deep", (JOINT,), POLICY.state, POLICY.cameras, 50, (DEEP,))
CODECS = pytest.mark.parametrize("codec", [ImageCodec.RAW, ImageCodec.JPEG], ids=["raw", "compressed"])


class Deep:
    """Keeps the depth that it was asked with, and stands still."""

    serving_mode = ServingMode.SHARED
    model_hash = "deep"
    spec = POLICY

    def __init__(self) -> None:
        self.seen: list[dict[str, DepthImage]] = []

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk]:
        self.seen.extend(dict(row.observation.depth) for row in batch)
        zeros = np.zeros((5, 1), np.float32)
        return [ActionChunk(row.step, zeros, zeros) for row in batch]


class DepthCamera:
    """Gives other numbers at each look, over the whole range, and keeps what it gave."""

    def __init__(self) -> None:
        self.given: set[bytes] = set()
        self._random = np.random.default_rng(3)

    def look(self) -> dict[str, Frame]:
        depth = self._random.integers(0, 1 << 16, (30, 40), dtype=np.uint16)
        colour = self._random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        self.given.add(depth.tobytes())
        return {"wrist": colour, "wrist_depth": depth}


@pytest.fixture(scope="module")
def deep() -> Deep:
    return Deep()


@pytest.fixture(scope="module")
def server(deep: Deep) -> Iterator[PolicyServer]:
    with vagus.serve(deep, listen=HERE, wait=False, warm_up=False) as server:
        yield server


@CODECS
def test_a_loop_of_ones_own_sends_each_number_of_the_camera_to_the_policy(
    server: PolicyServer, deep: Deep, codec: ImageCodec
) -> None:
    camera = DepthCamera()
    deep.seen.clear()
    edge = vagus.EdgeConfig(image_codec=codec)
    waiter, deadline_s = threading.Event(), time.monotonic() + PATIENCE_S
    with vagus.connect(ROBOT, server.endpoint, stop=lambda: None, edge=edge) as brain:
        while len(deep.seen) < 3 and time.monotonic() < deadline_s:
            brain.tick(np.zeros(1), camera.look)
            waiter.wait(0.002)
    assert len(deep.seen) >= 3
    assert all([*seen] == ["wrist_depth"] for seen in deep.seen)
    assert all(seen["wrist_depth"].dtype == np.uint16 for seen in deep.seen)
    assert {seen["wrist_depth"].tobytes() for seen in deep.seen} <= camera.given


@CODECS
def test_a_script_gives_depth_by_name_and_the_policy_sees_it(
    server: PolicyServer, deep: Deep, codec: ImageCodec
) -> None:
    frames = DepthCamera().look()
    depth = {"wrist_depth": frames["wrist_depth"], "spare": np.array([[0, 1], [65535, 256]], np.uint16)}
    edge = vagus.EdgeConfig(image_codec=codec)
    with vagus.RemotePolicy(server.endpoint, edge=edge) as policy:
        policy.infer({"state": [0.0], "images": {"wrist": frames["wrist"]}, "depth": depth})
        whole = vagus.Observation(np.zeros(1, np.float32), {"wrist": frames["wrist"]}, "", 0, depth)  # type: ignore[dict-item, arg-type]
        policy.infer(whole)
    for seen in deep.seen[-2:]:
        assert {name: frame.tolist() for name, frame in seen.items()} == {
            name: frame.tolist() for name, frame in depth.items()
        }


def test_a_robot_of_other_names_gives_its_depth_under_the_policys(server: PolicyServer, deep: Deep) -> None:
    robot = replace(ROBOT, depth_cameras=(replace(DEEP, name="zed"), DepthCameraSpec("rear", 3, 3)))
    frames = DepthCamera().look()
    with vagus.RemotePolicy(server.endpoint, robot=robot, rename={"zed": "wrist_depth"}) as policy:
        depth = {"zed": frames["wrist_depth"]}
        policy.infer({"state": [0.0], "images": {"wrist": frames["wrist"]}, "depth": depth})
    assert np.array_equal(deep.seen[-1]["wrist_depth"], frames["wrist_depth"])


@pytest.mark.parametrize(
    ("robot", "says"),
    [
        (replace(ROBOT, depth_cameras=()), r"depth cameras: wanted \['wrist_depth'\], got \[\]"),
        (
            replace(
                ROBOT, depth_cameras=(), cameras=(*ROBOT.cameras, vagus.CameraSpec("wrist_depth", 30, 40))
            ),
            r"depth cameras: wanted \['wrist_depth'\]",
        ),
        (replace(ROBOT, depth_cameras=(replace(DEEP, height=31),)), "got 40×31, .* depth is never scaled"),
        (replace(ROBOT, depth_cameras=(replace(DEEP, units_per_m=1e4),)), "got 40×30, 10000 units"),
    ],
    ids=["none", "a colour camera of that name", "another size", "another unit"],
)
def test_a_robot_without_the_depth_that_the_policy_needs_is_refused_before_anything_moves(
    robot: RobotSpec, says: str, server: PolicyServer
) -> None:
    stopped: list[bool] = []
    refused = pytest.raises((SpecError, SessionRefusedError), match=says)
    with refused:
        vagus.connect(robot, server.endpoint, stop=lambda: stopped.append(True))
    assert stopped == []  # it was never driven
    with vagus.RemotePolicy(server.endpoint, robot=robot) as policy, refused:
        policy.open()


FRAMES = DepthCamera().look()
GOOD: dict[str, object] = {"state": [0.0], "images": {"wrist": FRAMES["wrist"]}}


@pytest.mark.parametrize(
    ("depth", "says"),
    [
        (None, "depth: wanted a mapping of camera names"),
        ({}, r"depth: wanted \['wrist_depth', 'spare'\], got \[\], without \['wrist_depth'\]"),
        ({"wrist_depth": FRAMES["wrist_depth"], "side": 1}, r"\['side'\] that are not known"),
        (
            {"wrist_depth": FRAMES["wrist_depth"] / np.float32(1000)},
            r"depth 'wrist_depth': wanted uint16 \(30, 40\), got float32 \(30, 40\); round it to 1000 units",
        ),
        ({"wrist_depth": FRAMES["wrist_depth"][:8]}, r"got uint16 \(8, 40\); state this size"),
        ({"wrist_depth": FRAMES["wrist"]}, "a colour picture"),
    ],
)
def test_what_is_wrong_with_the_depth_of_a_script_is_said_here(
    depth: object, says: str, server: PolicyServer
) -> None:
    with vagus.RemotePolicy(server.endpoint) as policy, pytest.raises(SpecError, match=says):
        policy.infer({**GOOD, "depth": depth})


def test_a_function_says_which_depth_it_wants_and_gets_it() -> None:
    @vagus.policy(
        actions={"x": "rad"}, state={"x": "rad"}, horizon=1, rate_hz=10, depth_cameras={"deep": (2, 3)}
    )
    def nearest(observation: vagus.Observation) -> np.ndarray:
        measured = observation.depth["deep"]
        return np.array([[np.min(measured[measured > 0]) / 1000]])

    with (
        vagus.serve(nearest, listen=HERE, wait=False) as server,
        vagus.RemotePolicy(server.endpoint) as policy,
    ):
        depth = np.array([[0, 900, 812], [2000, 0, 65535]], np.uint16)
        chunk = policy.infer({"state": [0.0], "depth": {"deep": depth}})
        assert chunk.robot[0, 0] == pytest.approx(0.812)
