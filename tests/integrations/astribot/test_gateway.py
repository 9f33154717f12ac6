"""Astribot robots at a gateway: Google's protobuf and gRPC on their side, a real server behind it."""

from __future__ import annotations

import io
import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.astribot.rig import (
    CAMERAS,
    FAILS,
    FRAME,
    HORIZON,
    MODEL,
    PATIENCE_S,
    WAITS,
    Robot,
    Stand,
    expected,
    gateway_profile,
    lerobot_observation,
    observation,
    standing,
)
from integrations.astribot.stubs import lerobot_inference_pb2 as lerobot_pb2
from integrations.astribot.stubs import openpi_inference_pb2 as pb2
from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.gateways import call_pace, callers
from vagus.gateways.gateway import Gateway
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.search import search
from vagus.gateways.registry import listener_of
from vagus.integrations.astribot.gateway import OVERTAKEN, AstribotListener
from vagus.integrations.astribot.motion_codec import decode_chunk
from vagus.integrations.astribot.session_codec import decode_status
from vagus.transport.memory import MemoryNetwork
from vagus.transport.zenoh_config import ZenohConfig

GOLDEN = {file.stem: file.read_bytes() for file in (Path(__file__).parent / "golden").glob("*.bin")}
ANSWERS: dict[str, Callable[[bytes], pb2.Action | pb2.ActionChunk | pb2.ServiceStatus]] = {
    "Configure": pb2.ServiceStatus.FromString,
    "Control": pb2.ServiceStatus.FromString,
    "Predict": pb2.Action.FromString,
    "PredictChunk": pb2.ActionChunk.FromString,
}


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with standing(max_peers=200) as made:
        yield made


@pytest.fixture
def robot(stand: Stand) -> Iterator[Robot]:
    """A robot with a model."""
    with stand.robot() as made:
        assert made.configure().is_ready
        yield made


@pytest.fixture(scope="module")
def pair(stand: Stand) -> Iterator[tuple[Robot, Robot]]:
    """Two robots for many short tests."""
    with stand.robot() as bad, stand.robot() as good:
        assert bad.configure().is_ready
        assert good.configure().is_ready
        yield bad, good


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_pace, "PAUSE_S", 0.0)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.005)


def generations(stand: Stand) -> int:
    """Return how often a robot has begun anew, all robots together."""
    return sum(one._session.generation for one in stand.listener._robots._callers.conversations())


def rows(chunk: pb2.ActionChunk) -> np.ndarray:
    return np.array([step.values for step in chunk.actions], np.float32)


# what a robot gets


def test_the_captured_bytes_are_answered_in_the_order_in_which_they_were_captured() -> None:
    with standing() as stand, stand.robot() as robot:
        early = decode_chunk(robot.raw("PredictChunk", GOLDEN["PredictChunk_0_c2s"]))
        told = decode_chunk(GOLDEN["PredictChunk_0_s2c"])
        assert (early.status, early.server_frame_index) == (told.status, 0)
        ready = decode_status(robot.raw("Configure", GOLDEN["Configure_0_c2s"]))
        seen = decode_status(GOLDEN["Configure_0_s2c"])
        assert (ready.is_ready, ready.model_name, ready.action_dim, ready.current_prompt) == (
            seen.is_ready, seen.model_name, seen.action_dim, seen.current_prompt,
        )  # fmt: skip
        answer = pb2.Action.FromString(robot.raw("Predict", GOLDEN["Predict_0_c2s"]))
        assert answer.status == pb2.INVALID_INPUT, "it has no picture, and this profile wants one"
        assert "images, head" in answer.error_message


def test_a_robot_gets_nothing_before_it_has_named_a_model(stand: Stand) -> None:
    with stand.robot() as robot:
        said = "no model yet: call Configure with the name of the served model"
        chunk, action = robot.chunk(1.0), robot.action(1.0)
        assert (chunk.status, chunk.error_message, list(chunk.actions)) == (pb2.NOT_READY, said, [])
        assert (action.status, action.error_message, list(action.values)) == (pb2.NOT_READY, said, [])
        for status in (robot.status(), robot.reset(), robot.control(pb2.CMD_SET_PROMPT, prompt="x")):
            assert (status.is_ready, status.message, status.current_prompt) == (False, said, "")
        assert stand.gateway.metrics.peers == 0, "nobody has a place for that"


