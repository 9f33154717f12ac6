"""What a plain link does, in memory, through a router and directly: no byte is added, and others are seen."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
import zenoh

from transport.rig import eventually, settle
from vagus.errors import LinkError, ProtocolError, QueryTimeoutError
from vagus.transport import zenoh_others
from vagus.transport.faults import FaultProxy
from vagus.transport.link import Delivery, Query, Sample
from vagus.transport.memory import MemoryNetwork
from vagus.transport.plain_link import PlainLink
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, RouterConfig, ZenohConfig
from vagus.transport.zenoh_connection import ZenohConnection
from vagus.transport.zenoh_session import close_zenoh_session, open_zenoh_session

HEADER = bytes(range(27))
OBSERVATION = "lerobot/inference/v1/deployments/arm/instances/i/sessions/s/obs"
ANY_OBSERVATION = "lerobot/inference/v1/deployments/arm/instances/i/sessions/*/obs"
CONTROL = "@lerobot/model/main/task/robot/reset"
ANY_CONTROL = "@lerobot/model/main/task/*/reset"


class PlainRig(Protocol):
    def server(self) -> PlainLink: ...

    def robot(self) -> PlainLink: ...

    def close(self) -> None: ...


class Memory:
    def __init__(self) -> None:
        self._network = MemoryNetwork()

    def server(self) -> PlainLink:
        return self._network.link()

    robot = server

    def close(self) -> None:
        pass


class Routed:
    def __init__(self) -> None:
        self._resources = ExitStack()
        self.router = self._resources.enter_context(Router(RouterConfig(listen=("tcp/127.0.0.1:0",))))

    def server(self) -> PlainLink:
        return self._resources.enter_context(ZenohPlainLink(ZenohConfig(connect=self.router.endpoints)))

    robot = server

    def close(self) -> None:
        self._resources.close()


class Direct:
    """A server that listens, and robots of this mode that connect to it."""

    def __init__(self, mode: LinkMode) -> None:
        self._mode = mode
        self._resources = ExitStack()
        self.endpoint = f"tcp/127.0.0.1:{free_port()}"

    def server(self) -> PlainLink:
        return self._resources.enter_context(ZenohPlainLink(listening(self.endpoint)))

    def robot(self) -> PlainLink:
        config = ZenohConfig(mode=self._mode, connect=(self.endpoint,))
        return self._resources.enter_context(ZenohPlainLink(config))

    def close(self) -> None:
        self._resources.close()


def free_port() -> int:
    with socket.socket() as listening_socket:
        listening_socket.bind(("127.0.0.1", 0))
        return int(listening_socket.getsockname()[1])


def listening(endpoint: str) -> ZenohConfig:
    return ZenohConfig(mode=LinkMode.PEER, listen=(endpoint,))


RIGS: dict[str, Callable[[], PlainRig]] = {
    "memory": Memory,
    "router": Routed,
    "peer": lambda: Direct(LinkMode.PEER),
    "client": lambda: Direct(LinkMode.CLIENT),
}


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[PlainRig]:
    made = RIGS[request.param]()
    yield made
    made.close()


def test_messages_pass_both_ways_with_their_header_or_without(rig: PlainRig) -> None:
    server, robot = rig.server(), rig.robot()
    received: list[Sample] = []
    server.subscribe(ANY_OBSERVATION, received.append)
    robot.subscribe(CONTROL, received.append)
    settle(server, robot)
    robot.publish(OBSERVATION, header=HEADER, payload=b"1", delivery=Delivery.OBSERVATION)
    robot.publish(OBSERVATION, header=b"", payload=b"2", delivery=Delivery.OBSERVATION)
    robot.publish(OBSERVATION, header=b"", payload=b"", delivery=Delivery.OBSERVATION)
    assert eventually(lambda: len(received) == 3)
    server.publish(CONTROL, header=HEADER, payload=b"3", delivery=Delivery.CHUNK)
    assert eventually(lambda: len(received) == 4)
    assert [(each.key, each.header, each.payload) for each in received] == [
        (OBSERVATION, HEADER, b"1"),
        (OBSERVATION, b"", b"2"),
        (OBSERVATION, b"", b""),
        (CONTROL, HEADER, b"3"),
    ]


def test_queries_are_answered_by_everybody_and_tokens_are_seen(rig: PlainRig) -> None:
    server, robot = rig.server(), rig.robot()
    server.serve(ANY_CONTROL, lambda query: query.reply(query.key.encode() + query.payload))
    server.serve(CONTROL, lambda query: query.reply(b"here"))
    server.token(OBSERVATION)
    settle(server, robot)
    answers = robot.query(CONTROL, b" now", timeout_s=5.0)
    assert sorted(answers) == sorted((f"{CONTROL} now".encode(), b"here"))
    assert robot.tokens(ANY_OBSERVATION, timeout_s=5.0) == {OBSERVATION}
    assert robot.health().corrupted == server.health().corrupted == 0


def test_others_are_seen_when_they_come_and_when_they_go(rig: PlainRig) -> None:
    server, robot = rig.server(), rig.robot()
    assert not robot.is_heard(OBSERVATION)
    assert not robot.is_served(CONTROL)
    heard = server.subscribe(ANY_OBSERVATION, lambda sample: None)
    served = server.serve(ANY_CONTROL, lambda query: query.drop())
    assert eventually(lambda: robot.is_heard(OBSERVATION) and robot.is_served(CONTROL))
    assert not robot.is_served(OBSERVATION)
    assert not robot.is_served("@lerobot/*/main/task/*/reset")  # wider than what is served
    assert not robot.is_heard(CONTROL)
    heard.undeclare()
    served.undeclare()
    assert eventually(lambda: not robot.is_heard(OBSERVATION) and not robot.is_served(CONTROL))


def test_a_link_is_none_of_the_others(rig: PlainRig) -> None:
    server, robot = rig.server(), rig.robot()
    robot.subscribe(OBSERVATION, lambda sample: None)
    robot.serve(CONTROL, lambda query: query.drop())
    assert not robot.is_heard(OBSERVATION)
    assert eventually(lambda: server.is_heard(OBSERVATION) and server.is_served(CONTROL))
    assert not robot.is_heard(OBSERVATION)
    assert not robot.is_served(CONTROL)
    robot.close()
    assert eventually(lambda: not server.is_heard(OBSERVATION) and not server.is_served(CONTROL))
    assert not robot.is_heard(OBSERVATION)
    assert not robot.is_served(CONTROL)


# only over Zenoh: what the other end sees


@pytest.fixture
def routed() -> Iterator[Routed]:
    made = Routed()
    yield made
    made.close()


@pytest.fixture
def direct() -> Iterator[Direct]:
    made = Direct(LinkMode.PEER)
    yield made
    made.close()


@pytest.fixture
def foreign(direct: Direct) -> Iterator[zenoh.Session]:
    """A session of another program, which listens."""
    session = open_zenoh_session(listening(direct.endpoint).to_json5(), ())
    yield session
    close_zenoh_session(session)


def test_a_foreign_party_gets_not_a_byte_more(direct: Direct, foreign: zenoh.Session) -> None:
    link = direct.robot()
    samples: list[zenoh.Sample] = []
    queries: list[tuple[object, str]] = []
    foreign.declare_subscriber(OBSERVATION, zenoh.handlers.Callback(samples.append, indirect=False))

    def answer(query: zenoh.Query) -> None:
        queries.append((query.attachment, str(query.parameters)))
        query.reply(CONTROL, b"yes")
        query.drop()  # type: ignore[no-untyped-call]

    foreign.declare_queryable(CONTROL, zenoh.handlers.Callback(answer, indirect=False))
    assert eventually(lambda: link.is_heard(OBSERVATION))
    for header in (b"", HEADER):
        link.publish(OBSERVATION, header=header, payload=b"payload", delivery=Delivery.OBSERVATION)
    assert eventually(lambda: len(samples) == 2)
    without, attached = samples
    assert without.attachment is None
    assert attached.attachment is not None
    assert attached.attachment.to_bytes() == HEADER
    assert (without.timestamp, str(without.encoding), without.express) == (None, "zenoh/bytes", False)
    assert (without.priority, without.congestion_control) == (
        zenoh.Priority.DATA,
        zenoh.CongestionControl.DROP,
    )
    assert eventually(lambda: link.is_served(CONTROL))
    assert link.query(CONTROL, b"?", timeout_s=5.0) == (b"yes",)
    assert queries == [(None, "")]


def test_foreign_messages_need_no_checksum(direct: Direct, foreign: zenoh.Session) -> None:
    link = direct.robot()
    received: list[Sample] = []
    link.subscribe(ANY_OBSERVATION, received.append)
    link.serve(ANY_CONTROL, lambda query: query.reply(b"answer to " + query.payload))
    assert eventually(lambda: bool(list(foreign.get(CONTROL, payload=b"", timeout=5.0))))
    for attachment in (None, b"", b"abc"):
        foreign.put(OBSERVATION, b"payload", attachment=attachment)
    assert eventually(lambda: [each.header for each in received] == [b"", b"", b"abc"])
    [reply] = foreign.get(CONTROL, payload=b"it", timeout=5.0)
    assert reply.ok is not None
    assert (reply.ok.payload.to_bytes(), reply.ok.attachment) == (b"answer to it", None)


def test_an_error_of_a_foreign_server_is_told_in_short(direct: Direct, foreign: zenoh.Session) -> None:
    link = direct.robot()
    said = [b"no \x1b[2J such model" + b"!" * 5000, b"Timeout of my own"]

    def refuse(query: zenoh.Query) -> None:
        query.reply_err(said.pop(0))
        query.drop()  # type: ignore[no-untyped-call]

    foreign.declare_queryable(CONTROL, zenoh.handlers.Callback(refuse, indirect=False), complete=True)
    assert eventually(lambda: link.is_served(CONTROL))
    with pytest.raises(LinkError, match=r"answered with an error: no \\x1b\[2J such model!") as caught:
        link.query(CONTROL, b"", timeout_s=5.0)
    assert not isinstance(caught.value, QueryTimeoutError)
    assert len(str(caught.value)) < 500
    with pytest.raises(QueryTimeoutError):
        link.query(CONTROL, b"", timeout_s=5.0)


def test_a_server_that_hangs_is_a_timeout(routed: Routed) -> None:
    server, robot = routed.server(), routed.robot()
    kept: list[Query] = []
    server.serve(CONTROL, kept.append)
    assert eventually(lambda: robot.is_served(CONTROL))
    with pytest.raises(QueryTimeoutError):
        robot.query(CONTROL, b"", timeout_s=0.2)


def test_everything_is_declared_again_after_a_loss(routed: Routed) -> None:
    port = int(routed.router.endpoints[0].rpartition(":")[2])
    with (
        FaultProxy("127.0.0.1", port) as proxy,
        ZenohPlainLink(ZenohConfig(connect=(f"tcp/127.0.0.1:{proxy.port}",))) as server,
    ):
        robot = routed.robot()
        received: list[bytes] = []
        server.subscribe(ANY_OBSERVATION, lambda sample: received.append(sample.header + sample.payload))
        server.serve(ANY_CONTROL, lambda query: query.reply(b"here"))
        robot.subscribe(OBSERVATION, lambda sample: None)
        assert eventually(lambda: robot.is_heard(OBSERVATION) and robot.is_served(CONTROL))
        assert eventually(lambda: server.is_heard(OBSERVATION))
        proxy.cut()
        assert eventually(lambda: not robot.is_heard(OBSERVATION) and not server.is_heard(OBSERVATION))
        proxy.heal()
        assert eventually(lambda: server.health().generation == 1)
        assert eventually(lambda: robot.is_heard(OBSERVATION) and server.is_heard(OBSERVATION))
        robot.publish(OBSERVATION, header=b"h", payload=b"p", delivery=Delivery.OBSERVATION)
        assert eventually(lambda: received == [b"hp"])
        assert robot.query(CONTROL, b"", timeout_s=5.0) == (b"here",)


def test_who_else_is_there_is_known_of_the_last_keys_only(
    routed: Routed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zenoh_others, "MAX_ASKED", 3)
    server, robot = routed.server(), routed.robot()
    server.subscribe("many/*", lambda sample: None)
    for index in range(9):
        assert eventually(lambda key=f"many/{index}": robot.is_heard(key))  # type: ignore[misc]
    assert isinstance(robot, ZenohPlainLink)
    connection = robot._connection
    assert isinstance(connection, ZenohConnection)
    assert list(connection._others._publishers) == ["many/6", "many/7", "many/8"]
    assert eventually(lambda: robot.is_heard("many/0"))


def test_what_is_no_key_is_refused(routed: Routed) -> None:
    link = routed.robot()
    for ask in (link.is_heard, link.is_served):
        with pytest.raises(ProtocolError, match="not a key"):
            ask("a//b")
