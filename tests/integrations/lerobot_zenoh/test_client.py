"""Our connection to servers of LeRobot's remote inference, whatever they do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from gateways.foreign_rig import profile_of, row_of
from remote_server import DEPLOYMENT, SEMANTICS, RemoteServer, deployment_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignRequest, ForeignRtc, Operation, WirePath
from vagus.gateways.profile import Profile, WireImage
from vagus.integrations.lerobot_zenoh.client import LeRobotZenohClient
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.control import ControlOperation
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, InferenceMode, RemoteFeature
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import ActionChunk, FloatArray, Prefix

NAMES = ("pan", "tilt")
STEPS = 4
RATE_HZ = 10.0
SHORT_S = 0.3
LONG_S = 20.0
ADDRESS = ForeignAddress("lerobot", "zenoh", "127.0.0.1", 1)
OPTIONS = LeRobotZenohOptions(deployment=DEPLOYMENT, timeout_s=LONG_S, start_timeout_s=LONG_S)
PROFILE = replace(profile_of("lerobot_zenoh"), semantics=SEMANTICS)
RESET, CLOSE = ControlOperation.RESET, ControlOperation.CLOSE


def states_of(observation: RemoteObservation) -> FloatArray:
    """Return the state as a chunk, as many rows as guided chunks have."""
    state = np.asarray(observation.features["observation.state"], np.float32)
    return np.repeat(state[None], STEPS + 4, axis=0)


@dataclass
class Stand:
    """A network with servers of one deployment."""

    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    wish: str = ""
    servers: list[RemoteServer] = field(default_factory=list)
    clients: list[LeRobotZenohClient] = field(default_factory=list)
    links: list[MemoryLink] = field(default_factory=list)
    holding: threading.Event = field(default_factory=threading.Event)
    """While it is not set and the wish is "hang", the policy computes."""

    def serve(self, artifact: str = "sha256:a", **facts: object) -> RemoteServer:
        """Start a server; `facts` are those of its deployment."""
        wishes = facts.pop("wish", lambda: self.wish)
        deployment = deployment_of(NAMES, rate_hz=RATE_HZ, steps=STEPS, artifact=artifact, **facts)  # type: ignore[arg-type]
        server = RemoteServer(self.network.link(), deployment, self._act, wishes)  # type: ignore[arg-type]
        server.start()
        self.servers.append(server)
        return server

    def client(
        self, options: LeRobotZenohOptions = OPTIONS, profile: Profile = PROFILE
    ) -> LeRobotZenohClient:
        """Return a client of the deployment."""

        def dial(_: float) -> MemoryLink:
            self.links.append(self.network.link())
            return self.links[-1]

        self.clients.append(LeRobotZenohClient(ADDRESS, options, profile, dial))
        return self.clients[-1]

    def opened(self, **options: object) -> LeRobotZenohClient:
        """Return a client with a session."""
        client = self.client(replace(OPTIONS, **options))  # type: ignore[arg-type]
        client.open(LONG_S)
        return client

    def _act(self, observation: RemoteObservation) -> FloatArray:
        rows = states_of(observation)
        if self.wish == "hang":
            self.holding.wait(LONG_S)
        if self.wish == "error":
            raise ValueError("told to fail")
        if self.wish == "nan":
            rows[1, 1] = np.nan
        return rows[:, :1] if self.wish == "shape" else rows


@pytest.fixture
def stand() -> Iterator[Stand]:
    """A network, without servers yet."""
    stand = Stand()
    yield stand
    stand.holding.set()
    for client in stand.clients:
        client.close()
    for server in stand.servers:
        server.close()


def asked_of(
    state: tuple[float, float] = (1.0, 2.0), *, rtc: ForeignRtc | None = None, task: str = ""
) -> Asked:
    """Return one question, as the policy asks it."""
    values: dict[WirePath, Value] = {("observation.state",): np.array(state, np.float32)}
    if task:
        values["task",] = task
    return ForeignRequest(Operation.INFER, Envelope("lerobot_zenoh"), values), rtc


def test_a_session_is_opened_asked_reset_and_closed_as_the_protocol_wants_it(stand: Stand) -> None:
    server = stand.serve()
    client = stand.opened()
    for number, task in enumerate(("go", "go", "stop")):
        (reply,) = client.ask([asked_of((number, 2.0), task=task)], LONG_S)
        np.testing.assert_array_equal(reply.actions["action"], [[number, 2.0]] * STEPS)
        assert reply.model is None
    client.reset(LONG_S)
    client.ask([asked_of()], LONG_S)
    assert [seen.identity.task_version for seen in server.heard] == [1, 1, 2, 3]
    assert [seen.identity.task for seen in server.heard] == ["go", "go", "stop", ""]
    assert [seen.sequence for seen in server.heard] == [1, 2, 3, 4]
    assert len({seen.identity.observation_id for seen in server.heard}) == 4
    assert all(seen.observation_cursor == seen.cursor for seen in server.heard)
    client.close()
    assert server.controls == [(RESET, 0), (RESET, 1), (CLOSE, 1)]
    assert not server.is_owned
    assert not server.refused
    (request,) = server.opened
    assert request.is_aligned
    assert request.expected_artifact == "sha256:a"


@pytest.mark.parametrize(
    ("generation", "contracts"), [("A", ()), ("B", ("chunk_alignment_v1",)), ("C", ("chunk_alignment_v2",))]
)
def test_each_generation_gets_the_open_that_it_wants(
    stand: Stand, generation: str, contracts: tuple[str, ...]
) -> None:
    server = stand.serve(generation=generation)
    client = stand.opened()
    (reply,) = client.ask([asked_of()], LONG_S)
    assert reply.actions["action"].shape == (STEPS, 2)
    (request,) = server.opened
    assert request.required_capabilities == contracts
    settings = request.chunk_settings
    assert (settings is None) == (generation == "A")
    if settings is not None:
        assert settings.merge is ChunkMerge.ALIGNED
        assert (settings.blend is None) == (generation == "C")


def test_the_running_plan_is_continued_in_the_models_own_numbers(stand: Stand) -> None:
    server = stand.serve(modes=(InferenceMode.CHUNK, InferenceMode.RTC_GUIDED), model_dim=3)
    client = stand.opened()
    assert client.model_dim == 3
    rtc = client.rtc_of({}, STEPS)
    assert rtc is not None
    assert rtc.prefix_horizon == 4
    (reply,) = client.ask([asked_of()], LONG_S)
    assert reply.model is not None
    assert reply.model.shape == (STEPS + 4, 3)
    left = ForeignRtc(
        prefix=reply.actions["action"][2:].astype(np.float64), inference_delay=3, model_prefix=reply.model[2:]
    )
    client.ask([asked_of(rtc=left)], LONG_S)
    first, second = server.heard
    assert first.canonical_continuation is None
    assert second.canonical_continuation is not None
    np.testing.assert_array_equal(second.canonical_continuation, reply.actions["action"][2:])
    np.testing.assert_array_equal(second.model_continuation, reply.model[2:])
    assert second.delay == 3
    assert second.observation_cursor is None
    assert server.opened[0].required_capabilities == ("rtc_model_space_v1",)


def test_a_plan_goes_through_the_policy_and_back_in_both_units(stand: Stand) -> None:
    server = stand.serve(modes=(InferenceMode.RTC_GUIDED,), model_dim=3)
    policy = ForeignPolicy(stand.client(), PROFILE, OPTIONS)
    assert policy.spec.model_dim == 3
    assert policy.spec.rtc is not None
    (chunk,) = policy.infer([row_of((0.5, 1.0))])
    assert isinstance(chunk, ActionChunk)
    assert chunk.model.shape == (len(chunk.robot), 3)
    np.testing.assert_allclose(chunk.robot[0], [0.5, 1.0], rtol=1e-6)
    left = Prefix(chunk.model[1:], chunk.robot[1:])
    policy.infer([row_of((0.5, 1.0), step=1, prefix=left)])
    np.testing.assert_array_equal(server.heard[1].model_continuation, chunk.model[1:])
    sent = server.heard[1].canonical_continuation
    assert sent is not None
    np.testing.assert_allclose(sent, np.degrees(chunk.robot[1:]), rtol=1e-6)
    policy.close()
    assert not server.is_owned


def test_a_trained_model_is_not_asked_for_more_delay_than_it_knows(stand: Stand) -> None:
    stand.serve(modes=(InferenceMode.RTC_TRAINED,), training_max_delay=2)
    client = stand.opened(inference_mode="rtc_trained")
    plan = np.ones((4, 2))
    within = ForeignRtc(prefix=plan, inference_delay=2, model_prefix=plan.astype(np.float32))
    client.ask([asked_of(rtc=within)], LONG_S)
    with pytest.raises(PolicyError, match="2 steps at most, and this one is 3"):
        client.ask([asked_of(rtc=replace(within, inference_delay=3))], LONG_S)
    assert client.is_open


def test_whole_chunks_are_taken_where_nothing_else_is_offered_or_wanted(stand: Stand) -> None:
    server = stand.serve(modes=(InferenceMode.CHUNK, InferenceMode.RTC_GUIDED))
    client = stand.opened(inference_mode="chunk")
    assert client.rtc_of({}, STEPS) is None
    assert client.model_dim == 0
    plan = np.ones((4, 2))
    client.ask([asked_of(rtc=ForeignRtc(prefix=plan, model_prefix=plan.astype(np.float32)))], LONG_S)
    assert server.heard[0].canonical_continuation is None
    with pytest.raises(ConfigError, match=r"inference_mode: wanted one .* offers: chunk, rtc_guided"):
        stand.opened(inference_mode="rtc_trained")


@pytest.mark.parametrize(
    ("wish", "error", "told"),
    [
        ("error", LinkError, "execution, told to fail"),
        ("nan", ProtocolError, "NaN"),
        ("shape", ProtocolError, r"canonical_actions: wanted \(4, 2\), got \(4, 1\)"),
        ("short", ProtocolError, r"wanted \(4, 2\), got \(3, 2\)"),
        ("garbage", ProtocolError, "msgpack"),
        ("identity", ProtocolError, "identity of the observation"),
        ("cursor", ProtocolError, "cursors of the observation"),
        ("code stale", LinkError, "stale"),
        ("code incompatible", LinkError, "incompatible"),
        ("silent", LinkError, "no actions in time"),
        ("generation", LinkError, "no actions in time"),
        ("hang", LinkError, "no actions in time"),
    ],
)
def test_whatever_a_server_answers_nothing_of_it_is_taken(
    stand: Stand, wish: str, error: type[Exception], told: str
) -> None:
    stand.serve()
    client = stand.opened()
    client.ask([asked_of()], LONG_S)
    stand.wish = wish
    with pytest.raises(error, match=told):
        client.ask([asked_of()], SHORT_S if "in time" in told else LONG_S)
    stand.wish = ""
    stand.holding.set()
    client.open(LONG_S)
    (reply,) = client.ask([asked_of((3.0, 4.0))], LONG_S)
    np.testing.assert_array_equal(reply.actions["action"], [[3.0, 4.0]] * STEPS)


def test_a_guided_answer_without_the_models_numbers_is_none(stand: Stand) -> None:
    stand.serve(modes=(InferenceMode.RTC_GUIDED,))
    client = stand.opened()
    stand.wish = "no_model"
    with pytest.raises(ProtocolError, match="model_actions"):
        client.ask([asked_of()], LONG_S)


def test_a_busy_server_costs_the_question_and_not_the_session(stand: Stand) -> None:
    stand.serve()
    client = stand.opened()
    stand.wish = "busy"
    with pytest.raises(PolicyError, match="busy"):
        client.ask([asked_of()], LONG_S)
    stand.wish = ""
    assert client.is_open
    client.ask([asked_of()], LONG_S)


def test_an_earlier_answer_is_nobodys(stand: Stand) -> None:
    server = stand.serve()
    client = stand.opened()
    stand.network.set_duplicate(lambda sample: sample.key.endswith("/act"))
    for number in range(4):
        (reply,) = client.ask([asked_of((number, 0.0))], LONG_S)
        assert reply.actions["action"][0, 0] == number
    assert len(server.heard) == 4


def test_a_server_that_has_gone_is_noticed_while_its_answer_is_waited_for(stand: Stand) -> None:
    server = stand.serve()
    client = stand.opened()
    stand.wish = "hang"
    threading.Timer(0.05, server.close).start()
    with pytest.raises(LinkError, match="the server is gone"):
        client.ask([asked_of()], LONG_S)
    assert not client.is_open


def test_a_lost_link_ends_the_session_and_a_new_one_is_opened(stand: Stand) -> None:
    stand.serve()
    client = stand.opened()
    stand.links[-1].cut()
    assert not client.is_open
    stand.links[-1].heal()
    assert not client.is_open  # another transport: what was on its way may be anybody's
    client.open(LONG_S)
    client.ask([asked_of()], LONG_S)


def test_a_session_whose_close_was_lost_is_closed_before_the_next_one(stand: Stand) -> None:
    server = stand.serve()
    client = stand.opened()
    stand.links[-1].cut()
    client.close()
    assert server.is_owned  # for 10 s more, if nobody says that it has ended
    client.open(2.0)
    assert server.controls[-2:] == [(CLOSE, 0), (RESET, 0)]


def test_a_session_that_was_left_at_one_server_is_closed_when_that_one_is_needed_again(stand: Stand) -> None:
    one, two = stand.serve(instance_id="one"), stand.serve(instance_id="two")
    client = stand.opened()
    for server, other in ((one, two), (two, one)):
        assert server.is_owned
        stand.links[-1].cut()
        client.close()
        client.open(2.0)
        assert other.is_owned
    assert one.controls == [(RESET, 0), (CLOSE, 0), (RESET, 0)]


def test_another_server_of_the_artifact_is_taken_when_one_is_gone(stand: Stand) -> None:
    one, two = stand.serve(), stand.serve()
    policy = ForeignPolicy(stand.client(), PROFILE, OPTIONS)
    assert one.is_owned != two.is_owned
    owner, other = (one, two) if one.is_owned else (two, one)
    policy.infer([row_of()])
    owner.close()
    (chunk,) = policy.infer([row_of((0.25, 0.0))])  # nothing failed, so nothing is waited for
    assert isinstance(chunk, ActionChunk)
    assert chunk.robot[0, 0] == pytest.approx(0.25)
    assert other.is_owned
    policy.close()


def test_a_server_that_has_failed_is_left_for_another_one(stand: Stand) -> None:
    words = {0: "", 1: ""}
    one, two = (stand.serve(wish=lambda at=at: words[at]) for at in (0, 1))
    client = stand.opened()
    at = 0 if one.is_owned else 1
    words[at] = "garbage"
    with pytest.raises(ProtocolError):
        client.ask([asked_of()], LONG_S)
    client.close()
    client.open(LONG_S)
    assert (two, one)[at].is_owned
    client.ask([asked_of()], LONG_S)


def test_another_artifact_is_refused_for_good_and_gets_no_session(stand: Stand) -> None:
    first = stand.serve()
    policy = ForeignPolicy(stand.client(), PROFILE, OPTIONS)
    policy.infer([row_of()])
    first.close()
    second = stand.serve("sha256:b")
    (failure,) = policy.infer([row_of()])
    assert isinstance(failure, PolicyError)
    assert "something else about itself" in str(failure)
    assert not second.opened
    stand.serve()
    assert "something else about itself" in str(policy.infer([row_of()])[0])
    policy.close()


def test_a_server_of_the_artifact_is_preferred_to_others(stand: Stand) -> None:
    first = stand.serve()
    client = stand.opened()
    first.close()
    other, same = stand.serve("sha256:b", instance_id="0"), stand.serve(instance_id="1")
    client.open(LONG_S)
    assert same.is_owned
    assert not other.opened


def test_the_artifact_is_the_identity(stand: Stand) -> None:
    hashes = set()
    for artifact in ("sha256:a", "sha256:a", "sha256:b"):
        server = stand.serve(artifact)
        policy = ForeignPolicy(stand.client(), PROFILE, OPTIONS)
        hashes.add(policy.model_hash)
        policy.close()
        server.close()
    assert len(hashes) == 2


def test_an_owned_server_is_refused_with_its_reason_and_a_free_one_is_taken(stand: Stand) -> None:
    stand.serve(instance_id="one")
    stand.opened()
    with pytest.raises(LinkError, match="one: the server says: busy, there is a session"):
        stand.client().open(LONG_S)
    second = stand.serve(instance_id="two")
    stand.opened()
    assert second.is_owned


def test_the_session_of_a_client_that_has_vanished_is_waited_for(stand: Stand) -> None:
    server = stand.serve()
    server._idle_timeout_s = 0.3
    stand.opened()
    stand.links[-1].cut()
    client = stand.opened()
    client.ask([asked_of()], LONG_S)
    assert len(server.opened) > 2  # refused before


def test_a_server_that_loads_is_waited_for(stand: Stand) -> None:
    stand.wish = "unready"
    server = stand.serve()
    threading.Timer(0.3, lambda: setattr(stand, "wish", "")).start()
    client = stand.opened()
    client.ask([asked_of()], LONG_S)
    assert server.is_owned


def test_a_dead_policy_is_left_at_the_begin_of_an_episode(stand: Stand) -> None:
    words = {"one": "", "two": ""}
    one, two = (stand.serve(instance_id=name, wish=lambda name=name: words[name]) for name in words)
    client = stand.opened()
    assert one.is_owned
    words["one"] = "dead"
    with pytest.raises(LinkError, match="execution"):
        client.reset(LONG_S)
    client.close()
    client.open(LONG_S)
    assert two.is_owned
    two.close()
    with pytest.raises(LinkError, match="one is not ready the policy's reset has failed"):
        client.open(LONG_S)


@pytest.mark.parametrize("wish", ["mute", "garbage_descriptor", "unready"])
def test_a_server_that_cannot_say_what_it_is_hides_no_other(stand: Stand, wish: str) -> None:
    stand.serve(wish=lambda: wish)
    with pytest.raises(LinkError):
        stand.client(replace(OPTIONS, start_timeout_s=SHORT_S)).open(SHORT_S)
    good = stand.serve()
    stand.opened()
    assert good.is_owned


@pytest.mark.parametrize(
    ("wish", "told"), [("other_artifact", "got another session"), ("newer", "mode: wanted one of chunk")]
)
def test_another_session_than_the_one_asked_for_is_closed(stand: Stand, wish: str, told: str) -> None:
    server = stand.serve()
    stand.wish = wish
    with pytest.raises(LinkError, match=told):
        stand.client().open(LONG_S)
    assert not server.is_owned


def test_a_server_of_another_id_is_not_taken(stand: Stand) -> None:
    stand.serve(instance_id="one")
    with pytest.raises(LinkError, match="the server of that id is not there"):
        stand.client(replace(OPTIONS, instance="two")).open(SHORT_S)


def test_nobody_is_told_with_the_name_of_the_deployment(stand: Stand) -> None:
    with pytest.raises(LinkError, match="nobody serves the deployment arm"):
        stand.client().open(SHORT_S)


@pytest.mark.parametrize("encoding", list(PictureEncoding))
def test_pictures_go_as_they_are_wanted(stand: Stand, encoding: PictureEncoding) -> None:
    name = "observation.images.front"
    front = RemoteFeature(name, (16, 24, 3), "uint8", FeatureKind.RGB, (), "front camera")
    server = stand.serve(pictures=(front,))
    image = WireImage(key=(name,), name="front", height=16, width=24)
    client = stand.client(replace(OPTIONS, encoding=encoding.value), replace(PROFILE, images=(image,)))
    client.open(LONG_S)
    request, _ = asked_of()
    picture = np.full((16, 24, 3), 90, np.uint8)
    client.ask([(replace(request, observation={**request.observation, (name,): picture}), None)], LONG_S)
    sent = server.heard[0].features[name]
    assert isinstance(sent, RemotePicture)
    assert sent.encoding is encoding
    np.testing.assert_allclose(sent.pixels(), picture, atol=2)
    with pytest.raises(PolicyError, match=r"wanted observation.images.front, uint8 \(16, 24, 3\)"):
        client.ask([asked_of()], LONG_S)
    assert client.is_open


def test_what_the_wire_cannot_carry_is_not_sent(stand: Stand) -> None:
    server = stand.serve(modes=(InferenceMode.RTC_GUIDED,))
    client = stand.opened()
    plan = np.full((4, 2), np.nan)
    endless = ForeignRtc(prefix=plan, model_prefix=plan.astype(np.float32))
    with pytest.raises(PolicyError, match=r"cannot be sent: .* finite numbers"):
        client.ask([asked_of(rtc=endless)], LONG_S)
    assert client.is_open
    assert not server.heard


def test_an_instruction_that_is_too_long_is_not_sent(stand: Stand) -> None:
    stand.serve()
    client = stand.opened()
    with pytest.raises(PolicyError, match="at most 4096 characters, got 5000"):
        client.ask([asked_of(task="x" * 5000)], LONG_S)
    assert client.is_open


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "deployment"),
        ({"deployment": "arm", "inference_mode": "rtc"}, "inference_mode"),
        ({"deployment": "arm", "encoding": "png"}, "encoding"),
        ({"deployment": "arm", "token_path": "token"}, "token_path"),
        ({"deployment": "arm", "ca": "ca.pem"}, "tls"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        LeRobotZenohOptions(**settings)  # type: ignore[arg-type]


def test_certificates_are_given_by_three_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("ca", "certificate", "key")]
    for file in files:
        file.write_text("pem")
    ca, certificate, key = map(str, files)
    options = replace(OPTIONS, ca=ca, certificate=certificate, private_key=key)
    assert options.tls().is_on
