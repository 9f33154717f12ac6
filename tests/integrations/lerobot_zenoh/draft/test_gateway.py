"""The draft's gateway, in front of a real server in memory: what robots get, whatever happens."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from draft_robot import Answer, DraftRobot
from integrations.lerobot_zenoh.draft.rig import (
    FAILS,
    HORIZON,
    JOINTS,
    MODEL,
    PATIENCE_S,
    PROFILE,
    ROBOT,
    SERVICE,
    WAITS,
    ShiftedClock,
    Stand,
    expected,
    joints,
    serving,
    standing,
)
from vagus.clock import NS_PER_S, MonotonicClock
from vagus.errors import ConfigError, LinkError, QueryTimeoutError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile import ActionReference
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace
from vagus.integrations.lerobot_zenoh.draft.sessions import DraftAck, DraftClose
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.draft_gateway import LeRobotDraftListener
from vagus.transport.keys import ALL_SERVERS_ALIVE, ServiceKey
from vagus.transport.link import Delivery
from vagus.transport.memory import MemoryNetwork


def rows_of(robot: DraftRobot, first: float, **more: object) -> list[list[float]]:
    """Return the rows that answer a robot whose first joint is `first`."""
    answer, rows = robot.ask(joints(first), **more)  # type: ignore[arg-type] # by name
    assert answer is Answer.ROWS
    assert rows is not None
    return [[float(x) for x in row] for row in rows]


def events(stand: Stand) -> dict[str, int]:
    return stand.gateway.metrics.events()


def wait_until(is_so: object) -> None:
    """Wait until it is so; the machine may be busy with others."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():  # type: ignore[operator] # a function
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_robot_is_told_what_is_served_asks_and_leaves() -> None:
    with standing() as stand:
        robot = stand.robot("robot-1")
        status = DraftStatus.decode(robot.query(DraftPlace.STATUS))
        assert (status.active_sessions, status.max_sessions) == (0, 16)
        assert (status.model.model_repo, status.model.action_names) == (MODEL, JOINTS)
        assert (status.model.chunk_size, status.model.trained_fps) == (HORIZON, 30.0)
        assert (status.model.supports_rtc, status.model.rtc_execution_horizon) == (True, 4)
        assert status.model.expected_cameras == ("observation.images.front",)
        opened = robot.connect()
        assert (opened.error, opened.model.state_dim, opened.server_load) == ("", 3, 1 / 16)
        assert rows_of(robot, 3.0) == expected(3.0).tolist()
        assert rows_of(robot, 5.0) == expected(5.0).tolist()
        assert robot.last is not None
        assert robot.last.model is not None
        assert robot.last.model.tolist() == expected(5.0).tolist()
        assert stand.policy.rows[-1].observation.instruction == "pick the cube"
        assert stand.policy.rows[-1].observation.images["front"][0, 0].tolist() == [2, 2, 2]
        assert robot.close() == DraftAck()
        assert robot.close().error == "this session is not open"
        wait_until(lambda: stand.gateway.metrics.peers == 0)


class HeldClock(MonotonicClock):
    """A clock that stands still."""

    held_ns = 0

    def now_ns(self) -> int:
        return self.held_ns


def test_a_service_that_has_just_answered_is_not_searched_for_and_an_old_answer_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = HeldClock()
    with standing() as stand:
        monkeypatch.setattr(stand.listener._facts, "_clock", clock)
        stand.robot("robot-1").query(DraftPlace.STATUS)
        (link,) = (one for one in stand.serving._links if one.name == "gateway")
        tokens, asked = link.tokens, []

        def noted(key: str, *, timeout_s: float) -> frozenset[str]:
            asked.append(key)
            return tokens(key, timeout_s=timeout_s)

        monkeypatch.setattr(link, "tokens", noted)
        assert rows_of(stand.connected("robot-1"), 3.0) == expected(3.0).tolist()
        assert asked
        assert ALL_SERVERS_ALIVE not in asked
        entry, facts = "org-arm/main/*", stand.listener._facts
        assert facts.service(entry) == ServiceKey.of(MODEL, "main")
        clock.held_ns = 4 * NS_PER_S
        assert facts.service(entry) is None


