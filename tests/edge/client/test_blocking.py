"""Chunks on demand over a real router: a robot in motion does not change models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec import structs

from rollout_rig import Sway, serving
from server.raw_client import IMAGE, CountingPolicy, wait_until
from server.raw_client import serving as serving_memory
from vagus.clock import NS_PER_S
from vagus.edge.client import discovery
from vagus.edge.client.blocking import BlockingClient, ChunkRequest
from vagus.edge.client.handshake import Identity
from vagus.edge.client.session import fetch_capabilities, find_services
from vagus.edge.config import EdgeConfig
from vagus.errors import LinkError, PolicyError, RobotError, SessionRefusedError, SpecError, VagusError
from vagus.server.server import Server
from vagus.server.status import REPEAT_NS
from vagus.specs import CameraSpec, RobotSpec
from vagus.transport.keys import ServerKey
from vagus.transport.link import Link
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig
from vagus.types import ActionChunk
from vagus.wire.schema import Capabilities, Load

TIMEOUT_S = 2.0
FRAME = np.zeros((48, 64, 3), dtype=np.uint8)


class Other(Sway):
    """The same names and sizes, other weights: it goes elsewhere."""

    model_hash = "other"

    def actions(self, step: int) -> np.ndarray:
        return super().actions(step) + 50.0


@pytest.fixture
def endpoint() -> Iterator[str]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        yield router.endpoints[0]


@pytest.fixture
def link(endpoint: str) -> Iterator[ZenohLink]:
    with ZenohLink(ZenohConfig(connect=(endpoint,))) as link:
        yield link


def remote(link: Link, name: str = "arm", **edge: object) -> BlockingClient:
    spec = Sway().spec
    robot = RobotSpec("lerobot", spec.actions, spec.state, (CameraSpec("front", 48, 64),), spec.rate_hz)
    config = EdgeConfig(**edge)  # type: ignore[arg-type]
    return BlockingClient(link, robot, Identity(name, f"{name}1"), config, instruction="sway")


def ask(chunks: BlockingClient) -> ActionChunk:
    return chunks.ask(ChunkRequest(np.zeros(6, dtype=np.float32), {"front": FRAME}), timeout_s=TIMEOUT_S)


def see_two(link: Link) -> None:
    """Wait until the robot's side sees two servers: a ready one is seen through the router a moment later."""
    wait_until(lambda: len(find_services(link, timeout_s=TIMEOUT_S).alive) == 2)


def errors_until_answered(chunks: BlockingClient, tries: int = 5) -> list[VagusError]:
    errors: list[VagusError] = []
    for _ in range(tries):
        try:
            ask(chunks)
        except VagusError as error:  # noqa: PERF203 - each try is a session
            errors.append(error)
        else:
            break
    return errors


def test_after_a_restart_with_other_weights_every_question_fails(endpoint: str, link: ZenohLink) -> None:
    chunks = remote(link)
    with serving(endpoint, Sway()) as server:
        assert np.abs(ask(chunks).robot).max() < 20.0
        first = hash_of(server)
    with serving(endpoint, Other()) as server:
        errors = errors_until_answered(chunks)
        second = hash_of(server)
    chunks.close()
    assert len(errors) == 5, "a chunk of other weights was handed to the robot"
    assert isinstance(errors[-1], SpecError)
    assert first in str(errors[-1])
    assert second in str(errors[-1])


def test_after_a_restart_with_the_same_weights_it_goes_on(endpoint: str, link: ZenohLink) -> None:
    chunks = remote(link)
    with serving(endpoint, Sway()):
        ask(chunks)
    with serving(endpoint, Sway()):
        assert len(errors_until_answered(chunks)) <= 1  # the one that was in flight
    chunks.close()


def test_nobody_waits_the_whole_time_for_a_server_that_has_gone(endpoint: str, link: ZenohLink) -> None:
    chunks = remote(link)
    asked = threading.Event()

    class Stuck(Sway):
        def actions(self, step: int) -> np.ndarray:
            asked.set()
            stuck.wait()
            return super().actions(step)

    stuck = threading.Event()
    stuck.set()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            chunks.ask(ChunkRequest(np.zeros(6, dtype=np.float32), {"front": FRAME}), timeout_s=3600.0)
        except VagusError as error:
            errors.append(error)

    with serving(endpoint, Stuck()) as server:
        ask(chunks)
        stuck.clear()
        asked.clear()
        thread = threading.Thread(target=run)
        thread.start()
        assert asked.wait(30.0)
        gone = threading.Thread(target=server.close)
        gone.start()
        thread.join(60.0)
        stuck.set()
        gone.join(60.0)
    assert [type(error) for error in errors] == [LinkError]
    chunks.close()


def test_the_server_with_a_free_place_is_taken(endpoint: str, link: ZenohLink) -> None:
    with serving(endpoint, Sway(), name="a-full", max_sessions=1), serving(endpoint, Sway(), name="b-free"):
        see_two(link)
        first = remote(link, name="first", pin_server="a-full")
        assert first.open().capabilities.server.startswith("a-full")
        ask(first)
        for number in range(4):
            chunks = remote(link, name=f"arm{number}")
            assert chunks.open().capabilities.server.startswith("b-free")
            ask(chunks)