def test_a_chunk_and_an_action_answer_the_observation(stand: Stand, robot: Robot) -> None:
    chunk = robot.chunk(1.0)
    assert (chunk.status, chunk.chunk_size, chunk.action_dim) == (pb2.OK, HORIZON, 25)
    np.testing.assert_array_equal(rows(chunk), expected(1.0))
    action = robot.action(2.0)
    np.testing.assert_array_equal(action.values, expected(2.0)[0])
    assert (chunk.server_frame_index, action.server_frame_index) == (1, 2)
    seen = stand.policy.rows[-1].observation
    np.testing.assert_array_equal(seen.images["head"], FRAME)
    assert seen.instruction == "tidy up"


def test_each_action_is_computed_for_its_own_observation(robot: Robot) -> None:
    for first in (1.0, 50.0, -3.0):  # nothing of an older chunk
        np.testing.assert_array_equal(robot.action(first).values, expected(first)[0])


def test_the_status_says_what_is_served(robot: Robot) -> None:
    status = robot.configure(prompt="pick")
    assert (status.model_name, status.message) == (MODEL, f"model {MODEL} is ready")
    assert (status.action_horizon, status.action_dim, status.current_prompt) == (HORIZON, 25, "pick")
    told = json.loads(status.metadata_json)["vagus"]
    assert (told["model"], len(told["model_hash"]), told["rate_hz"]) == (MODEL, 64, 30)
    assert told["actions"][0] == {"name": "arm_left_1", "unit": "rad"}


def test_pictures_of_all_encodings_are_seen(stand: Stand, robot: Robot) -> None:
    png, jpeg = io.BytesIO(), io.BytesIO()
    PIL.Image.fromarray(FRAME).save(png, "PNG", optimize=True)
    PIL.Image.fromarray(FRAME).save(jpeg, "JPEG", quality=95)
    data = {"head": ("png", png.getvalue()), "wrist_left": ("raw", FRAME.tobytes())}
    data["wrist_right"] = ("jpeg", jpeg.getvalue())
    asked = observation(1.0)
    del asked.images[:]
    for name in CAMERAS:
        encoding, pixels = data[name]
        asked.images.append(
            pb2.ImageData(camera_name=name, data=pixels, width=6, height=4, encoding=encoding)
        )
    assert robot.calls.PredictChunk(asked, timeout=PATIENCE_S).status == pb2.OK


def test_what_to_do_is_the_observations_or_the_last_that_was_set(stand: Stand, robot: Robot) -> None:
    def heard(prompt: str = "") -> str:
        assert robot.chunk(1.0, prompt).status == pb2.OK
        return stand.policy.rows[-1].observation.instruction

    assert robot.configure(prompt="of the setup").current_prompt == "of the setup"
    assert heard() == "of the setup"
    assert robot.control(pb2.CMD_SET_PROMPT, prompt="set later").current_prompt == "set later"
    assert heard() == "set later"
    assert heard("of the moment") == "of the moment"
    assert heard() == "set later"


def test_a_reset_and_an_episode_begin_one_of_the_policy(stand: Stand, robot: Robot) -> None:
    robot.chunk(1.0)
    for begin in (
        robot.reset,
        lambda: robot.control(pb2.CMD_RESET),
        lambda: robot.control(pb2.CMD_SET_EPISODE, episode="3"),
        robot.configure,  # the same once more
    ):
        before = stand.policy.episodes
        assert begin().current_frame == 0
        assert robot.chunk(1.0).server_frame_index == 1
        assert stand.policy.episodes == before + 1
    assert robot.status().current_episode == 3


def test_an_answer_that_comes_after_a_reset_is_not_given(stand: Stand, robot: Robot) -> None:
    stand.policy.gate.clear()
    stand.policy.is_waiting.clear()
    late = robot.calls.PredictChunk.future(observation(WAITS), timeout=PATIENCE_S)
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    before = generations(stand)
    reset = robot.calls.Reset.future(pb2.Empty(), timeout=PATIENCE_S)
    wait_until(lambda: generations(stand) > before)
    stand.policy.gate.set()
    chunk = late.result()
    assert (chunk.status, list(chunk.actions)) == (pb2.ERROR, [])
    assert "has changed while this was computed" in chunk.error_message
    assert reset.result().is_ready


