"""PointAct's robots at one gateway, over ZeroMQ and HTTP: each gets its own answers, whatever others do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from integrations.pointact import rig
from integrations.pointact.clients import (
    HastyHttpClient,
    HttpClient,
    PointActClient,
    ZmqClient,
    asked,
    batch,
)
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import listener_of
from vagus.integrations.pointact.gateway import PointActListener

GOLDEN = Path(__file__).parent / "golden"
WIRES = [ZmqClient, HttpClient, HastyHttpClient]
KEPT = [ZmqClient, HttpClient]
"""Clients whose connection is their robot's."""


@pytest.fixture
def stand() -> Iterator[rig.Stand]:
    with rig.served() as stand:
        yield stand


@pytest.fixture
def listener(stand: rig.Stand) -> Iterator[PointActListener]:
    with rig.listening(stand.link) as listener:
        yield listener


@pytest.mark.parametrize("wire", KEPT)
def test_a_client_changes_nothing_but_the_address(
    listener: PointActListener, stand: rig.Stand, wire: type[PointActClient]
) -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with wire(listener.address) as client:
        assert client.call("ping") == {"status": "ok", "message": "Server is running"}
        for calls in (1, 2):
            assert np.array_equal(client.act(rig.arm(7), task="tidy", frame=frame), rig.expected(7, calls))
        assert stand.policy.tasks == ["tidy", "tidy"]
        assert np.array_equal(stand.policy.frames[0], frame)
        assert stand.sessions == 1


@pytest.mark.parametrize("wire", KEPT)
def test_the_bytes_of_the_published_program_are_answered_with_those_of_its_server(
    listener: PointActListener, wire: type[PointActClient]
) -> None:
    actions = np.array([[1, 2, 3, 4, 5, 6]], np.float32) + np.arange(4, dtype=np.float32)[:, None] / 4
    actions[:, 5] = 1  # the policy counts its requests there
    with wire(listener.address) as client:
        answer = client.exchange((GOLDEN / "get_action_REQ.bin").read_bytes())
        recorded = (GOLDEN / "get_action_REP.bin").read_bytes()
        head = recorded.index(b"\x93") if b"\x93" in recorded else recorded.index(b"\xc4\x05shape") + 7
        assert answer[:head] == recorded[:head]
        assert client.call("reset", {"options": {}}) == {}
    from_server = np.frombuffer(answer[-96:], "<f4").reshape(4, 6)
    assert np.array_equal(from_server, actions)


@pytest.mark.parametrize("wire", KEPT)
def test_requests_of_the_reference_are_answered_byte_for_byte(
    stand: rig.Stand, tmp_path: Path, wire: type[PointActClient]
) -> None:
    token = tmp_path / "token"
    token.write_text("tok\n")
    with rig.listening(stand.link, token=token) as listener, wire(listener.address) as client:
        for number in (0, 4):
            answer = client.exchange((GOLDEN / f"ps_{number:02}_REQ.bin").read_bytes())
            assert answer == (GOLDEN / f"ps_{number + 1:02}_REP.bin").read_bytes()


def test_both_wires_are_served_on_one_port_and_everyone_gets_its_own(
    listener: PointActListener, stand: rig.Stand
) -> None:
    def drive(who: int) -> bool:
        with KEPT[who % 2](listener.address) as client:
            return all(
                np.array_equal(client.act(rig.arm(10 * who + calls)), rig.expected(10 * who + calls, calls))
                for calls in range(1, 11)
            )

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(drive, range(6))) == [True] * 6


@pytest.mark.parametrize("wire", KEPT)
def test_a_reset_begins_a_new_episode_of_that_robot(
    listener: PointActListener, wire: type[PointActClient]
) -> None:
    with wire(listener.address) as client, ZmqClient(listener.address) as other:
        other.act(rig.arm(2))
        assert client.call("reset") == {}
        client.act(rig.arm(1))
        assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 2))
        assert client.call("reset", {"options": {}}) == {}
        assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 1))
        assert np.array_equal(other.act(rig.arm(2)), rig.expected(2, 2))


