"""Clients of all versions at one gateway: each gets its own answers, whatever the others do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import zmq

from integrations.gr00t import rig
from integrations.gr00t.clients import (
    TASK,
    Actions,
    Client,
    ClientN15,
    ClientN16,
    ClientN17,
    flat_observation,
    nested_observation,
)
from vagus.errors import ConfigError
from vagus.gateways.gateway import Gateway
from vagus.gateways.registry import listener_of
from vagus.integrations.gr00t.gateway import Gr00tListener
from vagus.integrations.gr00t.so100 import SO100_ACTIONS, so100_actions
from vagus.types import FloatArray

VERSIONS = [ClientN15, ClientN16, ClientN17]


@pytest.fixture
def stand() -> Iterator[rig.Stand]:
    with rig.served() as stand:
        yield stand


@pytest.fixture
def listener(stand: rig.Stand) -> Iterator[Gr00tListener]:
    with rig.listening(stand.link) as listener:
        yield listener


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_of_each_version_changes_nothing_but_the_address(
    listener: Gr00tListener, stand: rig.Stand, version: type[Client]
) -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with version(listener.address) as client:
        assert client.ping() == {"status": "ok", "message": "Server is running"}
        for calls in (1, 2):
            assert np.array_equal(client.act(rig.arm(7), task="tidy", frame=frame), rig.expected(7, calls))
        assert stand.policy.tasks == ["tidy", "tidy"]
        assert np.array_equal(stand.policy.frames[0], frame)
        assert stand.sessions == 1
    stand.wait_for_sessions(0)


def test_one_port_serves_all_versions_at_once_and_everyone_gets_its_own(
    listener: Gr00tListener, stand: rig.Stand
) -> None:
    def drive(who: int) -> bool:
        with VERSIONS[who % 3](listener.address) as client:
            return all(
                np.array_equal(client.act(rig.arm(10 * who + calls)), rig.expected(10 * who + calls, calls))
                for calls in range(1, 11)
            )

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(drive, range(6))) == [True] * 6
    stand.wait_for_sessions(0)


def test_a_chunk_moves_the_motors_of_an_so100_by_name(listener: Gr00tListener) -> None:
    with ClientN15(listener.address) as old, ClientN17(listener.address) as newest:
        flat = old.get_action(flat_observation(rig.arm(7)))
        nested, _ = newest.get_action(nested_observation(rig.arm(7)[None], ["pick"]))
    for actions in (flat, nested):
        assert so100_actions(actions) == [
            dict(zip(SO100_ACTIONS, step, strict=True)) for step in rig.expected(7).tolist()
        ]


@pytest.mark.parametrize("version", [ClientN16, ClientN17])
def test_a_reset_begins_a_new_episode(listener: Gr00tListener, version: type[ClientN16]) -> None:
    with version(listener.address) as client:
        assert client.reset() == {}
        client.act(rig.arm(1))
        assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 2))
        assert client.reset() == {}
        assert np.array_equal(client.act(rig.arm(1)), rig.expected(1, 1))


def test_the_configuration_is_read_by_each_version(stand: rig.Stand) -> None:
    with rig.listening(stand.link) as listener, ClientN17(listener.address) as client:
        described = cast("dict[str, dict[str, object]]", client.call("get_modality_config"))
        assert list(described) == ["video", "state", "action", "language"]
        assert described["action"]["modality_keys"] == ["single_arm", "gripper"]
        with ClientN16(listener.address) as older:
            marked = cast("dict[str, dict[str, object]]", older.call("get_modality_config"))
            assert marked["video"]["__ModalityConfig_class__"] is True
    with rig.listening(stand.link, version="n1.5") as listener, ClientN15(listener.address) as old:
        config = cast("dict[str, dict[str, object]]", old.call("get_modality_config"))
        assert config["video"] == {
            "__ModalityConfig_class__": True,
            "as_json": '{"delta_indices":[0],"modality_keys":["video.front"]}',
        }


@pytest.mark.parametrize("version", VERSIONS)
def test_what_goes_wrong_is_an_error_in_words_and_the_next_request_is_answered(
    listener: Gr00tListener, version: type[Client]
) -> None:
    with version(listener.address) as client:
        asked: list[tuple[Callable[[], object], str]] = [
            (lambda: client.call("kill"), "stopped by its operator"),
            (lambda: client.call("nope"), "Unknown endpoint: nope"),
            (lambda: client.act(np.array([rig.FAILS] * 6, np.float32)), "the arm cannot do this"),
            (lambda: client.act(rig.arm(np.nan)), "finite"),
            (
                lambda: client.act(rig.arm(1), frame=np.zeros((4, 2, 3), np.uint8)),
                "wanted 2×2 pixels .* got 4×2",
            ),
            (lambda: client.call("get_action", {"observation": {}}, with_data=True), "single_arm"),
            (lambda: client.call("get_action"), "data of get_action: wanted a map"),
        ]
        for ask, said in asked:
            with pytest.raises(RuntimeError, match=said):
                ask()
        assert np.array_equal(client.act(rig.arm(3)), rig.expected(3))


def test_the_token_is_asked_for_on_every_endpoint(stand: rig.Stand, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("tok\n")
    with rig.listening(stand.link, token=token) as listener:
        for given in (None, "wrong"):
            with ClientN15(listener.address, given) as client:
                for ask in (client.ping, lambda: client.call("nope"), lambda: client.act(rig.arm(1))):
                    with pytest.raises(RuntimeError, match="Unauthorized: Invalid API token"):
                        ask()
        with ClientN17(listener.address, "tok") as client:
            assert np.array_equal(client.act(rig.arm(1)), rig.expected(1))
    assert stand.policy.tasks == ["pick"]


# -- places ---------------------------------------------------------------------------------------------


def test_a_client_over_the_limit_is_told_so_and_has_the_place_of_one_that_leaves(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=1) as listener, ClientN16(listener.address) as late:
        with ClientN15(listener.address) as early:
            early.act(rig.arm(1))
            with pytest.raises(RuntimeError, match="has 1 robots and takes no more"):
                late.act(rig.arm(2))
            assert late.ping()
            assert np.array_equal(early.act(rig.arm(1)), rig.expected(1, 2))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(late.act(rig.arm(2)), rig.expected(2))


def test_a_client_that_gives_up_waiting_has_a_place_again(stand: rig.Stand) -> None:
    with (
        rig.listening(stand.link, max_peers=1) as listener,
        ClientN17(listener.address, timeout_ms=100) as client,
    ):
        with pytest.raises(zmq.error.Again):
            client.act(rig.arm(rig.WAITS))
        stand.policy.gate.set()
        rig.wait_for_peers(listener, 0)
        client.socket.setsockopt(zmq.RCVTIMEO, 30_000)
        assert np.array_equal(client.act(rig.arm(1)), rig.expected(1))


def test_a_silent_client_loses_its_place_and_takes_one_again(stand: rig.Stand) -> None:
    with (
        rig.listening(stand.link, max_peers=1, idle_timeout_s=0.2) as listener,
        ClientN15(listener.address) as silent,
        ClientN16(listener.address) as other,
    ):
        silent.act(rig.arm(1))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(other.act(rig.arm(2)), rig.expected(2))
        rig.wait_for_peers(listener, 0)
        assert np.array_equal(silent.act(rig.arm(1)), rig.expected(1))


# -- batches --------------------------------------------------------------------------------------------


def batch(client: ClientN16, states: FloatArray) -> Actions:
    """Return the actions for states (batch, 6)."""
    actions, _ = client.get_action(nested_observation(states, [f"task {state[0]}" for state in states]))
    return actions


@pytest.mark.parametrize("version", [ClientN16, ClientN17])
def test_each_row_of_a_batch_is_a_robot_with_a_session_of_its_own(
    listener: Gr00tListener, stand: rig.Stand, version: type[ClientN16]
) -> None:
    with version(listener.address) as client:
        for calls in (1, 2):
            actions = batch(client, np.stack([rig.arm(10.0 * row) for row in range(3)]))
            assert actions["single_arm"].shape == (3, rig.HORIZON, 5)
            for row in range(3):
                given = np.concatenate([actions["single_arm"][row], actions["gripper"][row]], axis=1)
                assert np.array_equal(given, rig.expected(10.0 * row, calls))
        assert sorted(stand.policy.tasks) == sorted(["task 0.0", "task 10.0", "task 20.0"] * 2)
        assert stand.sessions == 3
        client.reset()
        assert set(batch(client, np.stack([rig.arm(1)] * 3))["gripper"][:, 0, 0]) == {1.0}
        batch(client, rig.arm(1)[None])
        stand.wait_for_sessions(1)
    stand.wait_for_sessions(0)


def test_the_wrapper_for_simulators_gets_flat_names_with_the_batch(listener: Gr00tListener) -> None:
    with ClientN16(listener.address) as client:
        actions, _ = client.get_action(
            {
                "video.front": np.zeros((2, 1, 2, 2, 3), np.uint8),
                "state.single_arm": np.stack([rig.arm(1)[None, :5], rig.arm(5)[None, :5]]),
                "state.gripper": np.full((2, 1, 1), 50, np.float32),
                TASK: ["pick", "place"],
            }
        )
    assert list(actions) == ["action.single_arm", "action.gripper"]
    assert [arm[0, 0] for arm in actions["action.single_arm"]] == [1.0, 5.0]


def test_a_batch_needs_a_place_for_every_row(stand: rig.Stand) -> None:
    with rig.listening(stand.link, max_peers=3) as listener, ClientN16(listener.address) as client:
        with pytest.raises(RuntimeError, match="1 to 3 rows, each a robot of its own, got 4"):
            batch(client, np.stack([rig.arm(1)] * 4))
        with ClientN15(listener.address) as other:
            other.act(rig.arm(5))
            batch(client, rig.arm(1)[None])
            with pytest.raises(RuntimeError, match="takes no more"):
                batch(client, np.stack([rig.arm(1)] * 3))
            rig.wait_for_peers(listener, 2)
            batch(client, np.stack([rig.arm(1)] * 2))
            assert stand.sessions == 3


def test_a_row_that_fails_fails_the_batch_and_the_others_go_on(listener: Gr00tListener) -> None:
    with ClientN16(listener.address) as client:
        states = np.stack([rig.arm(1), np.full(6, rig.FAILS, np.float32)])
        with pytest.raises(RuntimeError, match="the arm cannot do this"):
            batch(client, states)
        assert batch(client, states[[0, 0]])["single_arm"].shape == (2, rig.HORIZON, 5)


# -- life -----------------------------------------------------------------------------------------------


def test_closing_answers_what_is_in_progress_and_leaves_no_thread(stand: rig.Stand) -> None:
    before = set(threading.enumerate())
    with (
        ThreadPoolExecutor(1) as pool,
        rig.listening(stand.link) as listener,
        ClientN15(listener.address) as idle,
        ClientN16(listener.address) as busy,
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
        assert not [one.name for one in set(threading.enumerate()) - before if "gr00t-" in one.name]
        assert stand.sessions == 0


def test_an_address_in_use_is_said(stand: rig.Stand, listener: Gr00tListener) -> None:
    with (
        pytest.raises(ConfigError, match=r"listen: wanted a free address .* another program listens"),
        rig.listening(stand.link, listen=listener.address),
    ):
        pass


def test_a_listener_that_never_listened_closes(stand: rig.Stand) -> None:
    config = rig.config()
    listener = listener_of(Gateway(config, rig.PROFILE, stand.link))
    assert isinstance(listener, Gr00tListener)
    listener.close()


def test_a_version_that_gr00t_does_not_have_is_refused(stand: rig.Stand) -> None:
    with pytest.raises(ConfigError, match=r"version: wanted one of n1\.5, .* or none, got 'N1\.7'"):
        listener_of(Gateway(rig.config(version="N1.7"), rig.PROFILE, stand.link))
