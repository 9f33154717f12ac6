"""The draft's server as the brain, in memory: what the policy gets, whatever the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from draft_server import MODEL_REPO, SERVICE, TASK, DraftServer, model_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError, QueryTimeoutError
from vagus.gateways.foreign_address import parse_address
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.lerobot_zenoh.draft.motion import DraftObservation
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel
from vagus.integrations.lerobot_zenoh.draft_client import LeRobotDraftClient
from vagus.integrations.lerobot_zenoh.draft_options import LeRobotDraftOptions
from vagus.policies.policy import Row
from vagus.specs import RtcSpec
from vagus.transport.memory import MemoryNetwork
from vagus.types import Observation, Prefix

NAMES = ("pan.pos", "lift.pos")
STEPS = 6
MODEL = model_of(NAMES, steps=STEPS, rtc=3)
PROFILE = Profile(
    name="two_joints",
    protocol="lerobot_zenoh_draft",
    robot_type="two_joints",
    rate_hz=30.0,
    horizon=STEPS,
    state=(WireSpan(key=("observation.state",), names=NAMES, unit="rad", wire_unit="deg"),),
    actions=(WireSpan(key=("action",), names=NAMES, unit="rad", wire_unit="deg"),),
    instruction=("task",),
)
OPTIONS = LeRobotDraftOptions(model_repo=MODEL_REPO, task=TASK, timeout_s=0.5, start_timeout_s=5.0)
ADDRESS = parse_address("lerobot_draft+zenoh://127.0.0.1:7447")


def counted(seen: DraftObservation) -> np.ndarray:
    """Return the state, and a degree more in every row."""
    return seen.state[None] + np.arange(STEPS, dtype=np.float32)[:, None]


@dataclass
class Stand:
    """A server in memory, and a policy that asks it."""

    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    word: str = ""
    model: DraftModel = MODEL

    def __post_init__(self) -> None:
        self.released = threading.Event()
        self.server = self.serve()

    def serve(self) -> DraftServer:
        """Start another server's process."""
        server = DraftServer(self.network.link("server"), self.model, self._act, lambda: self.word)
        server.start()
        return server

    def client(
        self, profile: Profile = PROFILE, options: LeRobotDraftOptions = OPTIONS
    ) -> LeRobotDraftClient:
        return LeRobotDraftClient(ADDRESS, options, profile, lambda _: self.network.link("vagus"))

    @contextmanager
    def policy(self) -> Iterator[ForeignPolicy]:
        made = ForeignPolicy(self.client(), PROFILE, OPTIONS)
        try:
            yield made
        finally:
            made.close()

    def _act(self, seen: DraftObservation) -> np.ndarray:
        if self.word == "hang":
            self.released.wait(30)
        if self.word == "error":
            raise ValueError("told to fail")
        rows = counted(seen)
        if self.word == "nan":
            rows[1, 0] = np.nan
        return rows[:, :1] if self.word == "shape" else rows


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.released.set()


def row(first_deg: float, *, step: int = 0, prefix: Prefix | None = None, horizon: int = 3) -> Row[None]:
    state = np.radians(np.array([first_deg, first_deg + 1], np.float32))
    seen = Observation(state, {}, "go", 0)
    return Row(None, seen, step, prefix, 1 if prefix else 0, horizon if prefix else 0, 0)


def degrees(policy: ForeignPolicy, asked: Row[None]) -> np.ndarray:
    (chunk,) = policy.infer([asked])
    assert not isinstance(chunk, PolicyError), chunk
    return np.degrees(chunk.robot)


def error_of(policy: ForeignPolicy, asked: Row[None]) -> str:
    (answer,) = policy.infer([asked])
    assert isinstance(answer, PolicyError)
    return str(answer)


def test_a_policy_asks_the_server_in_its_units_and_keeps_its_headers(stand: Stand) -> None:
    with stand.policy() as policy:
        np.testing.assert_allclose(degrees(policy, row(10))[0], [10, 11], rtol=1e-5)
        policy.begin_episode(None)
        degrees(policy, row(20))
        first, second = stand.server.seen
        assert (first.head.sequence, first.head.episode, first.head.epoch) == (1, 0, 0)
        assert (second.head.sequence, second.head.episode, second.head.epoch) == (2, 1, 0)
        assert (first.body.task, first.body.is_episode_start, second.body.is_episode_start) == (
            "go",
            True,
            True,
        )
        assert stand.server.resets == [1]
        assert policy.spec.rtc == RtcSpec(3)
        assert len(stand.server.sessions) == 1
    assert not stand.server.sessions