def test_robots_are_answered_in_one_batch_each_with_its_own_rows() -> None:
    with standing() as stand, ThreadPoolExecutor(4) as pool:
        first, *others = (stand.connected(f"robot-{at}") for at in range(4))
        waiting = pool.submit(first.ask, joints(WAITS))
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        answers = [pool.submit(rows_of, robot, 10.0 * at) for at, robot in enumerate(others)]
        wait_until(lambda: stand.gateway.metrics.peers == 4)
        wait_until(lambda: all(one.sequence for one in others))
        time.sleep(0.1)  # the three observations are on their way to the server
        stand.policy.gate.set()
        assert [answer.result(PATIENCE_S) for answer in answers] == [
            expected(10.0 * at).tolist() for at in range(3)
        ]
        assert waiting.result(PATIENCE_S)[0] is Answer.ROWS
        assert max(stand.policy.batches) > 1
        assert [robot.foreign for robot in others] == [0, 0, 0]


def test_the_plan_that_a_robot_executes_guides_the_next_one() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1")
        rows_of(robot, 0.0)
        left = expected(0.0)[2:]
        rows_of(robot, 1.0, prefix=left, delay=9)  # a guess beyond what is left
        row = stand.policy.rows[-1]
        assert row.prefix is not None
        assert row.prefix.robot.tolist() == left.tolist()
        assert (row.inference_delay, row.prefix_horizon) == (4, 4)
        rows_of(robot, 1.0, prefix=left + 50)  # nobody gave it these
        assert stand.policy.rows[-1].prefix is None
        assert events(stand)["rtc_unmatched"] == 1
        without = stand.connected("robot-2", replace(ROBOT, uses_rtc=False))
        rows_of(without, 0.0)
        rows_of(without, 1.0, prefix=left)
        assert stand.policy.rows[-1].prefix is None


def test_a_plan_that_counts_from_a_state_guides_nothing_and_costs_no_answer() -> None:
    actions = (replace(PROFILE.actions[0], reference=ActionReference.RELATIVE),)
    with standing(profile=replace(PROFILE, actions=actions)) as stand:
        robot = stand.robot("robot-1")
        assert robot.connect().model.supports_rtc is False
        rows = rows_of(robot, 5.0)
        assert rows_of(robot, 7.0, prefix=np.array(rows[2:], np.float32)) == rows
        assert [row.prefix for row in stand.policy.rows] == [None, None]


def test_a_failure_is_answered_so_that_the_robot_fails_at_once_and_asks_again() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1")
        assert robot.ask(joints(FAILS))[0] is Answer.FAILED
        assert rows_of(robot, 1.0) == expected(1.0).tolist()
        robot.sequence += 1
        assert robot.send(b"\xc1")[0] is Answer.FAILED
        robot.sequence += 1
        assert robot.send(msgspec.msgpack.encode({"state": None}))[0] is Answer.FAILED
        assert robot.ask(np.zeros(2, np.float32))[0] is Answer.FAILED
        assert robot.ask(joints(0.0), pictures={})[0] is Answer.FAILED
        assert rows_of(robot, 2.0) == expected(2.0).tolist()
        requests = stand.gateway.metrics.requests()
        assert (requests["policy_failed"], requests["malformed"], requests["answered"]) == (1, 4, 2)


@pytest.mark.slow
def test_a_policy_that_hangs_makes_a_robot_fail_before_its_own_time_is_over() -> None:
    with standing(answer_timeout_s=60.0) as stand:
        robot = stand.connected("robot-1")
        assert robot.ask(joints(WAITS))[0] is Answer.FAILED
        stand.policy.gate.set()
        wait_until(lambda: robot.ask(joints(1.0))[0] is Answer.ROWS)


def test_without_a_server_a_robot_fails_before_its_own_time_is_over_and_goes_on_with_the_next_one() -> None:
    clock = ShiftedClock()
    with standing(is_served=False, answer_timeout_s=0.3, clock=clock) as stand:
        robot = stand.robot("robot-1")
        with pytest.raises(LinkError, match="without an answer"):  # as if nobody served: it tries again
            robot.connect()
        with serving(stand.serving, stand.policy):
            clock.skip(2.0)
            assert not robot.connect().error
            assert rows_of(robot, 1.0) == expected(1.0).tolist()
        for _ in range(2):
            assert robot.ask(joints(2.0))[0] is Answer.FAILED
        assert DraftStatus.decode(robot.query(DraftPlace.STATUS)).model.model_repo == MODEL
        assert "no server of " in stand.robot("robot-2").connect().error
        with serving(stand.serving, stand.policy):
            wait_until(lambda: robot.ask(joints(3.0))[0] is Answer.ROWS)