@pytest.mark.parametrize("wire", WIRES)
def test_what_goes_wrong_is_an_error_in_words_and_the_next_request_is_answered(
    listener: PointActListener, wire: type[PointActClient]
) -> None:
    good = batch([rig.arm(1)])
    with wire(listener.address) as client:
        wrong: list[tuple[Callable[[], object], str]] = [
            (lambda: client.call("kill"), "stopped by its operator"),
            (lambda: client.call("point"), "Unknown endpoint: point"),
            (lambda: client.act(np.array([rig.FAILS] * 6)), "the arm cannot do this"),
            (lambda: client.act(rig.arm(np.nan)), "finite"),
            (lambda: client.act(rig.arm(1)[:5]), r"wanted numbers \(6,\), got \(5,\)"),
            (lambda: client.act(rig.arm(1), frame=np.zeros((4, 2, 3), np.uint8)), "2×2 pixels .* got 4×2"),
            (lambda: client.call("get_action", asked({"task": ["pick"]})), "observation.state"),
            (lambda: client.call("get_action"), "data of get_action: wanted a map"),
            (lambda: client.call("get_action", asked({**good, "task": "pick"})), "wanted a list"),
            (lambda: client.call("get_action", asked({**good, "task": []})), "as many values at every key"),
            (lambda: client.call("get_action", asked({})), "1 to 16 robots, got 0"),
            (lambda: client.call("get_action", asked(good, {"pred_rot_type": "euler"})), "got euler"),
            (lambda: client.call("get_action", asked(good, [1])), "options: wanted a map"),
        ]
        for ask, said in wrong:
            with pytest.raises(RuntimeError, match=said):
                ask()
        assert np.array_equal(client.act(rig.arm(3)), rig.expected(3))


def test_options_that_change_no_number_are_passed_over(listener: PointActListener) -> None:
    options = {"pred_rot_type": "axisangle", "remove_arm": True, "points_workspace": [[0.0], [1.0]]}
    with ZmqClient(listener.address) as client:
        client.call("get_action", asked(batch([rig.arm(1)]), options))
        client.call("get_action", {"batch": batch([rig.arm(1)]), "options": None})


def test_points_are_not_looked_at_unless_they_are_none(listener: PointActListener) -> None:
    with ZmqClient(listener.address) as client:
        for points in (np.full((5, 6), 0.5, np.float32), np.zeros((0, 6), np.float32)):
            given = {**batch([rig.arm(1)]), "observation.points.frontview": [points]}
            client.call("get_action", asked(given))
        spoiled = np.full((5, 6), np.nan, np.float32)
        with pytest.raises(RuntimeError, match=r"observation.points: wanted finite"):
            client.call("get_action", asked({**batch([rig.arm(1)]), "observation.points": [spoiled]}))


@pytest.mark.parametrize("wire", KEPT)
def test_each_row_of_a_batch_is_a_robot_with_a_session_of_its_own(
    listener: PointActListener, stand: rig.Stand, wire: type[PointActClient]
) -> None:
    states = [rig.arm(10.0 * row) for row in range(3)]
    with wire(listener.address) as client:
        for calls in (1, 2):
            given = client.call("get_action", asked(batch(states)))["action"]
            assert isinstance(given, np.ndarray)
            assert (given.shape, given.dtype) == ((3, rig.HORIZON, 6), np.float32)
            for row in range(3):
                assert np.array_equal(given[row], rig.expected(10.0 * row, calls))
        assert stand.sessions == 3
        client.act(rig.arm(1))
        stand.wait_for_sessions(1)


def test_a_batch_needs_a_place_for_every_row(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=2) as listener, ZmqClient(listener.address) as client:
        with pytest.raises(RuntimeError, match="1 to 2 robots, got 3"):
            client.call("get_action", asked(batch([rig.arm(1)] * 3)))
        with HttpClient(listener.address) as other:
            other.act(rig.arm(5))
            with pytest.raises(RuntimeError, match="takes no more"):
                client.call("get_action", asked(batch([rig.arm(1)] * 2)))


# -- which model -----------------------------------------------------------------------------------------


def test_the_repo_id_chooses_the_model(stand: rig.Stand) -> None:
    with (
        rig.listening(stand.link, models={"user/act": "", "user/other": "no/such/service"}) as listener,
        ZmqClient(listener.address) as client,
    ):
        assert np.array_equal(client.act(rig.arm(1), repo_id="user/act"), rig.expected(1))
        with pytest.raises(RuntimeError, match="model: wanted user/act, user/other, got user/pointact_model"):
            client.act(rig.arm(1))
        assert np.array_equal(client.act(rig.arm(1), repo_id="user/act"), rig.expected(1))
        assert stand.sessions == 1


def test_without_a_table_a_robot_names_the_only_model_or_none(stand: rig.Stand) -> None:
    with rig.listening(stand.link, models={}) as listener, ZmqClient(listener.address) as client:
        with pytest.raises(RuntimeError, match=r"model: wanted .*, got user/pointact_model"):
            client.act(rig.arm(1))
        assert stand.policy.tasks == []
        unnamed = {key: rows for key, rows in batch([rig.arm(1)]).items() if key != "repo_id"}
        client.call("get_action", asked(unnamed))
        assert len(stand.policy.tasks) == 1