def test_a_failure_of_the_policy_is_said_and_the_robot_goes_on(robot: Robot) -> None:
    chunk = robot.chunk(FAILS)
    assert (chunk.status, list(chunk.actions)) == (pb2.ERROR, [])
    assert "does not know this place" in chunk.error_message
    assert robot.chunk(1.0).status == pb2.OK


@pytest.mark.parametrize("width", [16, 22])
def test_other_widths_are_those_of_their_profiles(width: int) -> None:
    with standing(width=width) as stand, stand.robot() as robot:
        assert robot.configure().action_dim == width
        np.testing.assert_array_equal(rows(robot.chunk(1.0, width=width)), expected(1.0, width))
        wrong = robot.chunk(1.0)
        assert (wrong.status, wrong.error_message) == (
            pb2.INVALID_INPUT,
            f"state: wanted {width} numbers, as {MODEL} takes, got 25",
        )


# a stream


class Stream:
    """A StreamPredict whose observations the test sends one by one."""

    def __init__(self, robot: Robot) -> None:
        self._sent: queue.SimpleQueue[pb2.Observation | None] = queue.SimpleQueue()
        self.answers = robot.calls.StreamPredict(iter(self._sent.get, None), timeout=PATIENCE_S)

    def send(self, first: float) -> None:
        self._sent.put(observation(first))

    def end(self) -> None:
        self._sent.put(None)


def test_a_stream_answers_each_observation_in_order(robot: Robot) -> None:
    stream = Stream(robot)
    for number in range(1, 6):
        stream.send(float(number))
        action = next(stream.answers)
        np.testing.assert_array_equal(action.values, expected(float(number))[0])
        assert action.server_frame_index == number
    stream.end()
    assert list(stream.answers) == []


def test_what_a_newer_observation_overtakes_is_said_and_not_answered_late(stand: Stand, robot: Robot) -> None:
    stand.policy.gate.clear()
    stand.policy.is_waiting.clear()
    stream = Stream(robot)
    stream.send(WAITS)
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    before = stand.gateway.metrics.events().get("superseded", 0)
    for number in (1, 2, 3):
        stream.send(float(number))
    stream.end()
    time.sleep(0.2)  # the three are on their way; none of them can be answered meanwhile
    stand.policy.gate.set()
    answers = list(stream.answers)
    assert len(answers) == 4, "one for each"
    np.testing.assert_array_equal(answers[0].values, expected(WAITS)[0])
    assert {(one.status, one.error_message) for one in answers[1:3]} == {(pb2.ERROR, OVERTAKEN)}
    np.testing.assert_array_equal(answers[3].values, expected(3.0)[0])
    assert stand.gateway.metrics.events()["superseded"] == before + 2


def test_a_stream_of_a_robot_without_a_model_is_told_so_and_stays(stand: Stand) -> None:
    with stand.robot() as robot:
        stream = Stream(robot)
        stream.send(1.0)
        assert next(stream.answers).status == pb2.NOT_READY
        robot.configure()
        stream.send(2.0)
        assert next(stream.answers).status == pb2.OK
        stream.end()


def test_a_stream_that_is_silent_ends_and_its_place_is_free() -> None:
    with standing(idle_timeout_s=0.3) as stand, stand.robot() as robot:
        robot.configure()
        stream = Stream(robot)
        stream.send(1.0)
        assert [one.status for one in stream.answers] == [pb2.OK]
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        assert robot.chunk(1.0).status == pb2.NOT_READY


def test_a_stream_whose_robot_is_gone_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "LEAVE_NS", 100_000_000)
    with standing() as stand:
        with stand.robot() as robot:
            robot.configure()
            stream = Stream(robot)
            stream.send(1.0)
            assert next(stream.answers).status == pb2.OK
            assert stand.gateway.metrics.peers == 1
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        stream.end()


def test_a_gateway_that_ends_does_not_wait_for_a_stream() -> None:
    with standing(answer_timeout_s=1000.0, idle_timeout_s=1000.0) as stand, stand.robot() as robot:
        robot.configure()
        stream = Stream(robot)
        stream.send(1.0)
        assert next(stream.answers).status == pb2.OK
        stand.listener.close()
        assert list(stream.answers) == []
        stream.end()