def test_the_epoch_is_learned_from_the_first_observation_and_rises_with_a_new_session() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1")
        robot.epoch = 7
        rows_of(robot, 1.0)
        robot.epoch = 6
        old = DraftAttachment(DraftMessage.OBSERVATION, 99, 0, 0, 6)
        robot.put(old, b"")
        robot.epoch = 7
        rows_of(robot, 1.0)
        assert events(stand)["stale"] == 1
        robot.leave()
        robot.connect()
        assert (robot.epoch, robot.sequence) == (8, 2)
        assert rows_of(robot, 2.0) == expected(2.0).tolist()


def test_who_was_counted_too_far_by_what_came_under_its_key_fails_at_once_and_goes_on() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1")
        rows_of(robot, 1.0)
        robot.put(DraftAttachment(DraftMessage.OBSERVATION, 9, 0, 0, 0), b"of another robot")
        outcomes = [robot.ask(joints(2.0))[0] for _ in range(9)]
        assert Answer.TIMEOUT not in outcomes
        assert outcomes[-1] is Answer.ROWS


def test_the_same_observation_twice_is_answered_once() -> None:
    with standing() as stand:
        stand.network.set_duplicate(lambda sample: sample.key.endswith("/obs"))
        robot = stand.connected("robot-1")
        rows_of(robot, 1.0)
        rows_of(robot, 2.0)
        assert len(stand.policy.rows) == 2


def test_a_uuid_belongs_to_one_robot_while_its_token_lives() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1")
        rows_of(robot, 1.0)
        thief = stand.robot("robot-1")
        assert "a robot with the uuid 'robot-1' is here" in thief.connect().error
        assert events(stand)["refused_identity"] == 1
        assert rows_of(robot, 2.0) == expected(2.0).tolist()
        robot.leave()
        again = stand.connected("robot-1")  # its process was started again, and counts from 0
        assert rows_of(again, 3.0) == expected(3.0).tolist()
        wait_until(lambda: stand.gateway.metrics.peers == 1)


def test_a_restarted_robot_may_declare_its_token_before_it_opens_a_session() -> None:
    first = replace(ROBOT, is_token_first=True)
    with standing() as stand:
        robot = stand.connected("robot-1", first)
        rows_of(robot, 1.0)
        robot.leave()
        again = stand.connected("robot-1", first)
        assert rows_of(again, 2.0) == expected(2.0).tolist()
        assert "is here" in stand.robot("robot-1", first).connect().error


def test_a_robot_whose_token_cannot_be_seen_keeps_its_uuid_while_it_is_heard() -> None:
    clock = ShiftedClock()
    unseen = replace(ROBOT, has_token=False)
    with standing(clock=clock) as stand:
        stand.connected("robot-1", unseen)
        robot = stand.connected("robot-1", unseen)  # nothing was heard: its open got no answer, perhaps
        rows_of(robot, 1.0)
        assert "is here" in stand.robot("robot-1", unseen).connect().error
        clock.skip(11.0)
        assert not stand.robot("robot-1", unseen).connect().error


def test_a_robot_that_vanishes_or_is_silent_leaves_its_place_and_comes_back_to_it() -> None:
    clock = ShiftedClock()
    with standing(clock=clock, max_peers=1, idle_timeout_s=5.0) as stand:
        robot = stand.connected("robot-1")
        rows_of(robot, 1.0)
        other = stand.robot("robot-2")
        assert "takes no more" in other.connect().error
        clock.skip(6.0)  # it is there, and silent
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        assert not other.connect().error
        assert robot.ask(joints(1.0))[0] is Answer.FAILED  # no place, and it is told so
        other.leave()
        clock.skip(3.0)
        wait_until(lambda: stand.gateway.metrics.peers == 0)
        wait_until(lambda: robot.ask(joints(2.0))[0] is Answer.ROWS)
        robot.leave()
        clock.skip(11.0)
        wait_until(lambda: not stand.listener._conversations._table)
        wait_until(lambda: stand.gateway.metrics.peers == 0)