def test_a_row_that_names_another_model_is_another_robot(stand: rig.Stand) -> None:
    with (
        rig.listening(stand.link, models={"a": "", "b": ""}) as listener,
        ZmqClient(listener.address) as client,
    ):
        client.act(rig.arm(1), repo_id="a")
        assert np.array_equal(client.act(rig.arm(1), repo_id="a"), rig.expected(1, 2))
        assert np.array_equal(client.act(rig.arm(1), repo_id="b"), rig.expected(1, 1))


# -- places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", KEPT)
def test_the_token_is_asked_for_on_every_endpoint(
    stand: rig.Stand, tmp_path: Path, wire: type[PointActClient]
) -> None:
    token = tmp_path / "token"
    token.write_text("tok\n")
    with rig.listening(stand.link, token=token) as listener:
        for given in (None, "wrong"):
            with wire(listener.address, given) as client:
                for ask in (lambda: client.call("ping"), lambda: client.act(rig.arm(1))):
                    with pytest.raises(RuntimeError, match="Unauthorized: Invalid API token"):
                        ask()
        with wire(listener.address, "tok") as client:
            assert np.array_equal(client.act(rig.arm(1)), rig.expected(1))
    assert stand.policy.tasks == ["pick"]


@pytest.mark.parametrize("late_wire", KEPT)
def test_a_client_over_the_limit_is_told_so_and_has_the_place_of_one_that_leaves(
    stand: rig.Stand, late_wire: type[PointActClient]
) -> None:
    with rig.listening(stand.link, max_peers=1) as listener, late_wire(listener.address) as late:
        with ZmqClient(listener.address) as early:
            early.act(rig.arm(1))
            with pytest.raises(RuntimeError, match="has 1 robots and takes no more"):
                late.act(rig.arm(2))
            assert late.call("ping")
            assert np.array_equal(early.act(rig.arm(1)), rig.expected(1, 2))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(late.act(rig.arm(2)), rig.expected(2))


@pytest.mark.parametrize("wire", KEPT)
def test_a_silent_client_loses_its_place_and_takes_one_again(
    stand: rig.Stand, wire: type[PointActClient]
) -> None:
    with (
        rig.listening(stand.link, max_peers=1, idle_timeout_s=0.2) as listener,
        wire(listener.address) as silent,
    ):
        silent.act(rig.arm(1))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(silent.act(rig.arm(1)), rig.expected(1))


def test_a_client_that_connects_anew_for_each_request_keeps_its_session_in_a_new_episode(
    listener: PointActListener, stand: rig.Stand
) -> None:
    with HastyHttpClient(listener.address) as client:
        for _ in range(9):
            assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 1))
    assert stand.sessions <= 2  # the next connection may be there before the end of the last is seen


def test_the_only_place_is_enough_for_a_client_that_connects_anew(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=1) as listener, HastyHttpClient(listener.address) as client:
        for _ in range(9):
            assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 1))


def test_a_robot_that_rests_gives_its_place_to_one_that_comes(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=1) as listener:
        with HttpClient(listener.address) as early:
            early.act(rig.arm(1))
        with ZmqClient(listener.address) as late:
            assert np.array_equal(late.act(rig.arm(2), repo_id="another"), rig.expected(2))


def test_closing_answers_what_is_in_progress_and_leaves_no_thread(stand: rig.Stand) -> None:
    before = set(threading.enumerate())
    with (
        ThreadPoolExecutor(1) as pool,
        rig.listening(stand.link) as listener,
        HttpClient(listener.address) as idle,
        HttpClient(listener.address) as busy,
    ):
        idle.act(rig.arm(1))
        answer = pool.submit(busy.act, rig.arm(rig.WAITS))
        assert stand.policy.is_waiting.wait(rig.PATIENCE_S)
        closing = threading.Thread(target=listener.close)
        closing.start()
        stand.wait_for_sessions(1)
        stand.policy.gate.set()
        assert np.array_equal(answer.result(), rig.expected(rig.WAITS))
        closing.join()
        assert not [one.name for one in set(threading.enumerate()) - before if "pointact-" in one.name]
        assert stand.sessions == 0


def test_a_listener_that_never_listened_closes(stand: rig.Stand) -> None:
    listener = listener_of(Gateway(rig.config(), rig.PROFILE, stand.link))
    assert isinstance(listener, PointActListener)
    listener.close()


def test_the_status_of_http_says_who_is_to_blame(stand: rig.Stand) -> None:
    with rig.listening(stand.link) as listener, HttpClient(listener.address) as client:
        for frame, status in (
            (client.request("ping"), 200),
            (b"\xc1", 400),
            (client.request("point"), 400),
            (client.request("get_action", asked(batch([np.array([rig.FAILS] * 6)]))), 500),
        ):
            client.exchange(frame)
            assert client.status == status