def test_who_is_refused_by_a_server_that_seemed_free_asks_the_next(
    endpoint: str, link: ZenohLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load in a status may be a moment old, and others open sessions meanwhile."""

    def stale(link: Link, server: ServerKey) -> Capabilities:
        sessions = 0 if server.server.startswith("a-full") else 60
        return structs.replace(
            fetch_capabilities(link, server), load=Load(sessions=sessions, max_sessions=64)
        )

    with serving(endpoint, Sway(), name="a-full", max_sessions=1), serving(endpoint, Sway(), name="b-free"):
        see_two(link)
        ask(remote(link, name="first", pin_server="a-full"))
        monkeypatch.setattr(discovery, "fetch_capabilities", stale)
        assert remote(link, name="second").open().capabilities.server.startswith("b-free")
        with pytest.raises(SessionRefusedError, match="sessions_full"):
            remote(link, name="third", pin_server="a-full").open()


def test_sessions_that_open_one_after_the_other_are_shared(endpoint: str, link: ZenohLink) -> None:
    with serving(endpoint, Sway(), name="one") as one, serving(endpoint, Sway(), name="two") as two:
        see_two(link)
        for number in range(6):
            time.sleep(2 * REPEAT_NS / NS_PER_S)  # a status may be that of a moment ago
            ask(remote(link, name=f"arm{number}"))
        # not always three each: the slower of two servers, as measured, is sooner full
        assert min(one.load().sessions, two.load().sessions) >= 1


def test_a_pinned_server_is_the_only_one_asked(endpoint: str, link: ZenohLink) -> None:
    with serving(endpoint, Sway(), name="first"), serving(endpoint, Sway(), name="second"):
        see_two(link)
        chunks = remote(link, pin_server="second")
        ask(chunks)
        assert chunks.open().capabilities.server.startswith("second-")
        chunks.close()
        with pytest.raises(LinkError, match="called 'third' is alive"):
            ask(remote(link, name="other", pin_server="third"))


@pytest.mark.slow
def test_beside_other_weights_the_same_are_found(endpoint: str, link: ZenohLink) -> None:
    chunks = remote(link)
    with serving(endpoint, Sway()):
        ask(chunks)
    with serving(endpoint, Other(), name="another"), serving(endpoint, Sway(), name="same"):
        assert len(errors_until_answered(chunks)) <= 1
    chunks.close()


def test_a_pinned_model_is_asked_for_from_the_first_contact_on(endpoint: str, link: ZenohLink) -> None:
    with serving(endpoint, Other(), name="another"), serving(endpoint, Sway(), name="same") as server:
        see_two(link)
        pin = hash_of(server)[:10]
        assert np.abs(ask(remote(link, pin_model=pin)).robot).max() < 20.0
        wrong = remote(link, pin_model="0123456789ab")
        with pytest.raises(SessionRefusedError, match=r"wants 0123456789ab.*has [0-9a-f]{12}"):
            ask(wrong)


def hash_of(server: Server[dict[str, object]]) -> str:
    return server.capabilities().model_hash


def memory_client(link: Link, number: int) -> BlockingClient:
    spec = CountingPolicy().spec
    robot = RobotSpec("arm", spec.actions, spec.state, spec.cameras, 10.0)
    return BlockingClient(link, robot, Identity(f"arm-{number}", f"{number}"))


def counted(client: BlockingClient, state: float) -> list[float]:
    """Return (calls of this session in this episode, state), as the policy answers."""
    chunk = client.ask(ChunkRequest(np.full(1, state, dtype=np.float32), {"front": IMAGE}))
    return [float(value) for value in chunk.robot[0]]


def test_twenty_of_them_on_one_link_never_get_what_is_anothers() -> None:
    with serving_memory() as stand:
        link = stand.network.link("gateway")
        faults: list[str] = []

        def run(number: int) -> None:
            with memory_client(link, number) as client:
                for call in range(1, 11):
                    got = counted(client, float(number))
                    if got != [float(call), float(number)]:
                        faults.append(f"{number}: {got} at call {call}")
                client.begin_episode()
                if counted(client, float(number)) != [1.0, float(number)]:
                    faults.append(f"{number}: an old episode")

        threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert link.health().is_connected, "it is somebody else's"
        wait_until(lambda: stand.server.capabilities().load.sessions == 0)


def test_a_request_that_fails_is_the_callers_to_know_and_the_next_goes_on() -> None:
    with serving_memory() as stand, memory_client(stand.network.link("arm"), 1) as client:
        assert client.open().policy.action_dim == 2
        with pytest.raises(PolicyError, match="policy_error"):
            counted(client, -1.0)
        assert counted(client, 5.0)[1] == 5.0
        stand.policy.gate.clear()
        with pytest.raises(LinkError, match=r"no chunk within 0\.05 s"):
            client.ask(ChunkRequest(np.zeros(1, dtype=np.float32), {"front": IMAGE}), timeout_s=0.05)
        stand.policy.gate.set()
        assert counted(client, 6.0) == [1.0, 6.0], "a new session"


def test_what_a_request_lacks_is_named_and_costs_no_session() -> None:
    with serving_memory() as stand, memory_client(stand.network.link("arm"), 1) as client:
        with pytest.raises(RobotError, match="no frame of camera"):
            client.ask(ChunkRequest(np.zeros(1, dtype=np.float32), {}))
        with pytest.raises(PolicyError, match=r"invalid_input.*state"):
            client.ask(ChunkRequest(np.zeros(3, dtype=np.float32), {"front": IMAGE}))
        assert counted(client, 5.0) == [1.0, 5.0]
