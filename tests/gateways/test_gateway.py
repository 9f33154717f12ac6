"""A gateway's robots: each a session of its own, its own answers, and a place that is free again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateways.gateway_rig import CONFIG, PROFILE, gateway_on, request, with_limits
from server.raw_client import Calls, CountingPolicy, serving, wait_until
from vagus.errors import (
    ConfigError,
    LinkError,
    PolicyError,
    ProtocolError,
    SessionRefusedError,
    SpecError,
    StateError,
    VagusError,
)
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.neutral import ForeignRtc
from vagus.gateways.peer import Peer, PeerReply
from vagus.gateways.profile_file import load_profile
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import RtcSpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.transport.link import Delivery, Sample
from vagus.transport.memory import MemoryNetwork
from vagus.types import ActionChunk
from vagus.wire.codec import decode_header, encode_header
from vagus.wire.schema import Kind


def answer(peer: Peer, state: float, rtc: ForeignRtc | None = None) -> list[float]:
    """Return (state, calls) of the first action, as the wire has it."""
    return values_of(peer.infer(request(state), rtc))


def values_of(reply: PeerReply) -> list[float]:
    actions = reply.reply.actions["actions"]
    assert actions.shape == (4, 2)
    return [float(value) for value in actions[0]]


def test_a_foreign_robot_gets_the_policys_actions_in_its_own_order_and_scale() -> None:
    with serving() as stand, gateway_on(stand).admit("10.0.0.7:4711") as peer:
        assert peer.name == "openpi-1"
        assert answer(peer, 5.0) == [5.0, 100.0]
        assert answer(peer, 6.0) == [6.0, 200.0]
        assert stand.server.load().sessions == 1


def test_each_robot_has_a_session_of_its_own() -> None:
    with serving() as stand:
        gateway = gateway_on(stand)
        with gateway.admit("a") as first, gateway.admit("b") as second:
            assert [answer(first, 1.0), answer(first, 1.0), answer(second, 2.0)] == [
                [1.0, 100.0], [1.0, 200.0], [2.0, 100.0],
            ]  # fmt: skip
            assert stand.server.load().sessions == 2
            assert gateway.metrics.peers == 2


def test_the_place_of_a_robot_that_has_left_is_free_at_once() -> None:
    with serving() as stand:
        gateway = gateway_on(stand)
        peers = [gateway.admit(str(number)) for number in range(3)]
        with pytest.raises(SessionRefusedError, match=r"peers_full.*has 3 robots and takes no more"):
            gateway.admit("one too many")
        answer(peers[1], 1.0)
        peers[1].close()
        peers[1].close()
        wait_until(lambda: stand.server.load().sessions == 0)
        assert gateway.metrics.peers == 2
        assert gateway.admit("another").name == "openpi-2"
        assert gateway.metrics.events() == {"refused_full": 1}


def test_a_robot_that_has_left_is_not_served() -> None:
    with serving() as stand:
        peer = gateway_on(stand).admit("a")
        peer.close()
        with pytest.raises(StateError, match="openpi-1 has gone"):
            answer(peer, 1.0)


def test_a_reset_begins_an_episode() -> None:
    with serving() as stand, gateway_on(stand).admit("a") as peer:
        peer.reset()  # before anything was asked
        answer(peer, 1.0)
        assert answer(peer, 1.0) == [1.0, 200.0]
        peer.reset()
        assert answer(peer, 1.0) == [1.0, 100.0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"place": None}, "wanted place"),
        ({"place": np.zeros(2)}, r"place: wanted numbers \(1,\), got \(2,\)"),
        ({"place": np.array([np.nan])}, "finite"),
        ({"front": None}, "wanted front"),
        ({"front": np.zeros((8, 13, 3), np.uint8)}, "front"),
        ({"prompt": 7}, "prompt: wanted a text"),
        ({"prompt": "x" * 100_000}, "characters"),
    ],
)
def test_what_a_request_lacks_is_told_and_costs_no_session(change: dict[str, object], told: str) -> None:
    with serving() as stand:
        gateway = gateway_on(stand)
        with gateway.admit("a") as peer:
            answer(peer, 1.0)
            with pytest.raises(ProtocolError, match=told):
                peer.infer(request(1.0, **change))  # type: ignore[arg-type]
            assert answer(peer, 1.0) == [1.0, 200.0]
        assert gateway.metrics.requests() == {"answered": 2, "malformed": 1}
        assert sum(gateway.metrics.seconds().counts) == 2


def test_a_failure_of_the_policy_is_told_and_the_next_request_goes_on() -> None:
    with serving() as stand:
        gateway = gateway_on(stand)
        with gateway.admit("a") as peer:
            for state in (-4.0, -2.0, -3.0):
                with pytest.raises(PolicyError):
                    answer(peer, state)
            assert answer(peer, 1.0)[0] == 1.0
        assert gateway.metrics.requests() == {"answered": 1, "policy_failed": 3}


def test_an_answer_that_cannot_be_read_is_not_the_robots_fault_and_the_server_is_asked_again() -> None:
    with serving() as stand:
        link = stand.network.link("noise")
        spoilt: list[str] = []

        def spoil(sample: Sample) -> None:
            if not spoilt:
                spoilt.append(sample.key)
                asked = decode_header(sample.header)
                header = encode_header(msgspec.structs.replace(asked, kind=Kind.CHUNK))
                key = f"{sample.key.removesuffix('/obs')}/chunk"
                link.publish(key, header=header, payload=b"\xc1", delivery=Delivery.CHUNK)

        with gateway_on(stand).admit("a") as peer:
            answer(peer, 1.0)
            link.subscribe("@vagus/*/*/*/*/*/obs", spoil)
            assert answer(peer, 2.0)[0] == 2.0
        assert spoilt


def test_a_server_that_cannot_say_what_it_is_is_not_the_robots_fault() -> None:
    network = MemoryNetwork()
    other, key = network.link("other"), ServerKey(ServiceKey.of("counting", "main"), "other-1")
    other.serve(key.status, lambda query: query.reply(b"\xc1"))
    other.token(key.alive)
    gateway = Gateway(with_limits(answer_timeout_s=0.2), PROFILE, network.link("gateway"))
    with gateway.admit("a") as peer, pytest.raises(LinkError, match="cannot be used"):
        answer(peer, 1.0)


def test_without_a_server_a_request_fails_within_its_time() -> None:
    gateway = Gateway(with_limits(answer_timeout_s=0.2), PROFILE, MemoryNetwork().link("gateway"))
    with gateway.admit("a") as peer:
        with pytest.raises(LinkError, match="no vagus server on this network"):
            peer.open()
        with pytest.raises(LinkError, match="no vagus server on this network"):
            answer(peer, 1.0)
    assert gateway.metrics.requests() == {"no_server": 1}


def test_a_request_outlives_its_server_if_another_has_the_same_policy() -> None:
    network = MemoryNetwork()
    policies = [CountingPolicy(), CountingPolicy()]
    gateway = Gateway(with_limits(answer_timeout_s=30.0), PROFILE, network.link("gateway"))
    config = ServeConfig(warm_up=False, model="counting")
    with Server(network.link("one"), lambda: policies[0], config) as first:
        assert first.wait_ready(10.0)
        with gateway.admit("a") as peer:
            assert answer(peer, 1.0) == [1.0, 100.0]
            policies[0].entered = threading.Semaphore(0)
            policies[0].gate.clear()
            answers: list[list[float]] = []
            asking = threading.Thread(target=lambda: answers.append(answer(peer, 2.0)))
            asking.start()
            assert policies[0].entered.acquire(timeout=10.0)
            with Server(network.link("two"), lambda: policies[1], config) as second:
                assert second.wait_ready(10.0)
                ending = threading.Thread(target=first.close)
                ending.start()
                asking.join(30.0)
                policies[0].gate.set()
                ending.join(30.0)
                assert answers == [[2.0, 100.0]]  # the first request of its new session


def test_a_robot_takes_the_place_of_its_gateways_last_process_once_that_is_gone() -> None:
    with serving() as stand:
        gateway = gateway_on(stand, with_limits(answer_timeout_s=0.2))
        last = stand.opened("openpi-1")
        with gateway.admit("a") as peer, pytest.raises(SessionRefusedError, match="client_in_use"):
            answer(peer, 1.0)
        patient = gateway_on(stand, with_limits(answer_timeout_s=60.0))
        with patient.admit("a") as peer:
            ending = threading.Timer(0.1, last.token.undeclare)
            ending.start()
            assert answer(peer, 1.0) == [1.0, 100.0]
            ending.join()


def test_a_robot_in_motion_does_not_change_models_and_a_reset_accepts_another() -> None:
    class Other(CountingPolicy):
        model_hash = "another"

    network = MemoryNetwork()
    gateway = Gateway(CONFIG, PROFILE, network.link("gateway"))
    config = ServeConfig(warm_up=False, model="counting")
    with gateway.admit("a") as peer:
        with Server(network.link("one"), CountingPolicy, config) as server:
            assert server.wait_ready(10.0)
            answer(peer, 1.0)
        with Server(network.link("two"), Other, config) as server:
            assert server.wait_ready(10.0)
            for _ in range(2):
                with pytest.raises(SpecError, match="model_hash of the replica"):
                    answer(peer, 1.0)
            peer.reset()
            assert answer(peer, 1.0) == [1.0, 100.0]
    assert gateway.metrics.requests() == {"answered": 2, "unfit": 2}


def test_a_profile_that_does_not_fit_the_policy_is_told_with_both_sides() -> None:
    state = (replace(PROFILE.state[0], names=("y",)),)
    with (
        serving() as stand,
        gateway_on(stand, profile=replace(PROFILE, state=state)).admit("a") as peer,
        pytest.raises(SpecError, match=r"state: wanted \['x'\], got \['y'\].*rename"),
    ):
        answer(peer, 1.0)


def test_names_of_the_profile_can_be_renamed() -> None:
    state = (replace(PROFILE.state[0], names=("y",)),)
    config = with_limits(rename={"y": "x"})
    with serving() as stand, gateway_on(stand, config, replace(PROFILE, state=state)).admit("a") as peer:
        assert answer(peer, 3.0) == [3.0, 100.0]


def test_units_that_differ_are_refused() -> None:
    state = (replace(PROFILE.state[0], unit="rad"),)
    with (
        serving() as stand,
        gateway_on(stand, profile=replace(PROFILE, state=state)).admit("a") as peer,
        pytest.raises((SessionRefusedError, SpecError), match="unit of state"),
    ):
        answer(peer, 1.0)


def test_what_robots_would_get_is_known_before_the_first_one_comes() -> None:
    assert "no vagus server" in Gateway(CONFIG, PROFILE, MemoryNetwork().link("gateway")).trouble()
    state = (replace(PROFILE.state[0], names=("y",)),)
    with serving() as stand:
        assert gateway_on(stand).trouble() == ""
        assert (
            "state: wanted ['x'], got ['y']"
            in gateway_on(stand, profile=replace(PROFILE, state=state)).trouble()
        )
        listed = gateway_on(stand, with_limits(models={"a": "elsewhere/main"})).trouble()
        assert "no server of 'elsewhere/main'" in listed
        assert stand.server.load().sessions == 0


def test_a_model_is_looked_up_and_never_loaded() -> None:
    config = with_limits(models={"lab/act": "policy/main/default"})
    with serving(ServeConfig(warm_up=False, model="policy")) as stand:
        gateway = gateway_on(stand, config)
        with gateway.admit("a", model="lab/act") as peer:
            assert answer(peer, 1.0) == [1.0, 100.0]
        with pytest.raises(
            SessionRefusedError, match=r"model_unknown.*wanted one of lab/act, got '/etc/passwd'"
        ):
            gateway.admit("b", model="/etc/passwd")
        with pytest.raises(SessionRefusedError, match="model_unknown"):
            gateway.admit("b")
        assert gateway.metrics.events() == {"refused_model": 2}
        assert gateway.metrics.peers == 0


def test_the_plan_of_a_robot_goes_into_the_batch_as_that_of_a_native_one() -> None:
    seen: list[tuple[int, int, int] | None] = []

    class Watched(CountingPolicy):
        def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
            for row in batch:
                if row.prefix is None:
                    seen.append(None)
                    continue
                seen.append((len(row.prefix), row.inference_delay, row.prefix_horizon))
                assert np.allclose(row.prefix.model, row.prefix.robot * 10)
                assert row.prefix.robot[0].tolist() == [1.0, 1.0]  # in the policy's order and scale
            return super().infer(batch)

    with serving(policy=Watched()) as stand:
        gateway = gateway_on(stand)
        with gateway.admit("a") as peer:
            actions = peer.infer(request(1.0)).reply.actions["actions"].astype(np.float64)
            rtc = ForeignRtc(is_enabled=True, prefix=actions[1:], inference_delay=2, execute_horizon=1)
            answer(peer, 1.0, rtc)
            answer(peer, 1.0, replace(rtc, prefix=actions[1:] + 0.5))  # not what it was given
            answer(peer, 1.0, replace(rtc, is_enabled=False))
        assert seen == [None, (3, 2, 3), None, None]
        assert gateway.metrics.events() == {"rtc_unmatched": 1}
    assert CountingPolicy.spec.rtc == RtcSpec(3)


def test_a_token_is_compared_and_never_told(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    gateway = Gateway(with_limits(token_path=path), PROFILE, MemoryNetwork().link("g"))
    assert gateway.check_token("s3cret")
    assert not any(map(gateway.check_token, [None, "", "s3cre", "s3cret ", "\ud800", "é"]))
    assert gateway.metrics.events() == {"refused_token": 6}
    assert Gateway(CONFIG, PROFILE, MemoryNetwork().link("g")).check_token(None)


@pytest.mark.parametrize("content", ["", " \n", "x" * 5000])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"token_path: wanted a file with a secret of 1 to 4096 bytes"):
        Gateway(with_limits(token_path=path), PROFILE, MemoryNetwork().link("g"))
    with pytest.raises(ConfigError, match=r"token_path: wanted a file.*No such file"):
        Gateway(with_limits(token_path=tmp_path / "none"), PROFILE, MemoryNetwork().link("g"))


@pytest.mark.parametrize("name", ["hall 7", "a/b", "a*", "x-0123abcd-", "é"])
def test_the_keys_of_a_gateways_robots_begin_alike(name: str) -> None:
    with pytest.raises(ConfigError, match="name: wanted letters, digits"):
        Gateway(with_limits(name=name), PROFILE, MemoryNetwork().link("g"))


def test_two_processes_behind_one_router_name_their_robots_apart() -> None:
    config = GatewayConfig(
        protocol="lerobot_zenoh", profile="so100", router="tcp/127.0.0.1:7447", name="hall"
    )
    profile = load_profile("so100", "lerobot_zenoh")
    names = [
        Gateway(config, profile, MemoryNetwork().link("g")).admit("a robot").name.split("-") for _ in range(2)
    ]
    assert names[0][1] != names[1][1]
    assert [(name[0], name[2]) for name in names] == [("hall", "1")] * 2


def test_a_profile_of_another_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="profile: wanted one of protocol gr00t, got counting: openpi"):
        Gateway(with_limits(protocol="gr00t"), PROFILE, MemoryNetwork().link("g"))


def test_many_robots_at_once_get_only_their_own() -> None:
    with serving() as stand:
        gateway = gateway_on(stand, with_limits(max_peers=16, answer_timeout_s=60.0))
        faults: list[str] = []

        def run(number: int) -> None:
            try:
                with gateway.admit(str(number)) as peer:
                    for call in range(1, 9):
                        got = answer(peer, float(number))
                        if got != [float(number), call * 100.0]:
                            faults.append(f"robot {number}, call {call}: {got}")
            except VagusError as error:
                faults.append(f"robot {number}: {error}")

        threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90.0)
        assert faults == []
        assert gateway.metrics.peers == 0
        wait_until(lambda: stand.server.load().sessions == 0)
