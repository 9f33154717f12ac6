"""The test client of LeRobot's remote inference keeps the original's times and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from remote_client.admission import NotAdmittedError, Wishes
from remote_client.client import RemoteClient
from remote_client.engine_parts import Observed, Phase
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.contracts import APPEND, ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.control import (
    ControlAck,
    ControlOperation,
    ControlRequest,
    RemoteFault,
)
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import (
    FeatureKind,
    InferenceMode,
    RemoteCapabilities,
    RemoteFeature,
)
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace, every_session
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.transport.link import Declaration, Delivery, Query, Sample
from vagus.transport.memory import MemoryNetwork
from vagus.types import FloatArray

S, MS = 1_000_000_000, 1_000_000
INTERVAL_NS = 50 * MS
STEPS = 20
ACTION = RemoteFeature("action", (1,), "float32", FeatureKind.TENSOR, ("x",), "deg")
CAPABILITIES = RemoteCapabilities(
    modes=(InferenceMode.CHUNK, InferenceMode.RTC_GUIDED), prediction_steps=STEPS, execution_steps=STEPS,
    action_interval_s=0.05, features=(replace(ACTION, name="observation.state"),), action_feature=ACTION,
)  # fmt: skip
DEPLOYMENT = Deployment(
    name="arm", instance_id="i1", artifact_identity="sha256:a", semantics="deg", capabilities=CAPABILITIES,
    contracts=("chunk_alignment_v1", "chunk_alignment_v2"),
)  # fmt: skip
WISHES = Wishes(deployment="arm", semantics="deg")

Answer = Callable[[RemoteObservation, FloatArray], "RemoteActions | RemoteFault | None"]


def actions_to(asked: RemoteObservation, rows: FloatArray) -> RemoteActions:
    is_aligned = asked.observation_cursor is not None
    return RemoteActions(
        identity=asked.identity,
        canonical_actions=rows,
        cursor=asked.cursor if is_aligned else None,
        observation_cursor=asked.observation_cursor,
    )


def in_both_units(asked: RemoteObservation, rows: FloatArray) -> RemoteActions:
    return replace(actions_to(asked, rows), model_actions=rows)


@dataclass
class Arm:
    """An arm whose place is the number of actions executed, if each row is that for its commit."""

    done: list[tuple[int, float]] = field(default_factory=list)
    at: float = 0.0

    def observe(self, capabilities: RemoteCapabilities) -> FrameFeatures:
        return {"observation.state": np.array([self.at], np.float32)}

    def act(self, row: FloatArray | None, commit: int) -> None:
        if row is not None:
            self.at = float(row[0])
            self.done.append((commit, self.at))

    def asked(self, observed: Observed) -> None:
        pass

    def replied(self, actions: RemoteActions) -> None:
        pass


class Stage:
    """A client and a server of few lines on a network in memory; `model_ns` from a question to its answer."""

    def __init__(self, deployment: Deployment = DEPLOYMENT, wishes: Wishes = WISHES) -> None:
        self.network = MemoryNetwork()
        self.now_ns = 0
        self.model_ns = 60 * MS
        self.answer: Answer = actions_to
        self.deployment = deployment
        self.wishes = wishes
        self.seen: list[tuple[int, MessageHead, RemoteObservation]] = []
        self.controls: list[tuple[int, ControlOperation, int]] = []
        self.questions = 0
        self.is_acking = True
        self.ack_generation_off = 0
        self._due: list[tuple[int, Sample]] = []
        self.server = self.network.link("server")
        self.token = self._declare()
        self.arm = Arm()
        self.client = RemoteClient(
            self.network.link("client"),
            wishes,
            self.arm,
            task="fold",
            clock=lambda: self.now_ns,
            beside=lambda work: work(),
        )

    def _declare(self) -> Declaration:
        name, instance = self.deployment.name, self.deployment.instance_id
        self.server.serve(str(RemoteKey(RemotePlace.DESCRIBE, name)), self._describe)
        self.server.serve(str(RemoteKey(RemotePlace.OPEN, name, instance)), self._open)
        self.server.serve(every_session(RemotePlace.CONTROL, name, instance), self._control)
        self.server.subscribe(every_session(RemotePlace.OBSERVATION, name, instance), self._observe)
        self.server.subscribe(every_session(RemotePlace.LANGUAGE_REQUEST, name, instance), self._ask)
        return self.server.token(str(RemoteKey(RemotePlace.SERVER_ALIVE, name, instance)))

    def _describe(self, query: Query) -> None:
        head, _ = decode_message(query.payload)
        answer = replace(head.answered(MessageType.DESCRIPTOR), instance_id=self.deployment.instance_id)
        query.reply(encode_message(answer, self.deployment.to_wire()))

    def _open(self, query: Query) -> None:
        head, body = decode_message(query.payload)
        asked = OpenRequest.from_wire(body)
        accepted = AcceptedSession(self.deployment, asked.mode, asked.chunk_settings or APPEND)
        answer = replace(head.answered(MessageType.ACCEPTED), session_id="s1")
        query.reply(encode_message(answer, accepted.to_wire()))

    def _control(self, query: Query) -> None:
        head, body = decode_message(query.payload)
        operation = ControlRequest.from_wire(body).operation
        self.controls.append((self.now_ns // MS, operation, head.generation))
        if self.is_acking:
            ack = ControlAck(operation, head.generation + self.ack_generation_off)
            query.reply(encode_message(head.answered(MessageType.ACK), ack.to_wire()))
        else:
            query.drop()

    def _observe(self, sample: Sample) -> None:
        head, body = decode_message(sample.payload)
        asked = RemoteObservation.from_wire(body)
        self.seen.append((self.now_ns // MS, head, asked))
        state = asked.features["observation.state"]
        assert isinstance(state, np.ndarray)
        rows = (state + 1 + np.arange(STEPS, dtype=np.float32))[:, None].astype(np.float32)
        reply = self.answer(asked, rows)
        if reply is not None:
            self.send(head, reply, self.now_ns + self.model_ns)

    def _ask(self, sample: Sample) -> None:
        head, _ = decode_message(sample.payload)
        self.questions += 1
        fault = RemoteFault(ErrorCode.UNSUPPORTED, "no language")
        key = str(RemoteKey(RemotePlace.LANGUAGE_RESULT, "arm", "i1", "s1"))
        payload = encode_message(head.answered(MessageType.ERROR), fault.to_wire())
        self._due.append((self.now_ns, Sample(key, b"", payload)))

    def send(self, head: MessageHead, reply: RemoteActions | RemoteFault, at_ns: int) -> None:
        kind = MessageType.ACTION if isinstance(reply, RemoteActions) else MessageType.ERROR
        key = str(RemoteKey(RemotePlace.ACTION, "arm", "i1", head.session_id))
        self._due.append((at_ns, Sample(key, b"", encode_message(head.answered(kind), reply.to_wire()))))

    def run(self, seconds: float) -> None:
        """Let time pass; the client steps at 20 Hz, and reads what comes between."""
        end_ns = self.now_ns + round(seconds * S)
        while self.now_ns < end_ns and not self.client.engine.is_over:
            for at_ns, sample in [one for one in self._due if one[0] <= self.now_ns]:
                self._due.remove((at_ns, sample))
                self.server.publish(
                    sample.key, header=b"", payload=sample.payload, delivery=Delivery.OBSERVATION
                )
            if self.now_ns % INTERVAL_NS == 0:
                self.client.step()
            else:
                self.client._read(self.now_ns)
            self.now_ns += 10 * MS

    @property
    def requests(self) -> list[RemoteObservation]:
        return [asked for _, _, asked in self.seen]

    @property
    def fault(self) -> str:
        return self.client.engine.counts.fault


def started(wishes: Wishes = WISHES) -> Stage:
    stage = Stage(wishes=wishes)
    stage.client.connect()
    return stage


def test_requests_come_when_and_with_what_the_original_was_seen_to_send() -> None:
    stage = started()
    stage.run(2.0)
    assert [at_ms for at_ms, _, _ in stage.seen] == [0, 550, 1000, 1450, 1900]
    assert [(one.cursor, one.observation_cursor, one.delay) for one in stage.requests] == [
        (0, 0, 0), (10, 9, 2), (19, 18, 2), (28, 27, 2), (37, 36, 2),
    ]  # fmt: skip
    assert [one.sequence for one in stage.requests] == [1, 2, 3, 4, 5]
    assert [one.continuation_rows for one in stage.requests] == [0, 10, 10, 10, 10]
    second = stage.requests[1]
    assert second.canonical_continuation is not None
    assert second.canonical_continuation[0, 0] == 11.0
    assert second.model_continuation is not None
    assert np.array_equal(second.model_continuation, second.canonical_continuation)
    assert (stage.fault, stage.client.engine.counts.holds) == ("", 0)


def test_each_action_is_the_row_for_its_own_commit() -> None:
    stage = started()
    stage.run(5.0)
    assert stage.arm.done == [(commit, commit + 1.0) for commit in range(len(stage.arm.done))]
    assert len(stage.arm.done) > 90


def test_appended_chunks_follow_each_other_and_one_waits_at_most() -> None:
    stage = started(wishes=replace(WISHES, merge=ChunkMerge.APPEND))
    stage.answer = lambda asked, rows: actions_to(asked, rows + asked.continuation_rows)
    stage.run(5.0)
    assert stage.requests[1].observation_cursor is None
    assert [asked.continuation_rows for asked in stage.requests[1:4]] == [10, 10, 10]
    at = [at for _, at in stage.arm.done]
    assert at[:20] == [float(k) for k in range(1, 21)]
    assert (stage.fault, stage.client.engine.counts.holds) == ("", 0)


def test_in_rtc_the_rows_from_the_question_on_replace_those_that_are_there() -> None:
    stage = started(wishes=replace(WISHES, mode=InferenceMode.RTC_GUIDED))
    stage.answer = in_both_units
    stage.run(3.0)
    assert len(stage.arm.done) > 50
    assert stage.fault == ""
    assert [at for _, at in stage.arm.done[:10]] == [float(k) for k in range(1, 11)]
    stage.model_ns = 1100 * MS
    stage.run(5.0)
    assert "rows are past" in stage.fault or "no rows" in stage.fault


def test_silence_ends_the_run_one_second_after_the_last_row() -> None:
    stage = started()
    stage.run(2.0)
    stage.answer = lambda *_: None
    asked = len(stage.seen)
    stage.run(5.0)
    assert stage.fault == "no rows for 1 s"
    held = [control for control in stage.controls if control[1] is ControlOperation.INVALIDATE]
    assert len(held) == 1
    assert stage.client.engine.counts.holds == 1
    assert len(stage.seen) == asked + 2  # one while it had rows, one after the hold
    assert 1000 <= stage.now_ns // MS - held[0][0] <= 1100


@pytest.mark.parametrize(("outage_s", "survives"), [(0.9, True), (1.2, False)])
def test_a_lost_reply_costs_a_hold_and_two_cost_the_run(outage_s: float, survives: bool) -> None:
    stage = started()
    stage.run(2.0)
    stage.answer = lambda *_: None
    stage.run(outage_s)
    stage.answer = actions_to
    stage.run(3.0)
    assert (stage.fault == "") is survives
    assert stage.client.engine.counts.holds == 1
    if survives:
        assert stage.client.engine.counts.longest_hold_s < 0.3
        assert stage.seen[-1][1].generation == 1


@pytest.mark.parametrize(("outage_s", "survives"), [(1.7, True), (2.2, False)])
def test_an_observation_that_is_kept_and_answered_late_saves_longer(outage_s: float, survives: bool) -> None:
    stage = started()
    stage.run(2.0)
    back_ns = stage.now_ns + round(outage_s * S)
    kept: list[Callable[[], None]] = []

    def keep(asked: RemoteObservation, rows: FloatArray) -> None:
        kept[:] = [lambda head=stage.seen[-1][1]: stage.send(head, actions_to(asked, rows), back_ns)]  # type: ignore[misc]

    stage.answer = keep
    stage.run(outage_s)
    stage.answer = actions_to
    kept[0]()
    stage.run(3.0)
    assert (stage.fault == "") is survives


def test_rows_made_of_its_own_continuation_bridge_eight_seconds() -> None:
    stage = started()
    stage.run(2.0)

    def hold(asked: RemoteObservation, rows: FloatArray) -> RemoteActions:
        held = asked.canonical_continuation
        assert held is not None
        assert asked.observation_cursor is not None
        led = asked.cursor - asked.observation_cursor
        places = [min(max(0, k - led), len(held) - 1) for k in range(STEPS)]
        return actions_to(asked, held[places])

    stage.answer = hold
    stage.run(8.0)
    stage.answer = actions_to
    stage.run(2.0)
    assert (stage.fault, stage.client.engine.counts.holds) == ("", 0)


def test_any_error_to_an_observation_ends_the_run_at_once() -> None:
    stage = started()
    stage.run(1.0)
    stage.answer = lambda *_: RemoteFault(ErrorCode.BUSY, "later")
    stage.run(1.0)
    assert "BUSY" in stage.fault


def spoiled(**changes: object) -> Answer:
    return lambda asked, rows: replace(actions_to(asked, rows), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda asked, rows: actions_to(asked, rows[:-1]), "rows, wanted"),
        (lambda asked, rows: actions_to(asked, np.repeat(rows, 2, axis=1)), "rows, wanted"),
        (spoiled(cursor=3, observation_cursor=3), "cursors"),
        (spoiled(cursor=None, observation_cursor=None), "cursors"),
        (in_both_units, "rows of the model"),
        (
            lambda asked, rows: replace(
                actions_to(asked, rows), identity=replace(asked.identity, capture_time_s=7.5)
            ),
            "identity",
        ),
    ],
)
def test_a_reply_that_is_not_exactly_what_was_agreed_ends_the_run(answer: Answer, word: str) -> None:
    stage = started()
    stage.run(0.5)
    stage.answer = answer
    stage.run(1.0)
    assert "bad reply" in stage.fault
    assert word in stage.fault


def test_replies_with_other_ids_or_an_old_generation_are_nothing_and_doubles_too() -> None:
    stage = started()
    stage.run(0.5)
    _, head, asked = stage.seen[0]
    rows = np.full((STEPS, 1), 99.0, np.float32)
    for other in (head, replace(head, request_id="other"), replace(head, generation=5)):
        stage.send(other, actions_to(asked, rows), stage.now_ns)
    stage.run(2.0)
    assert stage.fault == ""
    assert all(at < 99.0 for _, at in stage.arm.done)


def test_more_than_four_replies_unread_end_the_run() -> None:
    stage = started()
    stage.run(0.5)
    _, head, asked = stage.seen[0]
    for _ in range(5):
        stage.send(head, actions_to(asked, np.zeros((STEPS, 1), np.float32)), stage.now_ns)
    stage.run(0.5)
    assert "unread" in stage.fault


def test_a_reply_all_of_whose_rows_are_past_is_no_fault() -> None:
    stage = started()
    stage.run(0.5)
    stage.model_ns = 1010 * MS
    stage.run(1.2)
    assert stage.client.engine.counts.holds == 1
    assert stage.fault == ""


def test_the_first_action_is_waited_for_as_long_as_a_request() -> None:
    stage = started()
    stage.answer = lambda *_: None
    stage.run(20.0)
    assert stage.fault == "no answer to a request for 5 s"


def test_a_server_whose_token_went_ends_the_run_when_the_rows_are_over() -> None:
    stage = started()
    stage.run(2.0)
    stage.token.undeclare()
    stage.server.token(str(RemoteKey(RemotePlace.SERVER_ALIVE, "arm", "i1")))
    seen = len(stage.seen)
    stage.run(5.0)
    assert stage.fault == "the server is gone"
    assert len(stage.seen) == seen
    assert stage.now_ns < 3200 * MS
    assert not [one for one in stage.controls if one[1] is ControlOperation.INVALIDATE]


@pytest.mark.parametrize(("is_acking", "off"), [(False, 0), (True, 1)])
def test_a_control_without_its_answer_ends_the_run(is_acking: bool, off: int) -> None:
    stage = started()
    stage.run(1.0)
    stage.is_acking, stage.ack_generation_off = is_acking, off
    stage.client.engine.reset(stage.now_ns)
    stage.run(1.0)
    assert "without an answer" in stage.fault or "wrong ack" in stage.fault


def test_reset_pause_and_a_new_task_cost_a_moment_without_motion() -> None:
    stage = started()
    stage.run(1.0)
    engine = stage.client.engine
    engine.reset(stage.now_ns)
    stage.run(1.0)
    assert stage.controls[-1][1:] == (ControlOperation.RESET, 1)
    assert next(one.cursor for _, head, one in stage.seen if head.generation == 1) == 0
    engine.pause(stage.now_ns)
    stage.run(20.0)
    assert engine.phase is Phase.PAUSED
    engine.resume(stage.now_ns)
    stage.run(1.0)
    assert stage.seen[-1][1].generation == 2
    engine.set_task("unfold", stage.now_ns)
    stage.run(1.0)
    assert (stage.requests[-1].identity.task, stage.requests[-1].identity.task_version) == ("unfold", 1)
    assert (stage.fault, engine.counts.holds) == ("", 0)


def test_a_question_that_is_not_supported_does_no_harm() -> None:
    stage = started()
    stage.run(1.0)
    stage.client.ask("what is it?")
    stage.run(1.0)
    done = len(stage.arm.done)
    stage.run(1.0)
    assert (stage.client.answers, stage.questions, stage.fault) == (["unsupported"], 1, "")
    assert len(stage.arm.done) == done + 20


def test_a_close_is_sent_and_nothing_else_once_the_server_is_gone() -> None:
    stage = started()
    stage.run(1.0)
    stage.client.close()
    assert stage.controls[-1][1] is ControlOperation.CLOSE
    stage.client.engine.is_served = False
    controls = len(stage.controls)
    stage.client.close()
    assert len(stage.controls) == controls


@pytest.mark.parametrize(
    ("deployment", "wishes", "word"),
    [
        (DEPLOYMENT, replace(WISHES, semantics="rad"), "semantics"),
        (DEPLOYMENT, replace(WISHES, rate_hz=30.0), "action_interval"),
        (DEPLOYMENT, replace(WISHES, mode=InferenceMode.RTC_TRAINED), "mode"),
        (replace(DEPLOYMENT, is_ready=False), WISHES, "ready"),
        (replace(DEPLOYMENT, contracts=("chunk_alignment_v1",)), WISHES, "contracts"),
        (DEPLOYMENT, replace(WISHES, instance_id="i2"), "0 instances"),
    ],
)
def test_a_deployment_that_does_not_fit_is_not_opened(
    deployment: Deployment, wishes: Wishes, word: str
) -> None:
    with pytest.raises(NotAdmittedError, match=word):
        Stage(deployment, wishes).client.connect()


def test_two_instances_are_refused_unless_one_is_named() -> None:
    stage = Stage()
    stage.server.serve(str(RemoteKey(RemotePlace.DESCRIBE, "arm")), other_instance)
    with pytest.raises(NotAdmittedError, match="2 instances"):
        stage.client.connect()


def other_instance(query: Query) -> None:
    head, _ = decode_message(query.payload)
    other = replace(DEPLOYMENT, instance_id="i2")
    answer = replace(head.answered(MessageType.DESCRIPTOR), instance_id="i2")
    query.reply(encode_message(answer, other.to_wire()))


def test_generation_b_states_how_it_blends() -> None:
    stage = started(wishes=replace(WISHES, is_generation_b=True))
    terms = stage.client.engine.terms
    assert terms.chunk_settings.blend is not None
    stage.run(2.0)
    assert (stage.fault, len(stage.seen)) == ("", 5)
