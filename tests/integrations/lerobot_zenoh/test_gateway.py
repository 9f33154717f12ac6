"""A gateway for remote inference in front of a policy: what clients are told, asked, sent, and spared."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import vagus
from integrations.lerobot_zenoh.rig import (
    DEGREE,
    FAILS,
    FRONT,
    HORIZON,
    JOINTS,
    PATIENCE_S,
    PROFILE,
    WAITS,
    Climbing,
    HandClock,
    RawRobot,
    Stand,
    listener_on,
    serving,
    standing,
    wait_until,
)
from vagus.errors import LinkError, SpecError
from vagus.features import ActionKind
from vagus.gateways.profile import ActionReference
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkBlend, ChunkMerge, ChunkSettings
from vagus.integrations.lerobot_zenoh.v1.envelope import (
    MessageHead,
    MessageType,
    decode_message,
    encode_message,
)
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture, picture_of
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.transport.memory import MemoryNetwork

CHUNK = {"chunk_settings": None, "required_capabilities": ()}
"""An open that appends."""
GUIDED = {**CHUNK, "mode": InferenceMode.RTC_GUIDED, "required_capabilities": ("rtc_model_space_v1",)}


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as standing_here:
        yield standing_here


def climbing(first: float, count: int = HORIZON) -> np.ndarray:
    """Return what the policy answers to a state of (first, first) degrees."""
    return np.repeat(first + np.arange(count, dtype=np.float32)[:, None], 2, axis=1)


def test_a_client_is_told_the_policy_and_gets_its_rows(stand: Stand) -> None:
    robot = stand.robot()
    told = robot.describe()
    assert (told.semantics, told.is_ready) == ("two joints in degrees", True)
    robot.admit()
    head = robot.observe((3.0, 3.0))
    answer = robot.actions()
    np.testing.assert_allclose(answer.canonical_actions, climbing(3.0), rtol=1e-5)
    assert (answer.identity.observation_id, answer.identity.task) == ("o1", "climb")
    assert (answer.model_actions, answer.cursor, answer.observation_cursor) == (None, 0, 0)
    assert head.request_id == "r1"
    (row,) = stand.policy.rows
    assert row.observation.instruction == "climb"
    np.testing.assert_allclose(row.observation.images["front"], FRONT, atol=2)
    assert robot.control("close")[0].kind is MessageType.ACK
    wait_until(lambda: stand.gateway.metrics.peers == 0)


def test_the_same_request_opens_one_session(stand: Stand) -> None:
    robot = stand.robot()
    robot.describe()
    first, again, other = (robot.open_as(request)[0].session_id for request in ("a", "a", "b"))
    assert first == again
    assert first != other
    assert stand.gateway.metrics.peers == 2


def test_two_robots_that_name_their_requests_alike_have_a_session_each(stand: Stand) -> None:
    one = stand.robot()
    one.describe()
    one.session = one.open_as("open-1")[0].session_id
    one.show_token()
    wanted = one.wanted().to_wire()
    found = {one.session, stand.robot().open_as("open-1")[0].session_id}
    unnamed = MessageHead(MessageType.OPEN, one.describe().instance_id)
    for _ in range(2):
        (answer,) = one.link.query(
            one.key(RemotePlace.OPEN), encode_message(unnamed, wanted), timeout_s=PATIENCE_S
        )
        found.add(decode_message(answer)[0].session_id)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"semantics": "radians"}, "incompatible", "semantics: wanted two joints in degrees, got radians"),
        ({"action_interval_s": 0.1}, "incompatible", "action_interval"),
        ({"expected_artifact": "sha256:00"}, "incompatible", "artifact"),
        ({"mode": InferenceMode.RTC_TRAINED}, "unsupported", "wanted chunk, rtc_guided, got rtc_trained"),
        ({"required_capabilities": ("magic",)}, "unsupported", "magic"),
    ],
)
def test_who_does_not_fit_is_refused_with_a_sentence(
    stand: Stand, changes: dict[str, object], code: str, said: str
) -> None:
    head, body = stand.robot().open(**changes)
    assert (head.kind, body["code"]) == (MessageType.ERROR, code)
    assert said in str(body["message"])
    assert stand.events()[f"refused_{code}"] == 1
    assert stand.gateway.metrics.peers == 0


def test_an_instance_of_another_boot_is_stale(stand: Stand) -> None:
    robot = stand.robot()
    wanted = robot.wanted().to_wire()
    key = robot.key(RemotePlace.OPEN)
    head = MessageHead(MessageType.OPEN, "another", "", 0, "q")
    (answer,) = robot.link.query(key, encode_message(head, wanted), timeout_s=PATIENCE_S)
    assert b"stale" in answer


def test_a_full_gateway_is_busy_and_has_room_again_when_somebody_leaves() -> None:
    with standing(max_peers=1) as stand:
        robot = stand.robot().admit()
        head, body = stand.robot().open()
        assert (head.kind, body["code"]) == (MessageType.ERROR, "busy")
        assert body["details"] == {"admission_blocker": "active_session", "absence_grace_remaining_s": None}
        robot.control("close")
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        stand.robot().admit()


@pytest.mark.parametrize("version", ["chunk_alignment_v1", "chunk_alignment_v2"])
def test_generations_b_and_c_are_served_side_by_side(stand: Stand, version: str) -> None:
    blend = ChunkBlend(4, 0.5, ("pan",)) if version == "chunk_alignment_v1" else None
    settings = ChunkSettings(ChunkMerge.ALIGNED, blend)
    robot = stand.robot().admit(chunk_settings=settings, required_capabilities=(version,))
    assert robot.accepted is not None
    assert robot.accepted.chunk_settings == settings
    robot.observe((1.0, 1.0))
    np.testing.assert_allclose(robot.actions().canonical_actions, climbing(1.0), rtol=1e-5)


def test_the_policy_continues_what_the_robot_executes(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe((0.0, 0.0))
    plan = robot.actions().canonical_actions
    rest = plan[11:20]
    robot.observe(
        (9.0, 9.0),
        cursor=11,
        observation_cursor=9,
        delay=3,
        canonical_continuation=rest,
        model_continuation=rest,
    )
    answer = robot.actions()
    row = stand.policy.rows[-1]
    assert row.prefix is not None
    np.testing.assert_allclose(row.prefix.robot / DEGREE, climbing(9.0, 11), rtol=1e-4)
    np.testing.assert_allclose(row.prefix.model, 10 * row.prefix.robot, rtol=1e-4)
    assert (row.inference_delay, row.prefix_horizon) == (5, 10)
    np.testing.assert_allclose(answer.canonical_actions[:11], climbing(9.0, 11), rtol=1e-4)


def test_rows_that_the_gateway_never_gave_are_no_prefix(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe((0.0, 0.0))
    robot.actions()
    other = np.full((9, 2), 500.0, np.float32)
    robot.observe((9.0, 9.0), canonical_continuation=other, model_continuation=other)
    robot.actions()
    assert stand.policy.rows[-1].prefix is None
    assert stand.events()["rtc_unmatched"] == 1


def test_robots_that_ask_at_one_time_are_one_batch(stand: Stand) -> None:
    robots = [stand.robot().admit() for _ in range(4)]
    robots[0].observe((WAITS, 0.0))
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    for number, robot in enumerate(robots[1:]):
        robot.observe((float(number), 0.0))
    wait_until(lambda: stand.gateway.metrics.peers == 4)
    threading.Event().wait(0.3)  # until all three lie at the server
    stand.policy.gate.set()
    for number, robot in enumerate(robots[1:]):
        np.testing.assert_allclose(robot.actions().canonical_actions[0], (number, 0.0), atol=1e-4)
    assert max(stand.policy.batches) > 1


def test_guided_chunks_come_in_the_model_s_rows_too(stand: Stand) -> None:
    robot = stand.robot().admit(**GUIDED)
    robot.observe((2.0, 2.0))
    answer = robot.actions()
    assert answer.model_actions is not None
    np.testing.assert_array_equal(answer.model_actions, answer.canonical_actions)
    assert len(answer.canonical_actions) == HORIZON


def test_appended_rows_follow_those_that_are_there(stand: Stand) -> None:
    robot = stand.robot().admit(**CHUNK)
    robot.observe((0.0, 0.0))
    plan = robot.actions().canonical_actions
    robot.observe((30.0, 30.0), canonical_continuation=plan[30:], model_continuation=plan[30:], cursor=30)
    answer = robot.actions().canonical_actions
    row = stand.policy.rows[-1]
    assert row.prefix is not None
    assert (len(row.prefix.robot), row.inference_delay) == (10, 10)
    assert answer.shape == (HORIZON, 2)
    np.testing.assert_allclose(answer[0], plan[-1], rtol=1e-4)


def test_chunks_are_shorter_where_the_profile_says_so() -> None:
    with standing(replace(PROFILE, horizon=7)) as stand:
        robot = stand.robot().admit()
        robot.observe((1.0, 1.0))
        np.testing.assert_allclose(robot.actions().canonical_actions, climbing(1.0, 7), rtol=1e-5)


def test_a_control_is_acked_while_the_policy_works_and_the_old_answer_is_not_sent(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe((WAITS, 0.0))
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    robot.generation = 1
    head, body = robot.control("invalidate")
    assert (head.kind, body["applied_generation"]) == (MessageType.ACK, 1)
    robot.observe((5.0, 5.0))
    stand.policy.gate.set()
    np.testing.assert_allclose(robot.actions().canonical_actions[0], (5.0, 5.0), rtol=1e-5)
    assert robot.got.empty()


def test_a_reset_begins_an_episode(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe()
    robot.actions()
    robot.generation = 1
    robot.control("reset")
    robot.observe()
    robot.actions()
    assert stand.policy.episodes == 2


def test_a_status_tells_and_an_unknown_operation_is_malformed(stand: Stand) -> None:
    robot = stand.robot().admit()
    _, body = robot.control("status")
    told = body["session"]
    assert isinstance(told, dict)
    assert told["owner"] == robot.session
    head, body = robot.control("pause")
    assert (head.kind, body["code"]) == (MessageType.ERROR, "malformed")


def test_a_question_about_a_picture_is_unsupported_and_does_no_harm(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.sequence += 1
    body: RemoteMap = {"sequence": robot.sequence, "kind": "vqa", "text": "what is there?"}
    head = robot.head(MessageType.LANGUAGE_REQUEST)
    robot.put(RemotePlace.LANGUAGE_REQUEST, encode_message(head, body))
    assert robot.error()[0] == "unsupported"
    robot.observe((1.0, 1.0))
    robot.actions()


def ask_with_rows(robot: RawRobot, rows: np.ndarray, state: float) -> None:
    robot.observe((state, state), canonical_continuation=rows, model_continuation=rows)


def test_while_the_policy_is_late_the_robot_ends_its_motion_and_then_goes_on(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe((0.0, 0.0))
    rows = robot.actions().canonical_actions[:4]
    ask_with_rows(robot, rows, WAITS)
    held = robot.actions().canonical_actions
    np.testing.assert_array_equal(held, np.concatenate([rows, np.repeat(rows[-1:], HORIZON - 4, axis=0)]))
    assert stand.events()["holds"] == 1
    stand.policy.gate.set()
    ask_with_rows(robot, held[:8], 7.0)
    robot.actions()
    assert stand.events()["outages_bridged"] == 1


def test_a_robot_that_was_held_for_too_long_is_told_so() -> None:
    with standing(max_hold_s=0.1) as stand:
        robot = stand.robot().admit()
        robot.observe((0.0, 0.0))
        rows = robot.actions().canonical_actions[:4]
        for _ in range(2):
            ask_with_rows(robot, rows, FAILS)
            head, body = robot.next()
        assert (head.kind, body["code"]) == (MessageType.ERROR, "timeout")
        assert stand.events()["error_timeout"] == 1
        robot.observe()
        assert robot.error()[0] == "stale"


def test_before_the_first_action_nobody_is_held(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.observe((WAITS, 0.0))
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    threading.Event().wait(0.4)  # far longer than a robot that moves would be left alone
    assert robot.got.empty()
    stand.policy.gate.set()
    robot.actions()


def test_another_server_goes_on_and_no_robot_notices() -> None:
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network) as second:
        with serving(network):
            listener = listener_on(network, robots)
            robot = RawRobot(robots.link("robot")).admit()
            robot.observe((1.0, 1.0))
            robot.actions()
        rows = np.zeros((40, 2), np.float32)
        for _ in range(3):
            ask_with_rows(robot, rows, 4.0)
            np.testing.assert_allclose(robot.actions().canonical_actions[0], (4.0, 4.0), rtol=1e-5)
        assert second.rows
        assert "holds" not in listener._gateway.metrics.events()
        listener.close()


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({}, "incompatible"),
        ({"observation.state": np.zeros(3, np.float32)}, "incompatible"),
    ],
)
def test_a_client_that_sends_something_else_is_told_so(
    stand: Stand, features: dict[str, object], code: str
) -> None:
    robot = stand.robot().admit()
    robot.observe(features=features)
    assert robot.error()[0] == code


def test_a_damaged_picture_is_malformed_and_the_next_one_is_answered(stand: Stand) -> None:
    robot = stand.robot().admit()
    robot.sequence += 1
    seen = robot.observation((1.0, 1.0))
    noise = np.random.default_rng(1).integers(0, 255, (16, 24, 3), np.uint8)
    data = picture_of(noise, PictureEncoding.JPEG).data
    cut = RemotePicture(PictureEncoding.JPEG, 16, 24, bytes(data[: len(data) - 200]))
    robot.put(
        RemotePlace.OBSERVATION,
        encode_message(
            robot.head(MessageType.OBSERVATION),
            replace(seen, features={**seen.features, "observation.images.front": cut}).to_wire(),
        ),
    )
    assert robot.error()[0] == "malformed"
    robot.observe((1.0, 1.0))
    robot.actions()


@pytest.mark.parametrize("place", [RemotePlace.OBSERVATION, RemotePlace.LANGUAGE_REQUEST])
def test_garbage_on_a_session_s_keys_costs_nobody_anything(stand: Stand, place: RemotePlace) -> None:
    robot, other = stand.robot().admit(), stand.robot().admit()
    for payload in (b"", b"\x00" * 100, b"\x87" * 1000, bytes(range(256)), b"\xdf\xff\xff\xff\xff"):
        robot.put(place, payload)
    wait_until(lambda: stand.gateway.metrics.requests().get("malformed"))
    other.observe((1.0, 1.0))
    other.actions()
    robot.observe((1.0, 1.0))
    robot.actions()


@pytest.mark.parametrize("place", [RemotePlace.DESCRIBE, RemotePlace.OPEN, RemotePlace.CONTROL])
def test_garbage_as_a_query_gets_no_answer(stand: Stand, place: RemotePlace) -> None:
    robot = stand.robot().admit()
    for payload in (b"", b"\x87" * 1000, bytes(2 << 20)):
        with pytest.raises(LinkError):
            robot.link.query(robot.key(place), payload, timeout_s=PATIENCE_S)
    robot.observe((1.0, 1.0))
    robot.actions()


def test_a_query_at_the_wrong_key_is_malformed(stand: Stand) -> None:
    robot = stand.robot().admit()
    for place in (RemotePlace.OPEN, RemotePlace.CONTROL):
        head, body = robot.query(place, MessageType.DESCRIBE, {})
        assert (head.kind, body["code"]) == (MessageType.ERROR, "malformed")


def test_a_flood_of_observations_is_one_question(stand: Stand) -> None:
    robot, other = stand.robot().admit(), stand.robot().admit()
    robot.observe((WAITS, 0.0))
    assert stand.policy.is_waiting.wait(PATIENCE_S)
    payload = encode_message(robot.head(MessageType.OBSERVATION), robot.observation((1.0, 1.0)).to_wire())
    for _ in range(2000):
        robot.put(RemotePlace.OBSERVATION, payload)
    stand.policy.gate.set()
    other.observe((1.0, 1.0))
    other.actions()
    robot.actions()
    assert stand.policy.opened == 2


def test_a_robot_that_is_refused_again_and_again_fills_no_log(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    robot = stand.robot()
    for _ in range(20):
        assert robot.open(semantics="degrees")[1]["code"] == "incompatible"
    assert robot.open(mode=InferenceMode.RTC_TRAINED)[1]["code"] == "unsupported"
    assert len([line for line in caplog.messages if "refused" in line]) == 2
    assert stand.events()["refused_incompatible"] == 20


def test_a_thousand_opens_take_no_more_than_the_places(stand: Stand) -> None:
    robot, other = stand.robot(), stand.robot().admit()
    robot.describe()
    kinds = [robot.open()[0].kind for _ in range(1000)]
    assert kinds.count(MessageType.ACCEPTED) == 15
    other.observe((1.0, 1.0))
    other.actions()


def test_a_session_of_another_process_goes_on_if_its_client_is_there() -> None:
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network) as policy:
        first = listener_on(network, robots)
        robot = RawRobot(robots.link("robot")).admit()
        robot.generation = 3
        robot.control("reset")
        robot.observe((1.0, 1.0))
        rows = robot.actions().canonical_actions
        first.close()
        second = listener_on(network, robots)
        wait_until(lambda: robot.link.is_heard(robot.key(RemotePlace.OBSERVATION)))
        ask_with_rows(robot, rows[:20], 4.0)
        np.testing.assert_allclose(robot.actions().canonical_actions[0], (4.0, 4.0), rtol=1e-5)
        assert second._gateway.metrics.events()["resumed"] == 1
        assert robot.control("close")[0].kind is MessageType.ACK
        robot.observe((1.0, 1.0))  # nothing late brings it back
        assert robot.control("status")[1]["code"] == "stale"
        wait_until(lambda: second._gateway.metrics.peers == 0)
        assert policy.rows
        second.close()


def test_a_session_that_nobody_has_a_token_for_is_stale(stand: Stand) -> None:
    robot = stand.robot()
    robot.describe()
    for session in ("0" * 32 + "-chunk-aligned", "0" * 32, "x"):
        robot.session = session
        head, body = robot.control("reset")
        assert (head.kind, body["code"]) == (MessageType.ERROR, "stale")
    assert stand.gateway.metrics.peers == 0


def test_another_model_is_another_instance_and_is_taken_when_nobody_moves() -> None:
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network):
        listener = listener_on(network, robots)
        before = RawRobot(robots.link("robot")).describe()
    other = Climbing()
    other.model_hash = "descending"
    with serving(network, other):
        robot = RawRobot(robots.link("robot"))
        wait_until(lambda: robot.describe().artifact_identity != before.artifact_identity)
        assert robot.describe().instance_id != before.instance_id
        robot.admit()
        robot.observe((1.0, 1.0))
        robot.actions()
        listener.close()


def test_no_robot_of_one_model_gets_the_actions_of_another_not_even_after_a_reset() -> None:
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network):
        listener = listener_on(network, robots)
        fresh, moving = RawRobot(robots.link("fresh")).admit(), RawRobot(robots.link("moving")).admit()
        moving.observe((1.0, 1.0))
        moving.actions()
    other = Climbing()
    other.model_hash = "descending"
    with serving(network, other):
        wait_until(lambda: not RawRobot(robots.link("new")).describe().is_ready)
        moving.generation = 1
        moving.control("reset")
        for robot in (moving, fresh):
            robot.observe((2.0, 2.0))
        asked = listener._gateway.metrics.requests
        wait_until(lambda: sum(asked().values()) >= 4)
        assert (other.opened, other.rows) == (0, [])
        listener.close()


@pytest.mark.parametrize(
    "changed",
    [{"kind": ActionKind.DELTA}, {"reference": ActionReference.RELATIVE}],
    ids=["delta", "relative"],
)
def test_a_robot_whose_actions_are_no_positions_is_answered_and_never_held(
    changed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    actions = (replace(PROFILE.actions[0], **changed),)  # type: ignore[arg-type] # by name
    kind = actions[0].kind or ActionKind.POSITION
    policy = Climbing()
    policy.spec = replace(
        policy.spec, actions=tuple(vagus.ActionFeature(name, "rad", kind) for name in JOINTS)
    )
    clock = HandClock()
    with standing(replace(PROFILE, actions=actions), policy=policy, clock=clock) as stand:
        assert stand.robot().open(**CHUNK)[1]["code"] == "unsupported"
        robot = stand.robot().admit()
        robot.observe((1.0, 1.0))
        rows = robot.actions().canonical_actions
        ask_with_rows(robot, rows[10:], WAITS)
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        clock.advance(20.0)
        stand.policy.gate.set()
        answer = robot.actions().canonical_actions
        if kind is ActionKind.DELTA:  # the policy continues them
            np.testing.assert_allclose(answer[:30], rows[10:], rtol=1e-4)
        else:
            np.testing.assert_allclose(answer[:, 0], np.arange(HORIZON), atol=1e-3)
        assert "holds" not in stand.events()
    assert "cannot be held" in caplog.text


@pytest.mark.parametrize("is_known", [True, False])
def test_rows_that_continue_are_at_their_time_and_others_wait_until_a_held_robot_moves(
    is_known: bool,
) -> None:
    clock = HandClock()
    with standing(clock=clock) as stand:
        robot = stand.robot().admit()
        robot.observe((1.0, 1.0))
        given = robot.actions().canonical_actions[34:] + (0.0 if is_known else 100.0)
        had = np.concatenate([given, np.repeat(given[-1:], 10, axis=0)]).astype(np.float32)
        ask_with_rows(robot, had, WAITS)
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        clock.advance(0.5)  # it has stood for 4 rows; a hold is due after 0.65 s
        stand.policy.gate.set()
        rows = robot.actions().canonical_actions
        if is_known:
            np.testing.assert_allclose(rows[:6], given, rtol=1e-5)
        else:
            held = 10 - len(given)
            np.testing.assert_allclose(rows[held : held + 4, 0], WAITS + np.arange(4), rtol=1e-5)


def test_without_a_server_nobody_is_let_in() -> None:
    network, robots = MemoryNetwork(), MemoryNetwork()
    with serving(network):
        listener = listener_on(network, robots)
        robot = RawRobot(robots.link("robot"))
        assert robot.describe().is_ready
    wait_until(lambda: not robot.describe().is_ready)
    listener.close()


def test_a_profile_that_no_client_can_keep_is_refused() -> None:
    with pytest.raises(SpecError, match="deployment: wanted a letter or digit"):
        listener_on(MemoryNetwork(), MemoryNetwork(), deployment="two words")
    (image,) = PROFILE.images
    with pytest.raises(SpecError, match=r"image at observation\.images\.front: wanted HWC, RGB, required"):
        listener_on(
            MemoryNetwork(), MemoryNetwork(), replace(PROFILE, images=(replace(image, required=False),))
        )


def test_a_policy_of_another_rate_is_not_offered(caplog: pytest.LogCaptureFixture) -> None:
    with standing(replace(PROFILE, rate_hz=30.0)):
        wait_until(lambda: "wanted that of the policy, 20" in caplog.text)


def test_chunks_that_no_outage_can_be_bridged_with_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with standing(replace(PROFILE, horizon=8, semantics="the arm's degrees")):
        wait_until(lambda: "chunks of 0.40 s are too short to bridge an outage" in caplog.text)
    assert """--inference.semantics='the arm'"'"'s degrees' --fps=20""" in caplog.text


def test_the_answer_says_all_that_the_client_compares(stand: Stand) -> None:
    robot = stand.robot().admit()
    asked = robot.observe((1.0, 1.0), cursor=7, observation_cursor=5)
    head, body = robot.next()
    answer = RemoteActions.from_wire(body)
    assert head == replace(asked, kind=MessageType.ACTION)
    assert (answer.cursor, answer.observation_cursor) == (7, 5)