# who gets what


def test_two_robots_have_a_model_a_prompt_and_an_episode_each() -> None:
    models = {"a": MODEL, "b": MODEL}
    with standing(models=models) as stand, stand.robot() as one, stand.robot() as other:
        assert one.configure("a", prompt="one").model_name == "a"
        assert one.chunk(1.0).status == pb2.OK
        assert other.status().is_ready is False
        assert other.configure("b", prompt="other").model_name == "b"
        other.control(pb2.CMD_SET_EPISODE, episode="7")
        assert not other.configure("c").is_ready
        status = one.status()
        assert (status.model_name, status.current_prompt, status.current_frame) == ("a", "one", 1)
        assert status.current_episode == 0
        assert one.chunk(1.0).server_frame_index == 2


@pytest.mark.parametrize("name", ["other", "", "/etc/passwd", "../../model", "a" * 3000, "*"])
def test_no_robot_makes_a_server_load_another_model(stand: Stand, robot: Robot, name: str) -> None:
    status = robot.configure(name)
    assert (status.is_ready, status.model_name) == (False, "")
    assert f"wanted {MODEL}" in status.message
    assert len(status.message) < 1600
    assert robot.chunk(1.0).status == pb2.NOT_READY, "the model before is no longer meant"
    assert robot.configure().is_ready


def test_the_table_of_models_decides() -> None:
    models = {"mine": MODEL, "mine@/ckpt/2": "absent", "late": "absent"}
    with standing(models=models, answer_timeout_s=0.3) as stand, stand.robot() as robot:
        assert "call Configure with one of late, mine, mine@/ckpt/2" in robot.status().message
        assert robot.configure("mine", checkpoint="/ckpt/1").is_ready
        refused = robot.configure("mine", checkpoint="/ckpt/2")
        assert not refused.is_ready
        assert "wanted late, mine, mine@/ckpt/2, got x" in robot.configure("x").message
        assert not robot.configure("late").is_ready
        assert robot.configure("mine").is_ready


def test_no_server_is_said_in_the_answer() -> None:
    with standing(is_served=False, answer_timeout_s=0.3) as stand, stand.robot() as robot:
        status = robot.configure()
        assert not status.is_ready
        assert "no vagus server on this network" in status.message


def test_a_robot_over_the_limit_is_refused_until_a_place_is_free() -> None:
    with standing(max_peers=1) as stand, stand.robot() as other, stand.robot() as one:
        assert one.configure().is_ready
        assert "takes no more" in other.configure().message
        assert one.chunk(1.0).status == pb2.OK, "it goes on"
        assert not one.configure("a model that is none").is_ready
        assert other.configure().is_ready
        assert other.chunk(2.0).status == pb2.OK


def test_a_robot_that_is_gone_in_the_middle_of_a_request_frees_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callers, "LEAVE_NS", 100_000_000)
    with standing(max_peers=1, idle_timeout_s=10.0) as stand, stand.robot() as other:
        with stand.robot() as one:
            assert one.configure().is_ready
            stand.policy.gate.clear()
            call = one.calls.PredictChunk.future(observation(WAITS))  # gRPC cancels a call nobody holds
            assert stand.policy.is_waiting.wait(PATIENCE_S)
            assert not call.done()
        stand.policy.gate.set()  # its end may be noticed after its answer: then its silence frees the place
        wait_until(lambda: other.configure().is_ready)


def test_a_robot_that_is_silent_loses_its_place_and_is_told_how_to_go_on() -> None:
    with standing(idle_timeout_s=0.2) as stand, stand.robot() as robot:
        robot.configure()
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        assert robot.chunk(1.0).status == pb2.NOT_READY
        assert robot.configure().is_ready
        assert robot.chunk(1.0).status == pb2.OK


