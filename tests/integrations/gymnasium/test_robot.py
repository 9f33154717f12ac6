"""Gymnasium environments as robots: the real PushT and Pendulum, and small ones of our own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import SupportsFloat

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from vagus.control.frames import FrameCheck
from vagus.errors import ConfigError, FrameError, RobotError
from vagus.import_path import Option
from vagus.integrations.gymnasium.mapping import GymMapping
from vagus.integrations.gymnasium.robot import GymReport, GymRobot
from vagus.robots.registry import load_robot
from vagus.robots.robot import EpisodicRobot
from vagus.specs import ActionKind

PUSHT = "gym:gym_pusht/PushT-v0"


@pytest.fixture(autouse=True)
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def load(name: str, **options: Option) -> GymRobot:
    robot = load_robot(name, options)
    assert isinstance(robot, GymRobot)
    assert isinstance(robot, EpisodicRobot)
    return robot


@pytest.fixture
def pusht() -> Iterator[GymRobot]:
    robot = load(PUSHT, env_obs_type="pixels_agent_pos", seed=3, env_max_episode_steps=20)
    robot.connect()
    yield robot
    robot.close()


class Corner(gymnasium.Env[object, NDArray[np.generic]]):
    """Ends when it is told the number 1; says success as `says` wants."""

    observation_space = spaces.Dict(
        {
            "arm": spaces.Dict({"q": spaces.Box(-1, 1, (2,), np.float32)}),
            "grey": spaces.Box(0, 255, (4, 4), np.uint8),
            "count": spaces.Discrete(5),
        }
    )
    action_space = spaces.Box(-1.0, 1.0, (2, 1), np.float32)

    def __init__(self, says: bool | None = None) -> None:
        self.says = says
        self.sent: list[NDArray[np.generic]] = []
        self.seeds: list[int | None] = []
        self.is_closed = False
        self.q = np.zeros(2, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[object, dict[str, object]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.q[:] = 0.0
        return self.observed(), {}

    def observed(self) -> object:
        return {"arm": {"q": self.q}, "grey": np.zeros((4, 4), np.uint8), "count": 1}

    def step(
        self, action: NDArray[np.generic]
    ) -> tuple[object, SupportsFloat, bool, bool, dict[str, object]]:
        place = [float(value) for value in action.ravel()]
        self.sent.append(action)
        self.q[:] = place
        info: dict[str, object] = {} if self.says is None else {"is_success": self.says}
        return self.observed(), 0.5, place[0] == 1.0, place[0] == -1.0, info

    def close(self) -> None:
        self.is_closed = True


def corner(says: bool | None = None, seed: int | None = None) -> tuple[Corner, GymRobot]:
    env = Corner(says)
    robot = GymRobot(env, "Corner", GymMapping(), seed=seed)
    robot.connect()
    return env, robot


def test_a_binary_is_told_in_the_ends_of_the_action_space() -> None:
    env = Corner()
    robot = GymRobot(env, "Corner", GymMapping(kinds={"action.1": ActionKind.BINARY}))
    robot.connect()
    for value in (0.0, 1.0):
        robot.command(np.array([0.3, value]))
    assert [sent.ravel().tolist() for sent in env.sent] == [
        pytest.approx([0.3, -1.0]),
        pytest.approx([0.3, 1.0]),
    ]


# PushT


def test_pusht_is_a_robot_with_its_pixels_as_a_camera(pusht: GymRobot) -> None:
    spec = pusht.spec
    assert [feature.name for feature in spec.actions] == ["action.0", "action.1"]
    assert [feature.name for feature in spec.state] == ["agent_pos.0", "agent_pos.1"]
    assert [(camera.name, camera.height, camera.width) for camera in spec.cameras] == [("pixels", 96, 96)]
    assert spec.rate_hz == 10.0
    frames = pusht.read_images()
    assert frames["pixels"].shape == (96, 96, 3)
    assert frames["pixels"].dtype == np.uint8
    assert pusht.read_state().dtype == np.float32


def test_each_command_is_one_step_and_a_truncated_episode_is_no_success(pusht: GymRobot) -> None:
    before = pusht.read_state()
    for _ in range(19):
        pusht.command(np.array([256.0, 256.0]))
    assert not pusht.is_episode_over
    assert np.abs(pusht.read_state() - 256.0).max() < np.abs(before - 256.0).max()
    pusht.command(np.array([256.0, 256.0]))
    assert pusht.is_episode_over
    said = pusht.report()
    assert (said.episodes, said.successes, said.steps, len(said.returns)) == (1, 0, 20, 1)
    with pytest.raises(RobotError, match="after the end of the episode"):
        pusht.command(np.array([256.0, 256.0]))
    pusht.begin_episode()
    assert not pusht.is_episode_over
    assert (pusht.read_state() != before).any()


def test_the_same_seed_begins_the_same_episodes() -> None:
    def starts(seed: int) -> list[list[float]]:
        robot = load(PUSHT, env_obs_type="pixels_agent_pos", seed=seed)
        robot.connect()
        found = [robot.read_state().tolist()]
        robot.begin_episode()
        found.append(robot.read_state().tolist())
        robot.close()
        return found

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)


def test_pictures_can_be_read_while_it_is_commanded(pusht: GymRobot) -> None:
    is_over = threading.Event()
    shapes: set[tuple[int, ...]] = set()

    def look() -> None:
        while not is_over.is_set():
            shapes.add(pusht.read_images()["pixels"].shape)

    looker = threading.Thread(target=look)
    looker.start()
    for _ in range(60):
        if pusht.is_episode_over:
            pusht.begin_episode()
        pusht.command(np.array([256.0, 256.0]))
    is_over.set()
    looker.join()
    assert shapes == {(96, 96, 3)}


# what render() draws


def test_what_render_draws_is_a_camera_where_nothing_else_is_seen() -> None:
    robot = load("gym:Pendulum-v1", rate_hz=20)
    robot.connect()
    before = robot.read_images()["render"]
    assert before.shape == (500, 500, 3)
    assert robot.spec.rate_hz == 20.0
    for _ in range(3):
        robot.command(np.array([2.0]))
    assert (robot.read_images()["render"] != before).any()
    robot.close()


def test_without_drawing_it_has_no_camera() -> None:
    robot = GymRobot(gymnasium.make("Pendulum-v1"), "Pendulum-v1", GymMapping())
    robot.connect()
    assert robot.spec.cameras == ()
    assert robot.read_images() == {}
    robot.close()


# an environment of our own


def test_nested_observations_become_dotted_names_and_what_is_no_vector_is_left_out() -> None:
    _, robot = corner()
    assert [feature.name for feature in robot.spec.state] == ["arm.q.0", "arm.q.1"]
    assert robot.spec.cameras == ()
    assert robot.spec.rate_hz == 30.0


def test_an_action_has_the_shape_and_type_of_the_space_and_stays_inside_it() -> None:
    env, robot = corner()
    robot.command(np.array([0.25, 1.0 + 1e-9]))
    assert env.sent[0].shape == (2, 1)
    assert env.sent[0].dtype == np.float32
    assert float(np.max(env.sent[0].astype(np.float32))) <= 1.0
    assert robot.read_state().tolist() == [0.25, 1.0]


def test_a_state_that_was_read_does_not_change_with_the_environment() -> None:
    env, robot = corner()
    robot.command(np.array([0.25, 0.5]))
    env.q[:] = 9.0
    assert robot.read_state().tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("says", "last", "successes"),
    [(None, 1.0, 1), (None, -1.0, 0), (True, -1.0, 1), (False, 1.0, 0)],
)
def test_a_success_is_what_the_environment_says_else_that_it_terminated(
    says: bool | None, last: float, successes: int
) -> None:
    _, robot = corner(says)
    robot.command(np.array([0.0, 0.0]))
    robot.command(np.array([last, 0.0]))
    assert robot.is_episode_over
    assert robot.report() == GymReport(1, successes, (1.0,), 2)


def test_an_episode_that_was_broken_off_is_not_counted() -> None:
    _, robot = corner()
    robot.command(np.array([0.0, 0.0]))
    robot.begin_episode()
    robot.command(np.array([1.0, 0.0]))
    assert robot.report().returns == (0.5,)


def test_the_seed_is_of_the_first_episode() -> None:
    env, robot = corner(seed=7)
    robot.connect()
    robot.begin_episode()
    assert env.seeds == [7, None]


def test_before_it_is_connected_and_after_the_stop_it_says_so() -> None:
    robot = GymRobot(Corner(), "Corner", GymMapping())
    for call in (robot.read_state, robot.read_images, robot.begin_episode):
        with pytest.raises(RobotError, match=r"before connect\(\)"):
            call()
    robot.connect()
    robot.stop()
    with pytest.raises(RobotError, match=r"after stop\(\)"):
        robot.command(np.zeros(2))


def test_closing_twice_closes_the_environment() -> None:
    env, robot = corner()
    robot.close()
    robot.close()
    assert env.is_closed
    assert robot.report().episodes == 0


# mistakes


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gym:CartPole-v1", {}, r"a Box action space.*got Discrete\(2\)"),
        ("gym:Blackjack-v1", {}, "Box"),
        ("gym:Nope-v1", {}, "an environment that is installed"),
        ("gym:nope/Nope-v1", {}, "an environment that is installed"),
        ("gym:Pendulum-v1", {"env_colour": "red"}, "unexpected keyword argument 'colour'"),
        ("gym:Pendulum-v1", {"colour": "red"}, "wanted some of: mapping, rate_hz, seed, got colour"),
        ("gym:Pendulum-v1", {"seed": 1.5}, "seed: wanted a whole number"),
        ("gym:Pendulum-v1", {"rate_hz": "fast"}, "rate_hz: wanted a number"),
        ("gym:Pendulum-v1", {"mapping": "nowhere.toml"}, "mapping: wanted a file"),
    ],
)
def test_a_mistake_is_told(name: str, options: dict[str, Option], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_robot(name, options)


def test_a_mapping_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "pendulum.json"
    path.write_text(
        '{"actions": {"torque": "N m"}, "kinds": {"torque": "effort"}, "safe": {"torque": 0}, "cameras": {}}'
    )
    robot = load("gym:Pendulum-v1", mapping=str(path))
    assert robot.spec.actions[0].safe == 0.0
    assert robot.spec.cameras == ()
    robot.close()


class Painter(Corner):
    render_mode = "rgb_array"

    def render(self) -> NDArray[np.uint8]:
        return np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8"),
        (np.zeros((4, 4, 3), np.float32), r"\(4, 4, 3\) float32"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\) uint8"),
        (None, "a NoneType"),
        ([[[0, 0, 0]]], "a list"),
    ],
)
def test_a_drawing_that_is_no_picture_is_told(
    frame: object, got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painter, "render", lambda _: frame)
    with pytest.raises(ConfigError, match=rf"render\(\): wanted \(height, width, 3\) uint8, got {got}"):
        GymRobot(Painter(), "Painter", GymMapping())


def test_an_environment_that_cannot_draw_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(_: object) -> object:
        raise NotImplementedError

    monkeypatch.setattr(Painter, "render", render)
    with pytest.raises(ConfigError, match="cameras: wanted an environment that draws itself"):
        GymRobot(Painter(), "Painter", GymMapping())


class Floating(Corner):
    observation_space = spaces.Dict({"eye": spaces.Box(0, 255, (4, 4, 3), np.uint8), "q": spaces.Box(-1, 1)})

    def reset(self, **_: object) -> tuple[object, dict[str, object]]:
        return {"eye": np.full((4, 4, 3), 0.9, np.float32), "q": np.zeros(1, np.float32)}, {}


def test_a_picture_that_is_not_what_its_space_says_is_no_black_one() -> None:
    robot = GymRobot(Floating(), "Floating", GymMapping())
    robot.connect()
    with pytest.raises(FrameError, match=r"camera .eye.: wanted .* got .* float32; scale its numbers"):
        FrameCheck(robot.spec.cameras, stale_s=0.0).take(robot.read_images())


class Empty(Corner):
    observation_space = spaces.Dict({"count": spaces.Discrete(5)})


def test_observations_without_a_vector_or_picture_are_told() -> None:
    with pytest.raises(ConfigError, match="observations with a Box in them"):
        GymRobot(Empty(), "Empty", GymMapping())
