"""Our connection to LeRobot's policy server, over real gRPC, whatever the server does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
import pytest

from gateways.foreign_rig import HORIZON, profile_of, row_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.gateways.profile import WireImage
from vagus.integrations.lerobot_grpc.client import LeRobotGrpcClient
from vagus.integrations.lerobot_grpc.dialect import (
    ACTIONS,
    MUST_GO,
    STEP_S,
    TIMESTAMP,
    TIMESTEP,
    decode_request,
    decode_setup,
    encode_reply,
)
from vagus.integrations.lerobot_grpc.messages import RemotePolicyConfig
from vagus.integrations.lerobot_grpc.options import LeRobotGrpcOptions
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part
from vagus.policies.policy import ServingMode
from vagus.types import ActionChunk

SHORT_S = 0.4
LONG_S = 20.0
OPTIONS = LeRobotGrpcOptions(policy_type="act", checkpoint="user/act", device="cpu", timeout_s=LONG_S)
PROFILE = profile_of("lerobot_grpc")


@dataclass
class AsyncInference:
    """The four calls, as LeRobot's policy server answers them: the state of the observation as a chunk."""

    spoil: Callable[[bytes], bytes | None] = lambda message: message
    """Makes something else of the answer to `GetActions`; None: it hangs."""
    setup_error: str = ""
    calls: list[str] = field(default_factory=list)
    setups: list[RemotePolicyConfig] = field(default_factory=list)
    heard: list[ForeignRequest] = field(default_factory=list)
    has_policy: bool = False
    is_ended: threading.Event = field(default_factory=threading.Event)

    def ready(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        self.calls.append("Ready")
        return b""

    def instruct(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        self.calls.append("SendPolicyInstructions")
        self.setups.append(decode_setup(message))
        if self.setup_error:
            raise ValueError(self.setup_error)
        self.has_policy = True
        return b""

    def observe(self, parts: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        del context
        gathered, whole = ObservationParts(1 << 30), None
        for part in parts:
            whole = gathered.add(decode_part(part))
        assert whole is not None
        self.heard.append(decode_request(whole))
        return b""

    def act(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        if not self.has_policy:
            return b""
        request = self.heard[-1]
        state = np.array([request.observation[("pan",)], request.observation[("tilt",)]], np.float32)
        extra: dict[Key, Value] = {TIMESTAMP: 0.0, TIMESTEP: request.beside[(TIMESTEP,)], STEP_S: 0.1}
        reply = ForeignReply({ACTIONS: np.repeat(state[None], HORIZON, axis=0)}, extra)
        spoiled = self.spoil(encode_reply(reply, request.envelope))
        if spoiled is None:
            self.is_ended.wait(LONG_S)
        return spoiled or b""


@contextmanager
def serving(server: AsyncInference, port: int = 0) -> Iterator[ForeignAddress]:
    """Run a server in this process."""
    handlers = {
        "Ready": grpc.unary_unary_rpc_method_handler(server.ready),
        "SendPolicyInstructions": grpc.unary_unary_rpc_method_handler(server.instruct),
        "SendObservations": grpc.stream_unary_rpc_method_handler(server.observe),
        "GetActions": grpc.unary_unary_rpc_method_handler(server.act),
    }
    running = grpc.server(ThreadPoolExecutor(4))
    running.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("transport.AsyncInference", handlers),)
    )
    bound = running.add_insecure_port(f"127.0.0.1:{port}")
    running.start()
    yield ForeignAddress("lerobot", "grpc", "127.0.0.1", bound)
    server.is_ended.set()
    running.stop(None).wait()


def policy_at(address: ForeignAddress, **options: object) -> ForeignPolicy:
    told = replace(OPTIONS, **options)  # type: ignore[arg-type] # field by field
    return ForeignPolicy(LeRobotGrpcClient(address, told, PROFILE), PROFILE, told)


def timestep_of(request: ForeignRequest) -> int:
    timestep = request.beside[(TIMESTEP,)]
    assert isinstance(timestep, int)
    return timestep


def test_the_server_loads_what_the_options_name_and_every_question_must_go() -> None:
    server = AsyncInference()
    with serving(server) as address:
        policy = policy_at(address)
        policy.begin_episode(None)
        chunks = [policy.infer([row_of([0.1 * at, 0.2], text="pick")])[0] for at in range(3)]
        policy.close()
    for at, chunk in enumerate(chunks):
        assert isinstance(chunk, ActionChunk)
        np.testing.assert_allclose(chunk.robot, [[0.1 * at, 0.2]] * HORIZON, atol=1e-6)
    assert policy.serving_mode is ServingMode.EXCLUSIVE
    assert server.calls == ["Ready", "SendPolicyInstructions", "Ready"]
    (setup,) = server.setups
    assert (setup.policy_type, setup.pretrained_name_or_path, setup.device) == ("act", "user/act", "cpu")
    assert setup.actions_per_chunk == HORIZON
    assert setup.lerobot_features["observation.state"].names == ("pan", "tilt")
    steps = [timestep_of(request) for request in server.heard]
    assert steps == [steps[0], steps[0] + 1, steps[0] + 2]
    assert all(request.beside[(MUST_GO,)] is True for request in server.heard)
    assert server.heard[0].observation[("task",)] == "pick"


def test_pictures_of_several_parts_arrive_whole() -> None:
    image = WireImage(key=("observation.images.front",), name="front", height=720, width=1280)
    profile = replace(PROFILE, images=(image,))
    frame = np.arange(720 * 1280 * 3, dtype=np.uint32).astype(np.uint8).reshape(720, 1280, 3)
    server = AsyncInference()
    row = row_of()
    with serving(server) as address:
        policy = ForeignPolicy(LeRobotGrpcClient(address, OPTIONS, profile), profile, OPTIONS)
        seen = replace(row.observation, images={"front": frame})
        assert isinstance(policy.infer([replace(row, observation=seen)])[0], ActionChunk)
        policy.close()
    np.testing.assert_array_equal(np.asarray(server.heard[0].observation[("front",)]), frame)
    assert server.setups[0].lerobot_features["observation.images.front"].shape == (720, 1280, 3)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: None, "no answer to GetActions within"),
        (lambda _: b"\xff\xff", "protobuf"),
        (lambda message: message[:-3], "protobuf"),
        (lambda _: b"\x0a\x05cos\nsystem", "protobuf"),
        (lambda _: b"\x0a\x04\x80\x04N.", "wanted"),
    ],
)
def test_whatever_goes_wrong_is_one_error_in_time(spoil: Callable[[bytes], bytes | None], words: str) -> None:
    with serving(AsyncInference(spoil=spoil)) as address:
        client = LeRobotGrpcClient(address, OPTIONS, PROFILE)
        client.open(LONG_S)
        values: dict[WirePath, Value] = {("observation.state",): np.zeros(2, np.float32), ("task",): "pick"}
        request = ForeignRequest(Operation.INFER, Envelope("lerobot_grpc"), values)
        with pytest.raises((LinkError, ProtocolError), match=words):
            client.ask([(request, None)], SHORT_S if "GetActions" in words else LONG_S)
        client.close()