def test_a_reset_begins_one_episode_and_nothing_of_the_old_one_is_answered() -> None:
    with standing() as stand, ThreadPoolExecutor(1) as pool:
        robot = stand.connected("robot-1", replace(ROBOT, request_s=1.0))
        rows_of(robot, 1.0, is_episode_start=True)
        begun = stand.policy.episodes
        waiting = pool.submit(robot.ask, joints(WAITS))
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        assert stand.robot("robot-1").reset() == DraftAck()
        assert waiting.result(PATIENCE_S)[0] is Answer.TIMEOUT
        stand.policy.gate.set()
        robot.episode = 1
        rows_of(robot, 2.0, is_episode_start=True)
        rows_of(robot, 3.0)
        assert stand.policy.episodes == begun + 1
        robot.episode = 2  # without a word before
        rows_of(robot, 4.0)
        assert stand.policy.episodes == begun + 2
        assert stand.robot("stranger").reset().error == "this client has no session"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"names": JOINTS[::-1]}, "action_names .*: wanted pan.pos, lift.pos, grip.pos in this order"),
        ({"names": ("a", "b", "c")}, "action_names .*: wanted pan.pos, lift.pos, grip.pos, got a, b, c"),
        ({"state_dim": 4}, "state_dim .*: wanted 3: pan.pos, lift.pos, grip.pos, got 4"),
        ({"cameras": ()}, "camera_names .*: wanted observation.images.front, got none"),
        ({"cameras": ("front", "top")}, "camera_names .*: wanted observation.images.front, got .*top"),
        ({"fps": 20.0}, "fps: wanted 30, .* got 20; start the robot with --fps=30"),
        ({"schema_version": 2}, "schema_version: wanted 1, got 2"),
    ],
)
def test_a_robot_that_is_not_the_profiles_is_told_why(change: dict[str, object], named: str) -> None:
    with standing() as stand:
        refused = stand.robot("robot-1", replace(ROBOT, **change)).connect()  # type: ignore[arg-type] # by name
        with pytest.raises(AssertionError, match=named):
            raise AssertionError(refused.error)
        assert (events(stand)["refused_setup"], stand.gateway.metrics.peers) == (1, 0)


def test_cameras_may_be_named_without_the_begin_that_all_have() -> None:
    with standing() as stand:
        robot = stand.connected("robot-1", replace(ROBOT, cameras=("front",)))
        assert rows_of(robot, 1.0) == expected(1.0).tolist()


def test_only_what_the_operator_lists_is_served() -> None:
    models = {"org-arm/main/pick-the-cube": MODEL, "org-arm/main/wave": "org/other"}
    with standing(models=models) as stand:
        rows_of(stand.connected("robot-1"), 1.0)
        for service in (
            replace(SERVICE, task="drop"),
            replace(SERVICE, model="x"),
            replace(SERVICE, revision="1"),
        ):
            with pytest.raises(LinkError, match="nobody serves"):
                stand.robot("robot-1", service=service).connect()
        with pytest.raises(LinkError):  # its server is not there
            stand.robot("robot-1", service=replace(SERVICE, task="wave")).connect()
        tokens = stand.network.link().tokens("@lerobot/org-arm/main/*/server/alive", timeout_s=1.0)
        assert {f"@lerobot/{model}/server/alive" for model in models} == tokens


def test_a_task_with_an_entry_of_its_own_is_asked_once_beside_any_task() -> None:
    models = {"org-arm/main/*": "org/other", "org-arm/main/pick-the-cube": MODEL}
    with standing(models=models) as stand:
        robot = stand.robot("robot-1")
        assert len(stand.network.link().query(robot.key(DraftPlace.STATUS), b"", timeout_s=5.0)) == 1
        assert not robot.connect().error
        assert rows_of(robot, 1.0) == expected(1.0).tolist()
        assert "stale" not in events(stand)


@pytest.mark.parametrize("entry", ["", "org-arm/main", "org-arm/main/a b", "*/main/*", "a/b/c/d", "-/main/*"])
def test_a_list_that_no_key_can_be_of_is_refused(entry: str) -> None:
    models = {entry: MODEL} if entry else {}
    config = GatewayConfig(protocol="lerobot_zenoh_draft", profile="tiny", models=models)
    gateway = Gateway(config, PROFILE, MemoryNetwork().link())
    with pytest.raises(ConfigError, match="models: wanted"):
        LeRobotDraftListener(gateway)