def test_too_many_calls_at_a_time_are_refused_in_the_answer(stand: Stand, robot: Robot) -> None:
    stand.policy.gate.clear()
    calls = [robot.calls.PredictChunk.future(observation(WAITS), timeout=PATIENCE_S) for _ in range(6)]
    wait_until(lambda: sum(call.done() for call in calls) == 2)
    refused = [call.result() for call in calls if call.done()]
    stand.policy.gate.set()
    assert {(one.status, one.error_message) for one in refused} == {
        (pb2.ERROR, "session refused (overloaded): too many calls at a time; wait for their answers")
    }
    assert sorted(call.result().status for call in calls) == [pb2.OK] * 4 + [pb2.ERROR] * 2


def test_calls_one_after_the_other_are_never_too_many(robot: Robot) -> None:
    for _ in range(300):
        assert robot.status().is_ready


# the LeRobot variant


def test_a_robot_of_the_lerobot_variant_is_served_at_the_same_address(stand: Stand) -> None:
    with stand.robot(lerobot_pb2) as robot:
        early = robot.calls.PredictChunk(lerobot_observation(1.0), timeout=PATIENCE_S)
        assert early.status == lerobot_pb2.NOT_READY
        config = lerobot_pb2.PolicyConfig(mode="model", model_path=MODEL, policy_type="act", device="cuda")
        status = robot.calls.Configure(config, timeout=PATIENCE_S)
        assert (status.is_ready, status.model_name, status.mode, status.fps) == (True, MODEL, "model", 30)
        chunk = robot.calls.PredictChunk(lerobot_observation(1.0), timeout=PATIENCE_S)
        np.testing.assert_array_equal(rows(chunk), expected(1.0))
        action = robot.calls.Predict(lerobot_observation(3.0), timeout=PATIENCE_S)
        np.testing.assert_array_equal(action.values, expected(3.0)[0])
        assert action.server_frame_index == 2
        (streamed,) = robot.calls.StreamPredict(iter([lerobot_observation(4.0)]), timeout=PATIENCE_S)
        np.testing.assert_array_equal(streamed.values, expected(4.0)[0])
        assert stand.policy.rows[-1].observation.instruction == "tidy up", "this wire has no prompt"
        command = lerobot_pb2.ControlCommand(type=lerobot_pb2.CMD_SET_EPISODE, params={"episode": "4"})
        assert robot.calls.Control(command, timeout=PATIENCE_S).current_episode == 4
        assert robot.calls.Reset(lerobot_pb2.Empty(), timeout=PATIENCE_S).current_frame == 0


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (lerobot_pb2.PolicyConfig(mode="dataset", dataset_path="/data"), "wanted model"),
        (lerobot_pb2.PolicyConfig(mode="model", model_path="/home/x/ckpt"), f"wanted {MODEL}"),
        (
            lerobot_pb2.PolicyConfig(
                model_path=MODEL,
                action_config=lerobot_pb2.ActionOutputConfig(enable_head=True, enable_torso=True),
            ),
            "wanted the parts of an action of 25 numbers, as the profile has it, got parts of 22 numbers",
        ),
    ],
)
def test_what_the_lerobot_variant_may_not_ask_for(
    stand: Stand, config: lerobot_pb2.PolicyConfig, told: str
) -> None:
    with stand.robot(lerobot_pb2) as robot:
        status = robot.calls.Configure(config, timeout=PATIENCE_S)
        assert not status.is_ready
        assert told in status.message


# hostile bytes


