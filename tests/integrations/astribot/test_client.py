"""Our connection to an Astribot policy server, whose side is Google's protobuf and gRPC, whatever it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import grpc
import numpy as np
import pytest

from gateways.foreign_rig import row_of
from integrations.astribot.peer_server import HORIZON, LONG_S, PeerServer, serving_peer
from integrations.astribot.rig import FRAME, gateway_profile, standing
from integrations.astribot.stubs import lerobot_inference_pb2 as lerobot_pb2
from integrations.astribot.stubs import openpi_inference_pb2 as pb2
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.grpc_channel import GrpcChannel
from vagus.gateways.profile import Profile
from vagus.gateways.profile_file import load_profile
from vagus.integrations.astribot.client import AstribotClient
from vagus.integrations.astribot.options import AstribotOptions
from vagus.integrations.astribot.policy import AstribotPolicy
from vagus.integrations.astribot.variants import LEROBOT, OPENPI
from vagus.policies.policy import Row, ServingMode
from vagus.types import ActionChunk

SHORT_S = 0.4
OPTIONS = AstribotOptions(
    config_name="pi05_astribot_lora", checkpoint_dir="/ckpt/1", device="cpu", timeout_s=LONG_S
)
PROFILE = gateway_profile()


def policy_at(port: int, profile: Profile = PROFILE, **options: object) -> ForeignPolicy:
    told = replace(OPTIONS, **options)  # type: ignore[arg-type] # field by field
    address = ForeignAddress("astribot", "grpc", "127.0.0.1", port)
    return ForeignPolicy(AstribotClient(address, OPENPI, told, profile), profile, told)


def row(first: float = 0.0, text: str = "go") -> Row[None]:
    """Return a row of 25 numbers with a picture of the head."""
    made = row_of(first + np.arange(25), text=text)  # type: ignore[arg-type] # numbers
    return replace(made, observation=replace(made.observation, images={"head": FRAME}))


def chunk_of(policy: ForeignPolicy, first: float = 0.0, text: str = "go") -> ActionChunk:
    (chunk,) = policy.infer([row(first, text)])
    assert isinstance(chunk, ActionChunk), chunk
    return chunk


def error_of(policy: ForeignPolicy) -> str:
    (error,) = policy.infer([row()])
    assert isinstance(error, PolicyError), error
    return str(error)


def test_the_server_loads_what_the_options_name_and_answers_observations() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        policy = policy_at(port, default_prompt="tidy up")
        policy.begin_episode(None)
        for first in (1.0, 2.0):
            chunk = chunk_of(policy, first, "pick")
            np.testing.assert_array_equal(chunk.robot, [first + np.arange(25)] * HORIZON)
        policy.close()
    assert server.calls == [
        *("GetStatus", "Configure", "Reset", "PredictChunk"),
        "GetStatus",  # nothing before it shows that the first answer is of the model that was configured
        "PredictChunk",
    ]
    (config,) = server.configs
    assert (config.config_name, config.checkpoint_dir) == ("pi05_astribot_lora", "/ckpt/1")
    assert (config.default_prompt, config.device) == ("tidy up", "cpu")
    seen = server.heard[0]
    assert (seen.prompt, seen.images[0].camera_name, seen.images[0].encoding) == ("pick", "head", "jpeg")
    assert (policy.serving_mode, policy.max_rows, policy.spec.rtc) == (ServingMode.EXCLUSIVE, 1, None)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_pictures_go_as_they_are_asked_for(encoding: str) -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        policy = policy_at(port, encoding=encoding)
        chunk_of(policy)
        policy.close()
    (image,) = server.heard[0].images
    assert (image.encoding, image.width, image.height) == (encoding, 6, 4)
    if encoding == "raw":
        assert image.data == FRAME.tobytes()


def test_a_server_of_the_lerobot_variant_is_asked_likewise() -> None:
    server = PeerServer(lerobot_pb2)
    told = replace(OPTIONS, checkpoint_dir="", policy_type="act")
    with serving_peer(server) as port:
        address = ForeignAddress("astribot_lerobot", "grpc", "127.0.0.1", port)
        policy = ForeignPolicy(AstribotClient(address, LEROBOT, told, PROFILE), PROFILE, told)
        np.testing.assert_array_equal(chunk_of(policy, 1.0).robot, [1.0 + np.arange(25)] * HORIZON)
        policy.close()
    config = lerobot_pb2.PolicyConfig.FromString(server.configs[0].SerializeToString())
    assert (config.mode, config.model_path, config.policy_type) == ("model", "pi05_astribot_lora", "act")
    assert config.action_config.enable_chassis


@pytest.mark.parametrize("width", [16, 22])
def test_a_model_of_fewer_numbers_is_completed_from_where_the_robot_stands(width: int) -> None:
    server = PeerServer(width=width, act=lambda state: np.zeros((2, width), np.float32))
    with serving_peer(server) as port:
        policy = policy_at(port, width=width)
        chunk = chunk_of(policy, 5.0)
        policy.close()
    assert len(server.heard[0].state) == width
    rest = 5.0 + np.arange(width, 25)
    np.testing.assert_array_equal(chunk.robot, [[*np.zeros(width), *rest]] * 2)


def test_a_model_of_another_width_is_refused_at_the_start() -> None:
    with (
        serving_peer(PeerServer(width=16)) as port,
        pytest.raises(ProtocolError, match="actions of 25 numbers, got 16; choose another profile"),
    ):
        policy_at(port)


def test_what_the_server_does_not_load_is_told_in_its_words() -> None:
    with (
        serving_peer(PeerServer(refusal="no such checkpoint")) as port,
        pytest.raises(ProtocolError, match="does not load 'pi05_astribot_lora': no such checkpoint"),
    ):
        policy_at(port)


def failing(status: int, said: str) -> Callable[[pb2.ActionChunk], pb2.ActionChunk]:
    return lambda _: pb2.ActionChunk(status=status, error_message=said)  # type: ignore[arg-type] # a number


def changed(change: Callable[[pb2.ActionChunk], None]) -> Callable[[pb2.ActionChunk], pb2.ActionChunk]:
    def change_it(chunk: pb2.ActionChunk) -> pb2.ActionChunk:
        change(chunk)
        return chunk

    return change_it


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (failing(pb2.ERROR, "CUDA out of memory"), "says: ERROR: CUDA out of memory"),
        (failing(pb2.INVALID_INPUT, "no"), "says: INVALID_INPUT: no"),
        (failing(pb2.EPISODE_END, ""), "says: EPISODE_END: no message"),
        (failing(pb2.OK, ""), "wanted actions with the status OK, got none"),
        (changed(lambda chunk: chunk.actions[1].values.__setitem__(3, float("nan"))), "NaN or infinity"),
        (changed(lambda chunk: chunk.actions[1].values.__delitem__(3)), "wanted 4 actions of 25 numbers"),
        (changed(lambda chunk: setattr(chunk, "chunk_size", 3)), "wanted 3 actions"),
    ],
)
def test_an_answer_without_actions_is_an_error_and_no_reason_to_load_again(
    spoil: Callable[[pb2.ActionChunk], pb2.ActionChunk], words: str
) -> None:
    server = PeerServer(spoil=spoil)
    with serving_peer(server) as port:
        policy = policy_at(port)
        assert words in error_of(policy)
        server.spoil = lambda chunk: chunk
        chunk_of(policy)
        policy.close()
    assert server.calls.count("Configure") == 1


def test_actions_of_another_width_are_an_error() -> None:
    server = PeerServer(act=lambda state: np.zeros((2, 16), np.float32))
    with serving_peer(server) as port:
        policy = policy_at(port)
        assert "wanted 25 numbers each, got 16" in error_of(policy)
        policy.close()


def test_no_answer_in_time_is_an_error_in_time() -> None:
    server = PeerServer(spoil=lambda _: None)
    with serving_peer(server) as port:
        policy = policy_at(port, start_timeout_s=LONG_S)
        policy._guard._answer_timeout_s = SHORT_S
        assert "no answer to PredictChunk within" in error_of(policy)
        policy.close()


def test_a_server_that_was_started_again_loads_again() -> None:
    with serving_peer(PeerServer()) as port:
        policy = policy_at(port)
        chunk_of(policy)
    again = PeerServer()
    with serving_peer(again, port):
        policy.infer([row()])  # an error, if the end of the first one is only noticed now
        policy._guard._failures = 0
        chunk_of(policy)
        policy.close()
    began = again.calls.index("GetStatus")  # before it, a question of the connection that gRPC has made anew
    assert again.calls[began : began + 3] == ["GetStatus", "Configure", "PredictChunk"]


def test_a_server_with_another_model_is_refused_for_good() -> None:
    with serving_peer(PeerServer(said='{"k": 1}')) as port:
        policy = policy_at(port)
        chunk_of(policy)
    with serving_peer(PeerServer(said='{"k": 2}'), port):
        policy.infer([row()])
        for _ in range(2):
            policy._guard._failures = 0
            assert "something else about itself" in error_of(policy)
        policy.close()


def test_a_server_that_lost_the_model_gets_it_again() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        policy = policy_at(port)
        chunk_of(policy)
        server.is_ready = False
        assert "NOT_READY: configure first" in error_of(policy)
        policy._guard._failures = 0
        chunk_of(policy)
        policy.close()
    assert server.calls.count("Configure") == 2


def test_the_answer_of_a_model_that_another_robot_has_loaded_is_not_taken() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        mine, other = policy_at(port), policy_at(port)
        chunk_of(mine)
        chunk_of(mine)
        other.begin_episode(None)
        assert "another robot has configured it" in error_of(mine)
        mine._guard._failures = 0
        chunk_of(mine)
        mine.close()
        other.close()


def test_the_first_answer_is_not_taken_if_another_robot_has_configured_another_model_before_it() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        mine, other = policy_at(port), policy_at(port, config_name="another")
        assert "wanted the model 'pi05_astribot_lora', got 'another'" in error_of(mine)
        mine._guard._failures = 0
        chunk_of(mine)
        with pytest.raises(PolicyError, match="wanted the model 'another', got 'pi05_astribot_lora'"):
            other.begin_episode(None)
        mine.close()
        other.close()


def test_an_answer_is_not_taken_if_another_robot_has_been_answered_more_often_meanwhile() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        mine, other = policy_at(port), policy_at(port, config_name="another")
        mine._guard._server.open(LONG_S)
        chunk_of(mine)
        other._guard._server.open(LONG_S)
        for _ in range(3):
            chunk_of(other)
        assert "counts answer 4 after 1: another robot has configured it" in error_of(mine)
        mine.close()
        other.close()


def test_a_server_that_does_not_count_is_asked_for_its_model_after_each_answer() -> None:
    server = PeerServer()

    def without_count(chunk: pb2.ActionChunk) -> pb2.ActionChunk:
        chunk.server_frame_index = 0
        return chunk

    server.spoil = without_count
    with serving_peer(server) as port:
        mine, other = policy_at(port), policy_at(port, config_name="another")
        mine._guard._server.open(LONG_S)
        for _ in range(3):
            chunk_of(mine)
        other._guard._server.open(LONG_S)
        assert "got 'another': another robot has configured the server" in error_of(mine)
        mine.close()
        other.close()


def test_a_gripper_that_is_answered_as_the_sdk_counts_is_not_taken() -> None:
    server = PeerServer(act=lambda state: np.full((2, 25), 57.0, np.float32))
    profile = load_profile("astribot_s1", "astribot")
    with serving_peer(server) as port:
        policy = policy_at(port, replace(profile, images=PROFILE.images))
        assert "actions: wanted gripper_left from 0 to 1, as the profile says, got 57" in error_of(policy)
        policy.close()


def test_questions_that_failed_may_count() -> None:
    server = PeerServer()
    with serving_peer(server) as port:
        policy = policy_at(port)
        chunk_of(policy)
        server.act = lambda state: np.full((2, 25), np.nan, np.float32)
        for _ in range(2):
            error_of(policy)
        server.act = None
        chunk_of(policy)
        policy.close()
    assert (server.calls.count("Configure"), server.frame) == (1, 4)


def test_a_channel_may_be_closed_at_any_moment_of_grpcs_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    home, looks = threading.get_ident(), threading.Event()
    now, failed = grpc._channel.time.time, list[object]()

    class Late:
        """gRPC reads the time right before it looks at a channel."""

        @staticmethod
        def time() -> float:
            if threading.get_ident() != home:
                looks.set()
                threading.Event().wait(0.05)
            return float(now())

    monkeypatch.setattr(grpc._channel, "time", Late)
    monkeypatch.setattr(threading, "excepthook", failed.append)
    known = threading.enumerate()
    channel = GrpcChannel(grpc, ForeignAddress("astribot", "grpc", "127.0.0.1", 1), "a.Service")
    (watching,) = (thread for thread in threading.enumerate() if thread not in known)
    assert looks.wait(LONG_S)
    channel.close()
    channel.close()
    watching.join(LONG_S)
    assert failed == []


def test_a_gateway_of_ours_is_such_a_server() -> None:
    with standing() as stand:
        port = int(stand.listener.address.rpartition(":")[2])
        policy = policy_at(port, checkpoint_dir="", encoding="png")
        chunk = chunk_of(policy, 1.0, "pick")
        policy.begin_episode(None)
        chunk_of(policy, 2.0)
        policy.close()
        np.testing.assert_array_equal(chunk.robot[0], 1.0 + np.arange(25))
        np.testing.assert_array_equal(stand.policy.rows[-1].observation.images["head"], FRAME)


def test_nobody_there_is_told() -> None:
    with serving_peer(PeerServer()) as port:
        pass
    with pytest.raises(LinkError, match="wanted an Astribot policy server"):
        AstribotPolicy(f"astribot+grpc://127.0.0.1:{port}", options=replace(OPTIONS, profile="astribot_s1"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config_name": ""}, "config_name: wanted it among the options"),
        ({"width": 25}, "width: wanted 0, 16 or 22"),
        ({"token_path": "x"}, "token_path: wanted none"),
    ],
)
def test_options_that_are_none_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(OPTIONS, **changes)  # type: ignore[arg-type] # field by field


def test_the_lerobot_variant_has_no_checkpoint_beside_its_model() -> None:
    address = ForeignAddress("astribot_lerobot", "grpc", "127.0.0.1", 1)
    with pytest.raises(ConfigError, match="the LeRobot variant has no field for it, got /ckpt/1"):
        AstribotClient(address, LEROBOT, OPTIONS, PROFILE)