def test_a_task_of_its_own_has_a_token_of_the_server_from_its_first_question_on() -> None:
    with standing() as stand:
        watcher = stand.network.link()
        key = str(DraftKey(DraftPlace.SERVER_ALIVE, SERVICE))
        assert not watcher.tokens(key, timeout_s=1.0)
        stand.connected("robot-1")
        assert watcher.tokens(key, timeout_s=1.0) == {key}
        stand.listener.close()
        assert not watcher.tokens(key, timeout_s=1.0)


def test_garbage_harms_nobody() -> None:
    with standing(max_message_mb=1) as stand:
        robot = stand.connected("robot-1")
        stranger = stand.network.link("stranger")

        def put(key: str, header: bytes, payload: bytes) -> None:
            stranger.publish(key, header=header, payload=payload, delivery=Delivery.OBSERVATION)

        obs = robot.key(DraftPlace.OBSERVATION)
        head = DraftAttachment(DraftMessage.OBSERVATION, 1, 0, 0, 0)
        for header in (b"", b"\x00" * 27, head.encode()[:-1], head.encode() + b"\x00", b"\xff" * 27):
            put(obs, header, b"")
        put(obs, replace(head, kind=DraftMessage.CHUNK).encode(), b"")
        put(obs.replace("robot-1", "nobody"), head.encode(), b"\xc1" * 100)
        put(obs.replace("robot-1", "-"), head.encode(), b"")
        for question in (b"", b"\xc1", msgspec.msgpack.encode({"op": "steal"}), b"\x00" * 5):
            for place in (DraftPlace.SESSION, DraftPlace.RESET):
                stranger.query(robot.key(place), question, timeout_s=2.0)
        with pytest.raises(LinkError):
            stranger.query(robot.key(DraftPlace.SESSION), b"\x00" * (2 << 20), timeout_s=2.0)
        close = DraftClose("robot-1", "0" * 32).encode()
        assert DraftAck.decode(stranger.query(robot.key(DraftPlace.SESSION), close, timeout_s=2.0)[0]).error
        robot.sequence += 1
        assert robot.send(b"\x00" * (2 << 20))[0] is Answer.FAILED
        assert rows_of(robot, 1.0) == expected(1.0).tolist()
        assert events(stand)["unknown_client"] == 3


def test_who_floods_waits_and_others_do_not() -> None:
    with standing() as stand:
        flooder, robot = stand.connected("flooder"), stand.connected("robot-1")
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                flooder.sequence += 1
                head = DraftAttachment(DraftMessage.OBSERVATION, flooder.sequence, 0, 0, 0)
                flooder.put(head, b"\xc1" * 100_000)

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for at in range(20):
                assert rows_of(robot, at) == expected(at).tolist()
        finally:
            stop.set()
            thread.join()
        assert events(stand)["superseded"] > 0


def test_who_opens_without_end_waits() -> None:
    with standing(max_peers=1) as stand:
        robot = stand.robot("robot-1", replace(ROBOT, has_token=False))
        errors = [robot.connect().error for _ in range(12)]
        assert not errors[0]
        assert "too many sessions at once" in errors[-1]


def test_a_gateway_that_closes_ends_its_robots_and_takes_no_more() -> None:
    with standing() as stand, ThreadPoolExecutor(1) as pool:
        robot = stand.connected("robot-1", replace(ROBOT, request_s=1.0))
        waiting = pool.submit(robot.ask, joints(WAITS))
        assert stand.policy.is_waiting.wait(PATIENCE_S)
        stand.policy.gate.set()
        stand.listener.close()
        stand.listener.close()
        assert stand.gateway.metrics.peers == 0
        waiting.result(PATIENCE_S)
        with pytest.raises(LinkError, match="nobody serves"):
            stand.robot("robot-2").connect()


def test_too_many_questions_are_not_answered_but_the_next_ones_are() -> None:
    with standing() as stand, ThreadPoolExecutor(128) as pool:
        robot = stand.connected("robot-1")
        link = stand.network.link("asker")
        key = robot.key(DraftPlace.STATUS)

        def ask(_: int) -> bool:
            try:
                return bool(link.query(key, b"", timeout_s=PATIENCE_S))
            except QueryTimeoutError:
                raise
            except LinkError:
                return False

        assert any(pool.map(ask, range(256)))
        assert rows_of(robot, 1.0) == expected(1.0).tolist()
        assert ask(0)