@given(st.sampled_from(sorted(ANSWERS)), st.binary(max_size=200), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_refused_in_the_answer_and_nobody_else_notices(
    pair: tuple[Robot, Robot], method: str, rest: bytes, is_begun: bool
) -> None:
    bad, good = pair
    message = observation(1.0).SerializeToString()[: len(rest)] + rest if is_begun else rest
    answer = ANSWERS[method](bad.raw(method, message))
    if isinstance(answer, pb2.ServiceStatus):
        assert answer.message
    else:
        assert answer.status in (pb2.INVALID_INPUT, pb2.NOT_READY), "a Configure of garbage took its model"
    chunk = good.chunk(5.0)
    np.testing.assert_array_equal(rows(chunk), expected(5.0))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda asked: asked.state.__delitem__(0), "state: wanted 25 numbers"),
        (lambda asked: asked.state.extend([0.0] * 10_000), "at most 256 floats"),
        (lambda asked: asked.state.__setitem__(3, float("nan")), "finite"),
        (lambda asked: asked.state.__setitem__(3, float("inf")), "finite"),
        (lambda asked: asked.images.extend([pb2.ImageData()] * 100), "at most 16 messages"),
        (lambda asked: asked.images.extend([pb2.ImageData()] * 1_000_000), "at most 2048 fields"),
        (lambda asked: asked.images.extend(list(asked.images)), "a camera name of its own"),
        (lambda asked: asked.images.__delitem__(0), "images, head"),
        (lambda asked: setattr(asked.images[0], "width", 5000), "camera head"),
        (lambda asked: setattr(asked.images[0], "data", b"\xff" * 99), "camera head"),
        (lambda asked: setattr(asked.images[0], "encoding", "webp"), "camera head"),
        (lambda asked: setattr(asked, "prompt", "x" * 5000), "at most 4096 bytes"),
        (lambda asked: setattr(asked, "extra_state", "[" * 70_000), "at most 65536 bytes"),
        (lambda asked: setattr(asked, "timestamp", float("nan")), "finite"),
        (lambda asked: setattr(asked.images[0], "data", bytes(90 << 20)), "at most 67108864 bytes"),
    ],
)
def test_an_observation_that_breaks_a_rule_is_refused_in_the_answer(
    robot: Robot, spoil: Callable[[pb2.Observation], None], told: str
) -> None:
    asked = observation(1.0)
    spoil(asked)
    chunk = robot.calls.PredictChunk(asked, timeout=PATIENCE_S)
    assert (chunk.status, told in chunk.error_message) == (pb2.INVALID_INPUT, True), chunk.error_message
    (action,) = robot.calls.StreamPredict(iter([asked]), timeout=PATIENCE_S)
    assert (action.status, told in action.error_message) == (pb2.INVALID_INPUT, True)
    assert robot.chunk(1.0).status == pb2.OK


def test_what_is_beyond_100_mb_is_refused_before_it_is_kept(robot: Robot) -> None:
    asked = observation(1.0)
    asked.images[0].data = bytes((100 << 20) + 1)
    with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
        robot.calls.PredictChunk(asked, timeout=PATIENCE_S)
    assert robot.chunk(1.0).status == pb2.OK


def test_garbage_in_a_stream_ends_nothing(robot: Robot) -> None:
    place = "/openpi.OpenPiInferenceService/StreamPredict"
    call = robot.channel.stream_stream(place)(iter([b"\xff\xff"]), timeout=PATIENCE_S)
    (answer,) = [pb2.Action.FromString(one) for one in call]
    assert answer.status == pb2.INVALID_INPUT
    assert robot.chunk(1.0).status == pb2.OK


def test_a_fault_of_ours_is_said_in_the_answer(
    stand: Stand, robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("vagus.integrations.astribot.conversation.request_of", lambda *_, **__: 1 / 0)
        chunk = robot.chunk(1.0)
    assert (chunk.status, chunk.error_message) == (pb2.ERROR, "the gateway failed; see its log")
    assert robot.chunk(1.0).status == pb2.OK


# the listener


def test_a_search_finds_both_services_and_takes_no_place(stand: Stand) -> None:
    before = stand.gateway.metrics.peers
    found = search(parse_searched(stand.listener.address), ZenohConfig())
    assert {(one.protocol, one.version, one.is_kept) for one in found.recognised} == {
        ("Astribot S1 gRPC", "openpi", True),
        ("Astribot S1 gRPC", "lerobot", True),
    }
    assert stand.gateway.metrics.peers <= before


def test_the_registry_makes_it_and_an_address_in_use_is_said() -> None:
    gateway = Gateway(
        GatewayConfig(protocol="astribot", profile="tiny", listen="127.0.0.1:0"),
        gateway_profile(),
        MemoryNetwork().link("a"),
    )
    listener = listener_of(gateway)
    assert isinstance(listener, AstribotListener)
    listener.start()
    try:
        other = Gateway(
            GatewayConfig(protocol="astribot", profile="tiny", listen=listener.address),
            gateway_profile(),
            MemoryNetwork().link("b"),
        )
        second = AstribotListener(other)
        with pytest.raises(ConfigError, match="wanted an address that is free"):
            second.start()
        second.close()
    finally:
        listener.close()
        listener.close()
