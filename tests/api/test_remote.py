"""A policy asked from a script: its answers, what is refused, and a server that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import vagus
from vagus.api.remote import RemotePolicy
from vagus.api.serve import PolicyServer
from vagus.errors import ConfigError, LinkError, PolicyError, SpecError, StateError
from vagus.policies.policy import Row, ServingMode
from vagus.specs import RtcSpec
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import ActionChunk, Prefix

HERE = "tcp/127.0.0.1:0"
FRAME = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
STATE = [1.0, 2.0, 3.0]
SPEC = vagus.PolicySpec(
    "echo",
    actions=tuple(vagus.ActionFeature(name, "m") for name in "xyz"),
    state=tuple(vagus.StateFeature(name, "m") for name in "xyz"),
    cameras=(vagus.CameraSpec("front", 6, 8), vagus.CameraSpec("top", 6, 8, is_required=False)),
    horizon=5,
    model_dim=2,
    rate_hz=10,
    rtc=RtcSpec(4),
)
SOON = vagus.EdgeConfig(connect_timeout_s=0.3)


class Echo:
    """Answers with the state, continues the plan, and keeps what it was asked."""

    serving_mode = ServingMode.SHARED
    spec = SPEC

    def __init__(self, model_hash: str = "one") -> None:
        self.model_hash = model_hash
        self.rows: list[Row[object]] = []
        self.gate = threading.Event()
        self.gate.set()

    def infer(self, batch: Sequence[Row[object]]) -> list[ActionChunk | PolicyError]:
        self.rows.extend(batch)
        assert self.gate.wait(10.0)
        return [self.answer(row) for row in batch]

    def answer(self, row: Row[object]) -> ActionChunk | PolicyError:
        if row.observation.state[0] < 0:
            return PolicyError("not there")
        robot = np.repeat(row.observation.state[None], 5, axis=0)
        if row.prefix is not None:
            robot[: len(row.prefix)] = row.prefix.robot
        return ActionChunk(row.step, np.zeros((5, 2), np.float32), robot)


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def server(echo: Echo) -> Iterator[PolicyServer]:
    with vagus.serve(echo, listen=HERE, wait=False, warm_up=False) as server:
        yield server


@pytest.fixture(scope="module")
def policy(server: PolicyServer) -> Iterator[RemotePolicy]:
    with vagus.RemotePolicy(server.endpoint) as policy:
        yield policy


def observation(state: object = STATE, **images: object) -> dict[str, object]:
    return {"state": state, "images": images or {"front": FRAME}}


def test_an_observation_is_answered_by_a_chunk(policy: RemotePolicy, echo: Echo) -> None:
    chunk = policy.infer({**observation(front=FRAME, top=FRAME), "prompt": "go"})
    assert chunk.robot.shape == (5, 3)
    assert chunk.robot[0].tolist() == STATE
    seen = echo.rows[-1].observation
    assert np.array_equal(seen.images["front"], FRAME)
    assert set(seen.images) == {"front", "top"}
    assert seen.instruction == "go"
    whole = vagus.Observation(np.float32([4, 5, 6]), {"front": FRAME}, "stop", 0)  # type: ignore[arg-type]
    assert policy.infer(whole).robot[0].tolist() == [4, 5, 6]
    assert echo.rows[-1].observation.instruction == "stop"
    policy.instruction = "wave"
    policy.infer(observation())
    assert echo.rows[-1].observation.instruction == "wave"
    policy.instruction = ""


def test_what_the_policy_is_can_be_asked_before(policy: RemotePolicy) -> None:
    assert [feature.name for feature in policy.spec.actions] == ["x", "y", "z"]
    assert policy.contract.uses_rtc
    assert policy.open() is policy.open(), "one session"


def test_without_a_robot_spec_the_names_and_the_order_are_the_policys_and_this_is_said(
    server: PolicyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with vagus.RemotePolicy(server.endpoint) as policy:
        policy.open()
    assert caplog.text.count("no robot spec: names, order and units are those of the policy") == 1


def test_a_script_that_waits_is_not_warned_of_the_pace_of_robots(caplog: pytest.LogCaptureFixture) -> None:
    edge = vagus.EdgeConfig(buffer_time_s=1.0)
    with (
        vagus.serve(Echo(), listen=HERE, wait=False, max_batch=1) as server,
        vagus.RemotePolicy(server.endpoint, edge=edge) as policy,
    ):
        assert [warning for warning in policy.contract.warnings if warning.startswith("pace: ")]
    assert "pace: " not in caplog.text


def test_states_and_actions_are_in_the_order_and_the_names_of_the_robot(
    server: PolicyServer, echo: Echo
) -> None:
    robot = vagus.RobotSpec(
        "script",
        actions=tuple(vagus.ActionFeature(name, "m") for name in ("z", "x", "y")),
        state=tuple(vagus.StateFeature(name, "m") for name in ("y", "z", "lamp", "x")),
        cameras=(vagus.CameraSpec("eye", 12, 16), vagus.CameraSpec("back", 3, 3)),
        rate_hz=10,
    )
    frame = np.zeros((12, 16, 3), np.uint8)
    with vagus.RemotePolicy(server.endpoint, robot=robot, rename={"eye": "front"}) as policy:
        chunk = policy.infer(observation([20.0, 30.0, 99.0, 10.0], eye=frame))
        assert echo.rows[-1].observation.state.tolist() == [10.0, 20.0, 30.0]
        assert chunk.robot[0].tolist() == [30.0, 10.0, 20.0]
        rest = ActionChunk(0, chunk.model[2:], chunk.robot[2:] + 1)
        following = policy.infer(observation([0.0] * 4, eye=frame), prefix=rest, inference_delay=1)
        assert following.robot[0].tolist() == [31.0, 11.0, 21.0], "there and back"
        prefix = echo.rows[-1].prefix
        assert prefix is not None
        assert prefix.robot[0].tolist() == [11.0, 21.0, 31.0]
        with pytest.raises(SpecError, match=r"uint8 \(12, 16, 3\)"):
            policy.infer(observation([0.0] * 4, eye=FRAME))


def test_a_robot_that_does_not_fit_is_refused(server: PolicyServer) -> None:
    robot = vagus.RobotSpec("script", SPEC.actions[:2], SPEC.state, SPEC.cameras, 10)
    with vagus.RemotePolicy(server.endpoint, robot=robot) as policy, pytest.raises(SpecError, match="'z'"):
        policy.open()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([1, 2, 3], "observation: wanted a mapping"),
        (observation() | {"image": FRAME}, r"observation: .* without|\['image'\] that are not known"),
        ({"images": {"front": FRAME}}, r"without \['state'\]"),
        (observation([1.0, 2.0]), r"state: wanted shape \(3,\): x, y, z, got shape \(2,\)"),
        (observation([STATE]), r"got shape \(1, 3\)"),
        (observation(["a", "b", "c"]), "state: wanted 3 numbers, got <U1"),
        (observation([1.0, np.nan, 3.0]), r"state: wanted finite numbers, got nan at \[1\]"),
        (observation([1e39, 0.0, 0.0]), r"state: wanted finite numbers, got 1e\+39 at \[0\]"),
        (observation([[1.0], [2.0, 3.0]]), "state: wanted 3 numbers"),
        (observation() | {"images": [FRAME]}, "images: wanted a mapping of camera names"),
        ({"state": STATE}, r"images: wanted \['front', 'top'\], got \[\], without \['front'\]"),
        (observation(front=FRAME, side=FRAME), r"\['side'\] that are not known"),
        (observation(front=FRAME.astype(np.float32)), r"got float32 \(6, 8, 3\); numbers from 0 to 255"),
        (observation(front=np.moveaxis(FRAME, -1, 0)), r"got uint8 \(3, 6, 8\); the channels come last"),
        (observation(front=FRAME[:4]), r"got uint8 \(4, 8, 3\); resize it"),
        (observation() | {"prompt": 3}, "instruction: wanted a text, got a int"),
        (observation() | {"prompt": "a", "instruction": "b"}, "got both"),
    ],
)
def test_what_is_wrong_with_an_observation_is_said_here(
    given: object, says: str, policy: RemotePolicy
) -> None:
    epoch = policy.open()
    with pytest.raises(SpecError, match=says):
        policy.infer(given)  # type: ignore[arg-type]
    assert policy.open() is epoch, "it costs no session"


@pytest.mark.parametrize(
    ("prefix", "delay", "says"),
    [
        (
            Prefix(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)),
            1,
            r"prefix.robot: wanted shape",
        ),
        (Prefix(np.zeros((6, 2), np.float32), np.zeros((6, 3), np.float32)), 1, r"shape \(1 to 5, 3\)"),
        (Prefix(np.zeros((1, 2), np.float32), np.zeros((2, 3), np.float32)), 1, "2 actions in model"),
        (Prefix(np.zeros((2, 2), np.float32), np.full((2, 3), np.inf, np.float32)), 1, "finite numbers"),
        (
            Prefix(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32)),
            3,
            r"0 to the length .*\(2\), got 3",
        ),
        (None, 1, r"0 to the length of the prefix \(0\), got 1"),
    ],
)
def test_what_is_wrong_with_a_prefix_is_said_here(
    prefix: Prefix | None, delay: int, says: str, policy: RemotePolicy
) -> None:
    with pytest.raises(SpecError, match=says):
        policy.infer(observation(), prefix=prefix, inference_delay=delay)


def test_a_prefix_for_a_server_without_real_time_chunking_is_refused() -> None:
    with (
        vagus.serve(Echo(), listen=HERE, wait=False, warm_up=False, rtc=False) as server,
        vagus.RemotePolicy(server.endpoint) as policy,
    ):
        chunk = policy.infer(observation())
        with pytest.raises(SpecError, match="this server does no real-time chunking"):
            policy.infer(observation(), prefix=chunk)


def test_a_policy_that_fails_says_why_and_the_next_call_goes_on(policy: RemotePolicy) -> None:
    with pytest.raises(PolicyError, match="not there"):
        policy.infer(observation([-1.0, 0.0, 0.0]))
    assert policy.infer(observation()).robot[0].tolist() == STATE


def test_a_late_reply_is_never_that_of_the_next_call(policy: RemotePolicy, echo: Echo) -> None:
    policy.infer(observation())
    echo.gate.clear()
    try:
        with pytest.raises(LinkError, match=r"no chunk within 0\.05 s"):
            policy.infer(observation([7.0, 7.0, 7.0]), timeout_s=0.05)
    finally:
        echo.gate.set()
    assert policy.infer(observation()).robot[0].tolist() == STATE


def test_a_seed_and_a_step_make_a_run_repeat(server: PolicyServer, echo: Echo) -> None:
    def asked() -> list[tuple[int, int]]:
        before = len(echo.rows)
        with vagus.RemotePolicy(server.endpoint, edge=vagus.EdgeConfig(seed=5)) as policy:
            for step in (0, 8, 16):
                policy.infer(observation(), step=step)
        return [(row.step, row.seed) for row in echo.rows[before:]]

    first, second = asked(), asked()
    assert first == second
    assert [step for step, _ in first] == [0, 8, 16]
    assert len({seed for _, seed in first}) == 3


def test_a_reset_begins_an_episode_and_needs_no_session(server: PolicyServer) -> None:
    class Counting(Echo):
        episodes = 0

        def begin_episode(self, session: object) -> None:
            self.episodes += 1

    counting = Counting()
    with vagus.serve(counting, listen=HERE, wait=False, warm_up=False) as own:
        with vagus.RemotePolicy(own.endpoint) as policy:
            policy.reset()
            policy.infer(observation())
            policy.infer(observation())
            first = counting.episodes
            policy.reset()
            policy.infer(observation())
        assert counting.episodes == first + 1


def test_any_thread_may_ask(policy: RemotePolicy) -> None:
    wrong: list[object] = []

    def ask(number: float) -> None:
        for _ in range(5):
            got = policy.infer(observation([number] * 3)).robot[0].tolist()
            if got != [number] * 3:
                wrong.append((number, got))

    threads = [threading.Thread(target=ask, args=(float(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_clients_of_one_host_do_not_get_in_each_others_way(server: PolicyServer) -> None:
    with vagus.RemotePolicy(server.endpoint) as one, vagus.RemotePolicy(server.endpoint) as two:
        assert one.infer(observation([1.0] * 3)).robot[0, 0] == 1.0
        assert two.infer(observation([2.0] * 3)).robot[0, 0] == 2.0
        assert one.infer(observation([3.0] * 3)).robot[0, 0] == 3.0


def test_a_server_that_is_away_is_told_and_found_again() -> None:
    with (
        Router(RouterConfig(listen=(HERE,))) as router,
        vagus.RemotePolicy(router.endpoints[0], edge=SOON, timeout_s=0.3) as policy,
    ):
        with pytest.raises(LinkError, match="no vagus server on this network"):
            policy.infer(observation())
        with vagus.serve(Echo(), connect=router.endpoints[0], wait=False, warm_up=False):
            policy.infer(observation())
        with pytest.raises(LinkError):
            policy.infer(observation())
        with vagus.serve(Echo(), connect=router.endpoints[0], wait=False, warm_up=False):
            assert policy.infer(observation()).robot[0].tolist() == STATE
            model = policy.contract.model_hash
        with pytest.raises(LinkError):
            policy.infer(observation())
        with vagus.serve(Echo("two"), connect=router.endpoints[0], wait=False, warm_up=False):
            for _ in range(3):
                with pytest.raises(SpecError, match=f"model_hash of the replica: wanted '{model}'"):
                    policy.infer(observation())


def test_nobody_at_the_endpoint_is_told_and_the_next_call_tries_again() -> None:
    policy = vagus.RemotePolicy("tcp/127.0.0.1:1", zenoh=ZenohConfig(open_timeout_s=0.1))
    for _ in range(2):
        with pytest.raises(LinkError, match=r"no answer from tcp/127\.0\.0\.1:1"):
            policy.infer(observation())
    policy.close()


def test_a_policy_too_slow_for_a_robot_may_be_asked_in_a_simulator() -> None:
    """With the robot's bound on the age of actions it would be refused."""
    assert vagus.RemotePolicy()._edge.max_action_age_s > 600


def test_what_was_closed_stays_closed(server: PolicyServer) -> None:
    policy = vagus.RemotePolicy(server.endpoint)
    policy.close()
    policy.close()
    with pytest.raises(StateError, match="closed"):
        policy.infer(observation())
    with pytest.raises(StateError, match="closed"):
        _ = policy.spec


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rename": {"a": "b"}}, "rename: wanted a robot spec, too"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"service": "/"}, "service"),
        ({"instruction": "x" * 100_000}, "instruction: wanted at most"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_sent(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        vagus.RemotePolicy(**settings)  # type: ignore[arg-type]