def test_the_plan_goes_back_in_the_servers_own_numbers_and_never_a_short_one(stand: Stand) -> None:
    with stand.policy() as policy:
        (chunk,) = policy.infer([row(10)])
        assert not isinstance(chunk, PolicyError)
        left = Prefix(chunk.model[2:], chunk.robot[2:])
        degrees(policy, row(12, prefix=left))
        asked = stand.server.seen[-1]
        assert asked.body.inference_delay == 1
        assert asked.body.prefix_model is not None
        np.testing.assert_array_equal(asked.body.prefix_model, -counted(stand.server.seen[0].body)[2:])
        assert asked.body.prefix_robot is not None
        np.testing.assert_array_equal(asked.body.prefix_robot, counted(stand.server.seen[0].body)[2:])
        (chunk,) = policy.infer([row(10)])
        assert not isinstance(chunk, PolicyError)
        degrees(policy, row(12, prefix=Prefix(chunk.model[4:], chunk.robot[4:])))
        assert stand.server.seen[-1].prefix is None


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("error", "silence is all that such a server says"),
        ("hang", "silence is all that such a server says"),
        ("other", "silence is all that such a server says"),
        ("garbage", "msgpack"),
        ("nan", "finite"),
        ("nil", "answers without actions"),
        ("shape", "wanted floats"),
    ],
)
def test_what_goes_wrong_at_the_server_is_an_error_within_the_deadline(
    stand: Stand, word: str, named: str
) -> None:
    with stand.policy() as policy:
        degrees(policy, row(10))
        stand.word = word
        assert named in error_of(policy, row(10))
        stand.word = ""
        stand.released.set()
        end_s = time.monotonic() + 30
        while isinstance(policy.infer([row(30)])[0], PolicyError):  # after the pause, on a new connection
            assert time.monotonic() < end_s
            time.sleep(0.02)
        np.testing.assert_allclose(degrees(policy, row(40))[0], [40, 41], rtol=1e-5)
        is_closed = word not in ("nil", "shape")
        assert stand.server.seen[-1].head.epoch == int(is_closed)
        assert stand.server.opens == 1 + is_closed


def test_a_server_that_goes_is_noticed_at_once_and_another_one_of_the_same_name_is_taken(
    stand: Stand,
) -> None:
    client = stand.client()
    client.open(5.0)
    assert client.is_open
    stand.server.stop()
    assert not client.is_open
    with pytest.raises(
        QueryTimeoutError, match="nobody serves @lerobot/lerobot-smolvla_base/main/pick-the-cube"
    ):
        client.open(0.1)
    stand.server = stand.serve()
    client.open(5.0)
    assert client.is_open
    client.close()


def test_a_server_with_another_model_is_refused(stand: Stand) -> None:
    with stand.policy() as policy:
        degrees(policy, row(10))
        stand.server.stop()
        stand.model = replace(MODEL, model_revision="other")
        stand.server = stand.serve()
        stand.server.model = stand.model
        end_s = time.monotonic() + 30
        while "something else about itself" not in error_of(policy, row(10)):
            assert time.monotonic() < end_s
            time.sleep(0.02)


def test_a_network_that_goes_is_noticed_while_an_answer_is_waited_for(stand: Stand) -> None:
    link = stand.network.link("vagus")
    client = LeRobotDraftClient(ADDRESS, OPTIONS, PROFILE, lambda _: link)
    client.open(5.0)
    stand.word = "hang"
    cutting = threading.Timer(0.1, link.cut)
    cutting.start()
    request = ForeignRequest(
        Operation.INFER, Envelope("x"), {("observation.state",): np.zeros(2, np.float32)}
    )
    with pytest.raises(LinkError, match="the network has gone"):
        client.ask([(request, None)], 30.0)
    cutting.join()
    assert not client.is_open
    client.close()


def test_a_session_with_another_model_than_the_described_one_is_refused_and_closed(stand: Stand) -> None:
    stand.word = "another model"
    client = stand.client()
    with pytest.raises(ProtocolError, match=r"wanted the model of the status, .* pan.pos, lift.pos"):
        client.open(5.0)
    client.close()
    assert (stand.server.opens, stand.server.sessions) == (1, {})


def test_a_server_without_room_is_told_with_its_own_words(stand: Stand) -> None:
    stand.server.max_sessions = 0
    with pytest.raises(LinkError, match="the server refuses: capacity 0/0"):
        stand.client().open(1.0)


def test_garbage_at_the_open_is_no_server(stand: Stand) -> None:
    stand.word = "garbage status"
    with pytest.raises(ProtocolError):
        stand.client().open(1.0)


CAMERA = WireImage(key=("observation.images.front",), name="front", height=4, width=6)


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        (
            {"actions": (replace(PROFILE.actions[0], names=NAMES[::-1]),)},
            "actions .*: wanted lift.pos, pan.pos",
        ),
        ({"state": ()}, "state .*: wanted 0 numbers, got 2"),
        ({"images": (CAMERA,)}, "cameras .*: wanted observation.images.front, got none"),
        ({"rate_hz": 20.0}, "rate_hz .*: wanted 20, got 30"),
    ],
)
def test_a_server_that_is_not_the_profiles_is_refused(
    stand: Stand, profile: dict[str, object], named: str
) -> None:
    client = stand.client(replace(PROFILE, **profile))  # type: ignore[arg-type] # by name
    with pytest.raises(ConfigError, match=named):
        client.open(1.0)
    client.close()
    assert not stand.server.sessions


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_repo": ""}, "model_repo: wanted it among the options"),
        ({"task": ""}, "task: wanted it among the options"),
        ({"task": "///"}, "model_repo, model_revision, task: wanted names"),
        ({"encoding": "png"}, "encoding: wanted one of jpeg, raw"),
        ({"token_path": "x"}, "token_path: wanted none"),
        ({"ca": "/nowhere"}, "tls"),
    ],
)
def test_options_that_cannot_be_used_are_refused(changes: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        replace(OPTIONS, **changes)  # type: ignore[arg-type] # by name


def test_keys_are_slugs_of_the_options(stand: Stand) -> None:
    assert stand.client()._service == SERVICE