def test_no_bytes_are_an_error_of_the_row_and_no_reason_to_load_again() -> None:
    server = AsyncInference(spoil=lambda _: b"")
    with serving(server) as address:
        policy = policy_at(address)
        for _ in range(3):
            (result,) = policy.infer([row_of()])
            assert isinstance(result, PolicyError)
            assert "answers 0 bytes" in str(result)
        server.spoil = lambda message: message
        assert isinstance(policy.infer([row_of()])[0], ActionChunk)
        policy.close()
    assert server.calls.count("SendPolicyInstructions") == 1


def test_the_answer_to_another_question_is_not_taken() -> None:
    server = AsyncInference()
    kept: list[bytes] = []

    def stale(message: bytes) -> bytes:
        kept.append(message)
        return kept[0]

    server.spoil = stale
    with serving(server) as address:
        policy = policy_at(address)
        assert isinstance(policy.infer([row_of()])[0], ActionChunk)
        (result,) = policy.infer([row_of()])
        policy.close()
    assert "another question" in str(result)


def test_the_answer_to_the_same_question_of_another_robot_is_not_taken() -> None:
    server = AsyncInference()
    kept: list[bytes] = []

    def first_of_all(message: bytes) -> bytes:
        kept.append(message)
        return kept[0]

    server.spoil = first_of_all
    with serving(server) as address:
        mine, other = policy_at(address), policy_at(address)
        assert isinstance(other.infer([row_of([1.0, 1.0])])[0], ActionChunk)
        (result,) = mine.infer([row_of()])
        mine.close()
        other.close()
    assert "another question" in str(result)


def test_a_server_that_was_started_again_loads_again() -> None:
    first = AsyncInference()
    with serving(first) as address:
        policy = policy_at(address)
        assert isinstance(policy.infer([row_of()])[0], ActionChunk)
    again = AsyncInference()
    with serving(again, address.port):
        results = [policy.infer([row_of()])[0] for _ in range(2)]
        policy._guard._failures = 0
        last = policy.infer([row_of()])[0]
        policy.close()
    assert isinstance(last, ActionChunk), (results, last)
    assert again.calls == ["Ready", "SendPolicyInstructions"]
    assert timestep_of(again.heard[-1]) > timestep_of(first.heard[-1])


def test_no_proxy_of_the_environment_comes_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with serving(AsyncInference()) as address:
        policy_at(address).close()


def test_a_checkpoint_that_the_server_refuses_is_told() -> None:
    server = AsyncInference(setup_error="Policy type act not supported")
    with serving(server) as address, pytest.raises(ProtocolError, match="Policy type act not supported"):
        policy_at(address)


def test_another_grpc_server_is_told() -> None:
    running = grpc.server(ThreadPoolExecutor(1))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    with pytest.raises(ProtocolError, match="UNIMPLEMENTED"):
        policy_at(ForeignAddress("lerobot", "grpc", "127.0.0.1", port))
    running.stop(None).wait()


def test_another_checkpoint_is_another_model() -> None:
    with serving(AsyncInference()) as address:
        hashes = [
            policy_at(address, **options).model_hash
            for options in (
                {},
                {"checkpoint": "user/other"},
                {"actions_per_chunk": 2},
                {"identity": "stated"},
                {},
            )
        ]
    assert len(set(hashes)) == 4
    assert hashes[0] == hashes[-1]


@pytest.mark.parametrize("missing", ["policy_type", "checkpoint"])
def test_what_the_server_shall_load_must_be_named(missing: str) -> None:
    given = {"policy_type": "act", "checkpoint": "user/act"}
    del given[missing]
    with pytest.raises(ConfigError, match=f"--options {missing}"):
        LeRobotGrpcOptions(**given)  # type: ignore[arg-type] # texts alone
