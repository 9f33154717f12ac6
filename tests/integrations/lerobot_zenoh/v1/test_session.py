"""One client's session: what it is told, what it is never told, and what it gets while the policy is late."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vagus.errors import PolicyError
from vagus.integrations.lerobot_zenoh.v1.alignment import reply_plan
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.contracts import APPEND, ChunkMerge, ChunkSettings
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
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules, hold_of
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.pictures import picture_of
from vagus.integrations.lerobot_zenoh.v1.session import ABSENCE_NS, ClientSession, SessionStep
from vagus.integrations.lerobot_zenoh.v1.session_messages import ClientState, SentMessage, SessionEffect

FOLDER = Path(__file__).parent / "golden"
MS, S = 1_000_000, 1_000_000_000
BENCH = Deployment.from_wire(decode_message((FOLDER / "01_describe_s2c.bin").read_bytes())[1])
RTC = Deployment.from_wire(decode_message((FOLDER / "36_descriptor_rtc_guided_s2c.bin").read_bytes())[1])
ALIGNED = AcceptedSession(BENCH, InferenceMode.CHUNK, ChunkSettings(ChunkMerge.ALIGNED))
GUIDED = AcceptedSession(RTC, InferenceMode.RTC_GUIDED, APPEND)
TRAINED = AcceptedSession(
    replace(
        RTC,
        capabilities=replace(RTC.capabilities, modes=(InferenceMode.RTC_TRAINED,), training_max_delay=3),
    ),
    InferenceMode.RTC_TRAINED,
    APPEND,
)
RULES = HoldRules(max_hold_ns=8 * S, margin_ns=50 * MS, patience_ns=20 * MS)
BY_STATE = replace(RULES, is_state_position=True)
CHUNK = np.arange(8, dtype=np.float32).reshape(4, 2)
FRONT = picture_of(np.zeros((16, 16, 3), np.uint8))


def opened(terms: AcceptedSession = ALIGNED, rules: HoldRules = RULES) -> ClientSession:
    return ClientSession(session_id="s1", terms=terms, rules=rules, absent_since_ns=None)


def head(
    kind: MessageType = MessageType.OBSERVATION,
    *,
    generation: int = 0,
    request: str = "r1",
    session: str = "s1",
    instance: str = BENCH.instance_id,
) -> MessageHead:
    return MessageHead(kind, instance, session, generation, request)


def observed(sequence: int = 1, rows: int = 0, **changed: object) -> RemoteObservation:
    continuation = np.array([[row, -row] for row in range(rows)], np.float32) if rows else None
    whole: dict[str, object] = {
        "sequence": sequence,
        "identity": FrameIdentity(BENCH.artifact_identity, f"o{sequence}", 1.5, "pick", 0),
        "features": {
            "observation.state": np.array([5.0, 6.0], np.float32),
            "observation.images.front": FRONT,
        },
        "model_continuation": continuation,
        "canonical_continuation": continuation,
        "cursor": 1,
        "observation_cursor": 0,
        **changed,
    }
    return RemoteObservation(**whole)  # type: ignore[arg-type]


def control(operation: ControlOperation, generation: int) -> tuple[MessageHead, ControlRequest]:
    return head(MessageType.CONTROL, generation=generation, request="c"), ControlRequest(operation)


def sent(step: SessionStep) -> SentMessage:
    assert step.sent is not None
    encode_message(step.sent.head, step.sent.body.to_wire())  # everything sent can be written
    return step.sent


def code(step: SessionStep) -> str:
    body = sent(step).body
    assert isinstance(body, RemoteFault)
    return body.code.value


def actions(step: SessionStep) -> RemoteActions:
    body = sent(step).body
    assert isinstance(body, RemoteActions)
    return body


def test_an_observation_is_asked_and_its_answer_repeats_what_it_must() -> None:
    asked = opened().observe(head(), observed(rows=3), now_ns=0)
    assert (asked.sent, asked.effects) == (None, (SessionEffect.ASK,))
    step = asked.session.answered("r1", CHUNK, 0)
    answer = actions(step)
    assert sent(step).head == head(MessageType.ACTION)
    assert sent(step).place is RemotePlace.ACTION
    assert answer.identity == observed().identity
    assert (answer.cursor, answer.observation_cursor, answer.model_actions) == (1, 0, None)
    np.testing.assert_array_equal(answer.canonical_actions, CHUNK[:3])
    assert step.session.answered("r1", CHUNK, 0).sent is None


def test_a_client_that_was_answered_slowly_once_guesses_a_long_delay_and_goes_on() -> None:
    step = opened().observe(head(), observed(rows=3, delay=60), now_ns=0)
    assert (step.sent, step.effects) == (None, (SessionEffect.ASK,))
    assert step.session.pending is not None
    assert step.session.pending.plan.inference_delay == 4  # the row before the question, and all that it has


def test_a_newer_one_takes_the_place_of_one_without_an_answer() -> None:
    session = opened().observe(head(), observed(), now_ns=0).session
    step = session.observe(head(request="r2"), observed(2), now_ns=0)
    assert (step.sent, step.effects) == (None, (SessionEffect.ASK,))
    assert step.session.answered("r1", CHUNK, 0).sent is None
    assert step.session.answered("r2", CHUNK, 0).sent is not None


@pytest.mark.parametrize(
    ("where", "what", "wanted"),
    [
        (head(generation=1, request="r2"), observed(2), "stale"),
        (head(request="r2"), observed(1), "stale"),
        (head(request="r2", session="s2"), observed(2), "stale"),
        (head(request="r2", instance="other"), observed(2), "stale"),
        (head(request="r2"), observed(2, observation_cursor=None), "malformed"),
        (head(request="r2"), observed(2, rows=5), "malformed"),
        (head(request="r2"), observed(2, features={}), "incompatible"),
        (head(request="r2"), observed(2, identity=FrameIdentity("other", "o", 0.0, "", 0)), "incompatible"),
    ],
)
def test_a_wrong_observation_is_told_so_and_changes_nothing(
    where: MessageHead, what: RemoteObservation, wanted: str
) -> None:
    session = opened().observe(head(), observed(), now_ns=0).session.answered("r1", CHUNK, 0).session
    step = session.observe(where, what, now_ns=0)
    assert code(step) == wanted
    assert step.session is session


def test_the_last_128_requests_are_remembered() -> None:
    session = opened()
    for sequence in range(1, 131):
        session = session.observe(head(request=f"r{sequence}"), observed(sequence), now_ns=0).session
        session = session.answered(f"r{sequence}", CHUNK, 0).session
    again = session.observe(head(request="r3"), observed(131), now_ns=0)
    assert (again.sent, again.effects, again.session) == (None, (), session)
    assert session.observe(head(request="r2"), observed(131), now_ns=0).effects == (SessionEffect.ASK,)


def test_an_observation_that_a_control_overtook_gets_nothing() -> None:
    session = opened().control(*control(ControlOperation.INVALIDATE, 1)).session
    late = session.observe(head(generation=0), observed(), now_ns=0)
    assert (late.sent, late.effects, late.session) == (None, (), session)


@pytest.mark.parametrize(
    ("operation", "effect"),
    [
        (ControlOperation.RESET, SessionEffect.RESET_EPISODE),
        (ControlOperation.INVALIDATE, SessionEffect.DROP_MOTION),
    ],
)
def test_a_newer_generation_drops_what_was_asked_and_is_acked_at_once(
    operation: ControlOperation, effect: SessionEffect
) -> None:
    session = opened().observe(head(), observed(rows=3), now_ns=0).session
    step = session.control(*control(operation, 2))
    assert sent(step).body == ControlAck(operation, 2)
    assert (step.effects, step.session.generation, step.session.due_ns) == ((effect,), 2, None)
    assert step.session.answered("r1", CHUNK, 0).sent is None
    assert code(step.session.control(*control(operation, 1))) == "stale"
    equal = step.session.control(*control(operation, 2))
    assert (sent(equal).body, equal.effects) == (ControlAck(operation, 2), ())


def test_the_first_reset_is_acked_and_changes_nothing() -> None:
    session = opened()
    step = session.control(*control(ControlOperation.RESET, 0))
    assert (sent(step).body, step.effects) == (ControlAck(ControlOperation.RESET, 0), ())
    assert step.session is session


def test_a_status_tells_and_changes_nothing() -> None:
    session = opened().observe(head(), observed(), now_ns=0).session
    step = session.control(*control(ControlOperation.STATUS, 7))
    body = sent(step).body
    assert isinstance(body, ControlAck)
    assert body.owner is not None
    assert (body.applied_generation, body.owner.is_inference_pending, step.session) == (0, True, session)


def test_a_close_is_granted_in_any_generation_and_ends_all() -> None:
    session = opened().control(*control(ControlOperation.RESET, 5)).session
    step = session.control(*control(ControlOperation.CLOSE, 3))
    assert sent(step).body == ControlAck(ControlOperation.CLOSE, 5)
    assert (step.effects, step.session.state, step.session.due_ns) == (
        (SessionEffect.END,), ClientState.CLOSED, None,
    )  # fmt: skip
    closed = step.session
    assert code(closed.control(*control(ControlOperation.RESET, 9))) == "stale"
    assert code(closed.observe(head(generation=5), observed(), now_ns=0)) == "stale"
    assert closed.overdue(99 * S).effects == ()


def test_a_control_of_another_session_is_stale() -> None:
    where = head(MessageType.CONTROL, session="s2")
    assert code(opened().control(where, ControlRequest(ControlOperation.CLOSE))) == "stale"


def test_a_question_is_unsupported_and_ends_nothing() -> None:
    step = opened().ask(head(MessageType.LANGUAGE_REQUEST, request="q"), 4)
    assert (code(step), sent(step).place) == ("unsupported", RemotePlace.LANGUAGE_RESULT)
    assert step.session.last_sequence == 4
    assert step.session.observe(head(), observed(5), now_ns=0).effects == (SessionEffect.ASK,)
    assert step.session.ask(head(MessageType.LANGUAGE_REQUEST, request="q"), 2).session.last_sequence == 4


def test_while_the_policy_is_late_the_client_goes_on_and_stops_at_its_last_row() -> None:
    session = opened().observe(head(), observed(rows=4), now_ns=S).session
    due_ns = S + (3 - 1) * 50 * MS - 50 * MS  # of the three rows of a reply the first is past already
    assert session.due_ns == due_ns
    assert session.overdue(due_ns - 1).sent is None
    step = session.overdue(due_ns)
    assert sent(step).is_hold
    assert actions(step).canonical_actions[:, 0].tolist() == [0, 0, 1]
    assert step.session.answered("r1", CHUNK, 0).sent is None


def test_a_client_with_little_left_still_gets_its_answer_if_it_comes_soon() -> None:
    assert opened().observe(head(), observed(rows=1), now_ns=S).session.due_ns == S + 20 * MS


def test_without_rows_the_client_waits_unless_its_state_is_a_position() -> None:
    assert opened().observe(head(), observed(), now_ns=0).session.due_ns is None
    session = opened(rules=BY_STATE).observe(head(), observed(), now_ns=0).session
    assert session.due_ns == 70 * MS
    held = actions(session.overdue(70 * MS))
    assert held.canonical_actions.tolist() == [[5.0, 6.0]] * 3


def test_what_does_not_keep_a_robot_where_it_is_is_never_repeated() -> None:
    rules = replace(BY_STATE, is_holdable=False)
    for rows in (0, 3):
        session = opened(rules=rules).observe(head(), observed(rows=rows), now_ns=0).session
        assert session.due_ns is None
        assert session.overdue(60 * S).sent is None
    same = np.ones((3, 2), np.float32)  # a steady speed is no stand
    asked = observed(canonical_continuation=same, model_continuation=same)
    session = opened(rules=rules).observe(head(), asked, now_ns=0).session
    np.testing.assert_array_equal(actions(session.answered("r1", CHUNK, S)).canonical_actions, CHUNK[:3])


def test_where_nothing_is_known_nothing_is_made_up() -> None:
    plan = reply_plan(observed(), InferenceMode.CHUNK, is_aligned=True)
    with pytest.raises(PolicyError, match="got neither"):
        hold_of(observed(), plan, ALIGNED, RULES)


def test_a_state_in_another_order_is_held_by_name_and_in_another_unit_not_at_all() -> None:
    def due_ns(**changed: object) -> tuple[int | None, list[float] | None]:
        state = replace(BENCH.capabilities.features[0], **changed)  # type: ignore[arg-type]
        capabilities = replace(BENCH.capabilities, features=(state, BENCH.capabilities.features[1]))
        terms = replace(ALIGNED, deployment=replace(BENCH, capabilities=capabilities))
        numbered = np.arange(state.shape[0], dtype=np.float32)
        features = {state.name: numbered, "observation.images.front": FRONT}
        session = opened(terms, BY_STATE).observe(head(), observed(features=features), now_ns=0).session
        if session.due_ns is None:
            return None, None
        return session.due_ns, actions(session.overdue(session.due_ns)).canonical_actions[0].tolist()

    assert due_ns(names=("j1.pos", "x", "j0.pos"), shape=(3,)) == (70 * MS, [2.0, 0.0])
    assert due_ns(names=("j0.pos", "j2.pos")) == (None, None)
    assert due_ns(semantics="deg") == (None, None)
    assert due_ns(names=()) == (None, None)
    assert due_ns(name="observation.joints") == (None, None)


def test_in_rtc_a_hold_has_the_rows_of_the_model_too() -> None:
    where = head(instance=RTC.instance_id)
    canonical = np.array([[1, 2], [3, 4]], np.float32)
    model = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    asked = observed(
        canonical_continuation=canonical, model_continuation=model, observation_cursor=None,
        identity=replace(observed().identity, artifact_identity=RTC.artifact_identity),
    )  # fmt: skip
    session = opened(GUIDED).observe(where, asked, now_ns=0).session
    assert session.due_ns == 50 * MS
    step = session.overdue(50 * MS)
    held = actions(step)
    assert held.model_actions is not None
    assert held.canonical_actions[:, 0].tolist() == [1, 3, 3, 3, 3, 3]
    assert held.model_actions[:, 0].tolist() == [1, 4, 4, 4, 4, 4]
    assert (held.cursor, held.observation_cursor) == (None, None)
    nothing = replace(asked, canonical_continuation=None, model_continuation=None)
    assert opened(GUIDED, BY_STATE).observe(where, nothing, now_ns=0).session.due_ns is None
    with pytest.raises(PolicyError, match="model's units"):
        session.answered("r1", CHUNK, 0)
    answer = actions(session.answered("r1", CHUNK, 0, model_chunk=np.zeros((4, 3), np.float32)))
    assert answer.model_actions is not None
    assert (answer.canonical_actions.shape, answer.model_actions.shape) == ((6, 2), (6, 3))
    late = replace(asked, delay=1)
    assert opened(TRAINED).observe(where, late, now_ns=0).session.due_ns == 0


def test_an_answer_that_must_not_be_commanded_is_the_policy_s_fault() -> None:
    session = opened().observe(head(), observed(rows=3), now_ns=0).session
    for chunk in (CHUNK[:, :1], CHUNK[:0], CHUNK[0], np.full((4, 2), np.nan, np.float32)):
        with pytest.raises(PolicyError, match="wanted finite rows of 2"):
            session.answered("r1", chunk, 0)
    assert actions(session.answered("r1", CHUNK, 0)).canonical_actions.shape == (3, 2)


def test_a_client_is_held_for_so_long_and_no_longer() -> None:
    session, now_ns, holds = opened(), 0, 0
    for sequence in range(1, 1000):
        session = session.observe(head(request=f"r{sequence}"), observed(sequence, rows=3), now_ns).session
        assert session.due_ns is not None
        now_ns = session.due_ns
        step = session.overdue(now_ns)
        session = step.session
        if not sent(step).is_hold:
            break
        holds += 1
    assert (code(step), step.effects, session.state) == (
        "timeout", (SessionEffect.DROP_MOTION,), ClientState.FAULTED,
    )  # fmt: skip
    assert 8 * S <= now_ns <= 8 * S + 200 * MS
    assert holds == 160
    assert code(session.observe(head(request="x"), observed(5000), now_ns)) == "stale"
    assert sent(session.control(*control(ControlOperation.RESET, 1))).body == ControlAck(
        ControlOperation.RESET, 1
    )
    assert session.control(*control(ControlOperation.RESET, 1)).session.state is ClientState.FAULTED


def test_who_left_loses_the_session_after_ten_seconds() -> None:
    session = replace(opened(), absent_since_ns=0)
    assert session.due_ns == ABSENCE_NS
    assert session.appeared().session.due_ns is None
    away = session.appeared().session.vanished(5 * S).session.vanished(9 * S).session
    assert away.due_ns == 15 * S
    assert away.overdue(15 * S - 1).effects == ()
    gone = away.overdue(15 * S)
    assert (gone.effects, gone.session.state, gone.sent) == ((SessionEffect.END,), ClientState.CLOSED, None)


def test_another_process_takes_a_session_over_in_the_middle() -> None:
    where, asked = head(generation=4, request="r9"), observed(17, rows=2)
    session = ClientSession.resumed(where, asked, ALIGNED, RULES)
    step = session.observe(where, asked, now_ns=0)
    assert (step.effects, step.session.generation) == ((SessionEffect.ASK,), 4)
    assert code(step.session.control(*control(ControlOperation.RESET, 3))) == "stale"


def test_a_generation_that_another_process_acknowledged_ends_no_run() -> None:
    where, asked = head(generation=4, request="r9"), observed(17)
    session = ClientSession.resumed(where, asked, ALIGNED, RULES).observe(where, asked, now_ns=0).session
    late = session.observe(head(generation=6, request="r9b"), observed(17), now_ns=0)
    assert (code(late), late.session) == ("stale", session)
    newer = session.observe(head(generation=6, request="r10"), observed(18), now_ns=0)
    assert newer.effects == (SessionEffect.RESET_EPISODE, SessionEffect.ASK)
    assert newer.session.answered("r9", CHUNK, 0).sent is None
    assert newer.session.answered("r10", CHUNK, 0).sent is not None
    for known in (4, 5):  # from the first control on all of them come here
        told = session.control(*control(ControlOperation.INVALIDATE, known)).session
        assert code(told.observe(head(generation=6, request="r10"), observed(18), now_ns=0)) == "stale"


class OneClient(RuleBasedStateMachine):
    """A client that keeps the rules, another one that does not, a policy that is late or never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.session = opened(rules=BY_STATE)
        self.now_ns = 0
        self.sequence = 0
        self.generation = 0
        self.waiting: MessageHead | None = None
        self.held_from_ns: int | None = None

    def take(self, step: SessionStep) -> SessionStep:
        message = step.sent
        before = self.session
        self.session = step.session
        assert self.session.generation >= before.generation
        if message is not None:
            encode_message(message.head, message.body.to_wire())
        if message is not None and isinstance(message.body, RemoteActions):
            assert self.waiting is not None
            assert message.head == self.waiting.answered(MessageType.ACTION)
            assert message.head.generation == self.session.generation
            assert message.body.canonical_actions.shape == (3, 2)
            self.waiting = None
        return step

    @precondition(lambda self: self.waiting is None and self.session.state is ClientState.OPEN)
    @rule(rows=st.integers(0, 4), elapsed=st.integers(0, 3))
    def ask_for_actions(self, rows: int, elapsed: int) -> None:
        self.sequence += 1
        where = head(generation=self.generation, request=f"r{self.sequence}")
        asked = observed(self.sequence, rows, cursor=elapsed, observation_cursor=0)
        assert self.take(self.session.observe(where, asked, self.now_ns)).effects == (SessionEffect.ASK,)
        self.waiting = where

    @rule(generation=st.integers(0, 3), sequence=st.integers(0, 3))
    def break_a_rule(self, generation: int, sequence: int) -> None:
        before = self.session
        where = head(generation=self.generation + generation, request="another")
        asked = observed(max(0, self.sequence - sequence), observation_cursor=None)
        step = self.session.observe(where, asked, self.now_ns)
        assert code(step) in ("stale", "malformed")
        assert step.session is before

    @rule(
        operation=st.sampled_from([ControlOperation.RESET, ControlOperation.INVALIDATE]), up=st.integers(0, 2)
    )
    def new_generation(self, operation: ControlOperation, up: int) -> None:
        where, request = control(operation, self.generation + up)
        step = self.session.control(where, request)
        if self.session.state is ClientState.CLOSED:
            assert code(step) == "stale"
            return
        self.take(step)
        self.generation += up
        assert sent(step).body == ControlAck(operation, self.generation)
        if up:
            self.waiting, self.held_from_ns = None, None

    @rule(is_mine=st.booleans(), length=st.integers(1, 9))
    def the_policy_answers(self, is_mine: bool, length: int) -> None:
        request = self.waiting.request_id if is_mine and self.waiting else "r0"
        is_awaited = self.waiting is not None and request == self.waiting.request_id
        step = self.take(self.session.answered(request, np.ones((length, 2), np.float32), self.now_ns))
        assert (step.sent is not None) is is_awaited
        if is_awaited:
            self.held_from_ns = None

    @rule(passed_ms=st.integers(0, 3000), is_until_due=st.booleans())
    def time_passes(self, passed_ms: int, is_until_due: bool) -> None:
        due_ns = self.session.due_ns
        self.now_ns = max(self.now_ns, due_ns if is_until_due and due_ns else self.now_ns + passed_ms * MS)
        step = self.take(self.session.overdue(self.now_ns))
        if due_ns is None or self.now_ns < due_ns:
            assert (step.sent, step.effects) == (None, ())
        if step.sent is None:
            return
        if step.sent.is_hold:
            self.held_from_ns = self.now_ns if self.held_from_ns is None else self.held_from_ns
            assert self.now_ns - self.held_from_ns < RULES.max_hold_ns
            return
        assert self.held_from_ns is not None
        assert self.now_ns - self.held_from_ns >= RULES.max_hold_ns
        assert code(step) == "timeout"
        self.waiting = None

    @rule(is_there=st.booleans())
    def the_token_comes_and_goes(self, is_there: bool) -> None:
        self.take(self.session.appeared() if is_there else self.session.vanished(self.now_ns))

    @rule()
    def ask_a_question(self) -> None:
        self.sequence += 1
        step = self.take(self.session.ask(head(MessageType.LANGUAGE_REQUEST, request="q"), self.sequence))
        assert code(step) == ErrorCode.UNSUPPORTED.value

    @invariant()
    def whoever_waits_gets_something_or_is_closed(self) -> None:
        if self.session.state is ClientState.CLOSED:
            assert self.session.due_ns is None
            self.waiting = None
        if self.waiting is not None:
            assert self.session.pending is not None
            assert self.session.due_ns is not None


OneClient.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOneClient = OneClient.TestCase
