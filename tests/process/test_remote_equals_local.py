"""A server process gives, bit for bit, what the policy gives when it is called here."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from process.rig import PATIENCE_S, WAVE, Rig, rig_in
from vagus.cli.survey import survey
from vagus.control.mapping import OrderMapping
from vagus.demo.robot import SimRobot
from vagus.edge.client.codec import RequestCoding, encode_request
from vagus.edge.client.handshake import Contract, Identity
from vagus.edge.client.inflight import Request
from vagus.edge.client.protocol import SessionRef
from vagus.edge.client.session import Presence, SessionOpener
from vagus.edge.config import EdgeConfig
from vagus.import_path import Option
from vagus.policies.policy import Policy, Row
from vagus.policies.registry import load_policy
from vagus.transport.link import Delivery, Sample
from vagus.transport.service_name import ServiceName
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import ActionChunk, FloatArray, Image, Observation, Prefix, RequestDraft, Snapshot
from vagus.wire.codec import decode, decode_header, decode_tensor
from vagus.wire.schema import ChunkMessage, Kind

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

REQUESTS = 8
INSTRUCTION = "go on"


POLICIES: dict[str, tuple[str, tuple[str, ...], dict[str, Option]]] = {
    "wave": (WAVE, ("cameras", "True"), {"cameras": True}),
    "reach": ("reach", (), {}),
}
"""Name → what `serve` is told, and with which options the policy is made here."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("equal")) as running:
        for name, (policy, options, _) in POLICIES.items():
            running.serve(name, "--service-name", name, policy=policy, options=options)
        yield running


@dataclass(frozen=True)
class Asked:
    """What a request holds besides its draft."""

    images: dict[str, Image]
    seed: int


class Asker:
    """Sends requests on a session and takes the answers apart."""

    def __init__(
        self, link: ZenohLink, session: SessionRef, contract: Contract, replies: queue.SimpleQueue[Sample]
    ) -> None:
        self._link, self._session, self._contract = link, session, contract
        self._name = "asker"
        self._seq = 0
        self._replies = replies

    def ask(self, draft: RequestDraft, asked: Asked) -> tuple[FloatArray, FloatArray]:
        """Return the chunk in model space and in the robot's."""
        self._seq += 1
        request = Request(self._session.epoch, self._seq, draft, sent_ns=0, deadline_ns=0)
        coding = RequestCoding(codec="raw", instruction=INSTRUCTION, seed=asked.seed)
        head, body = encode_request(request, Snapshot(draft, asked.images), self._contract.policy, coding)
        key = self._session.server.client(self._name).observation
        self._link.publish(key, header=head, payload=body, delivery=Delivery.OBSERVATION)
        sample = self._replies.get(timeout=PATIENCE_S)
        reply = decode_header(sample.header)
        assert (reply.kind, reply.seq) == (Kind.CHUNK, self._seq)
        message = decode(sample.payload, ChunkMessage)
        assert message.batch_size == 1
        model = decode_tensor(message.chunk_model, shape=(None, None), name="model")
        robot = decode_tensor(message.chunk_robot, shape=(None, None), name="robot")
        return np.array(model), np.array(robot)


@contextmanager
def asking(rig: Rig, service: str) -> Iterator[Asker]:
    with ZenohLink(ZenohConfig(connect=(rig.endpoint,))) as link:
        (found,) = survey(link, ServiceName.of(f"wave/main/{service}"))
        assert found.capabilities is not None
        identity = Identity("asker", "i1", "", {})
        replies: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        presence = Presence(link, identity, replies.put)
        presence.move_to(found.key)
        opener = SessionOpener(link, SimRobot().spec, EdgeConfig(), identity)
        session, contract = opener.open(found.key, found.capabilities, instruction="", contract=None)
        yield Asker(link, session, contract, replies)
        opener.close(session)
        presence.leave()


def draft_of(number: int, state: FloatArray, prefix: Prefix | None) -> RequestDraft:
    return RequestDraft(
        ticket=number,
        episode=0,
        step=7 * number,
        state=state,
        captured_ns=number,
        prefix=prefix,
        inference_delay=0 if prefix is None else 3,
        episode_start=number == 1,
        slack_ns=0,
        prefix_horizon=0 if prefix is None else 10,
    )


def expected_of(local: Policy[object], session: object, draft: RequestDraft, asked: Asked) -> ActionChunk:
    row: Row[object] = Row(
        session=session,
        observation=Observation(draft.state, asked.images, INSTRUCTION, draft.captured_ns),
        step=draft.step,
        prefix=draft.prefix,
        inference_delay=draft.inference_delay,
        prefix_horizon=draft.prefix_horizon,
        seed=asked.seed,
    )
    (expected,) = local.infer([row])
    assert isinstance(expected, ActionChunk)
    return expected


@pytest.mark.parametrize("has_prefix", [False, True])
@pytest.mark.parametrize("name", POLICIES)
def test_every_answer_is_what_the_policy_gives_here(rig: Rig, name: str, has_prefix: bool) -> None:
    target, _, options = POLICIES[name]
    local = load_policy(target, options=options)
    session = local.open_session()
    local.begin_episode(session)
    prefix: Prefix | None = None
    with asking(rig, name) as asker:
        for number in range(1, REQUESTS + 1):
            robot = SimRobot(seed=number)
            robot.connect()
            mapping = OrderMapping(robot.spec, local.spec)
            state = mapping.state_to_policy(robot.read_state())
            draft = draft_of(number, state, prefix if has_prefix else None)
            asked = Asked(mapping.images_to_policy(robot.draw()), seed=number << 40)
            model, actions = asker.ask(draft, asked)
            expected = expected_of(local, session, draft, asked)
            assert model.tobytes() == expected.model.tobytes()
            assert actions.tobytes() == expected.robot.tobytes()
            prefix = Prefix(model[7:27].copy(), actions[7:27].copy())
    local.close()
