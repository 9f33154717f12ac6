"""The access rules on a real router with certificates: robot A can be robot A, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from transport.certificates import Authority
from transport.rig import eventually, is_served
from vagus.edge.client.session import living_servers
from vagus.errors import ConfigError, LinkError
from vagus.transport.keys import ALL_SERVERS_ALIVE, ALL_SERVERS_STARTING, ServerKey, ServiceKey
from vagus.transport.link import Delivery, Link, Query, Sample
from vagus.transport.router import Router, with_free_port
from vagus.transport.router_acl import access_control
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import LinkMode, RouterConfig, ZenohConfig

HEADER = bytes(27)
RULES = access_control(
    ["alice", "bob"],
    ["gpu", "cpu"],
    tools=["desk"],
    gateways=["cell"],
    tenants={"lab": ["lab-a-*", "guest 1"]},
)
SERVER = ServerKey(ServiceKey.of("reach", "1"), "gpu-0a1b2c")
ALICE, BOB = SERVER.client("alice"), SERVER.client("bob")


def test_a_name_in_two_roles_is_refused() -> None:
    with pytest.raises(ConfigError, match="alice twice"):
        access_control(["alice"], ["alice"])


def test_a_server_name_that_covers_another_is_refused() -> None:
    with pytest.raises(ConfigError, match="'gpu' and 'gpu-2'"):
        access_control([], ["gpu", "gpu-2"])
    access_control([], ["gpu1", "gpu12"])


@pytest.mark.parametrize("other", ["cell-3", "cell-gr00t"])
def test_a_gateways_robots_are_nobody_elses(other: str) -> None:
    with pytest.raises(ConfigError, match=f"'cell' and '{other}'"):
        access_control([other], ["gpu"], gateways=["cell"])
    with pytest.raises(ConfigError, match=f"'cell' and '{other}'"):
        access_control([], ["gpu"], gateways=["cell", other])
    access_control(["cell3"], ["cell-3"], gateways=["cell"])  # a server's keys are elsewhere


@pytest.mark.parametrize(
    ("robots", "gateways", "tenants", "said"),
    [
        (["lab-a-1"], [], {"lab": ["lab-a-*"]}, r"tenant lab with lab-a-\*, and robot lab-a-1 with lab-a-1"),
        ([], ["lab-a"], {"lab": ["lab-*"]}, r"tenant lab with lab-\*, and gateway lab-a with lab-a-\*"),
        ([], ["lab"], {"x": ["lab-a-1"]}, r"tenant x with lab-a-1, and gateway lab with lab-\*"),
        ([], [], {"a": ["lab-*"], "b": ["lab-b-*"]}, "tenant a with .* and tenant b with"),
        ([], [], {"a": ["x", "y"], "b": ["y"]}, "tenant a with y, and tenant b with y"),
        (["lab"], [], {"lab": ["lab-a-*"]}, "lab twice"),
        ([], [], {"lab": []}, "tenant lab: wanted a list of names"),
        ([], [], {"lab": "lab-*"}, "tenant lab: wanted a list of names"),
        ([], [], {"lab": ["a*b"]}, "tenant lab: wanted a client's name"),
    ],
)
def test_a_tenants_robots_are_nobody_elses(
    robots: list[str], gateways: list[str], tenants: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        access_control(robots, ["gpu"], gateways=gateways, tenants=tenants)


def test_a_gateways_name_begins_the_keys_of_its_robots() -> None:
    with pytest.raises(ConfigError, match="a gateway's name of letters, digits"):
        access_control([], [], gateways=["hall 7"])


def test_nothing_is_denied_by_a_rule_and_no_subject_is_open() -> None:
    section = access_control(["alice", "bob"], ["gpu"], tools=["desk"])
    assert section["default_permission"] == "deny"
    text = json.dumps(section)
    assert '"permission": "deny"' not in text
    assert json.loads(text)["subjects"] == [
        {"id": "robot alice", "cert_common_names": ["alice"]},
        {"id": "robot bob", "cert_common_names": ["bob"]},
        {"id": "server gpu", "cert_common_names": ["gpu"]},
        {"id": "tool desk", "cert_common_names": ["desk"]},
    ]
    assert "**" not in text


def test_a_robots_key_is_its_sanitised_name() -> None:
    assert f"*/{SERVER.client('robot 7').client}/obs" in json.dumps(access_control(["robot 7"], []))


@dataclass
class Secured:
    """A router with rules for alice, bob, a server and an operator's desk, all connected."""

    alice: Link
    bob: Link
    server: Link
    desk: Link
    authority: Authority
    endpoint: str

    def __post_init__(self) -> None:
        self.observed: list[Sample] = []
        self.asked: list[str] = []
        self.server_saw: dict[str, bool] = {}
        self.bob_got: list[Sample] = []


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    authority = Authority(tmp_path)
    rules = tmp_path / "access.json5"
    rules.write_text(json.dumps(RULES))
    with ExitStack() as stack:
        config = RouterConfig(
            listen=("tls/127.0.0.1:0",), tls=authority.issue("router"), access_control=rules
        )
        (endpoint,) = stack.enter_context(Router(config)).endpoints
        alice, bob, server, desk = (
            stack.enter_context(ZenohLink(ZenohConfig(connect=(endpoint,), tls=authority.issue(name))))
            for name in ("alice", "bob", "gpu", "desk")
        )
        network = Secured(alice, bob, server, desk, authority, endpoint)
        run_server(network)
        bob.subscribe(BOB.chunk, network.bob_got.append)
        bob.token(BOB.alive("b0"))
        assert eventually(lambda: is_served(alice, SERVER.status) and is_served(bob, BOB.session))
        assert eventually(lambda: network.server_saw.get(BOB.alive("b0"), False))
        yield network


def run_server(network: Secured) -> None:
    def answer(query: Query) -> None:
        network.asked.append(query.key)
        query.reply(b"ack " + query.payload)

    server = network.server
    server.serve(SERVER.status, answer)
    server.serve(SERVER.any_client.session, answer)
    server.serve(SERVER.any_client.reset, answer)
    server.subscribe(SERVER.any_client.observation, network.observed.append)
    server.watch(SERVER.any_client.alive("*"), lambda key, alive: network.server_saw.update({key: alive}))
    server.token(SERVER.alive)


def send(link: Link, key: str, payload: bytes = b"") -> None:
    link.publish(key, header=HEADER, payload=payload, delivery=Delivery.OBSERVATION)


def settle(network: Secured) -> None:
    """Return once what alice sent before has passed the router: her own message comes last."""
    count = len(network.observed)
    send(network.alice, ALICE.observation, b"last")
    assert eventually(lambda: len(network.observed) > count)
    assert network.observed[-1].payload == b"last"


def test_robot_and_server_can_do_all_their_work(secured: Secured) -> None:
    chunks: list[Sample] = []
    servers: dict[str, bool] = {}
    secured.alice.subscribe(ALICE.chunk, chunks.append)
    secured.alice.token(ALICE.alive("a0"))
    secured.alice.watch(ALL_SERVERS_ALIVE, lambda key, alive: servers.update({key: alive}))
    assert eventually(lambda: servers == {SERVER.alive: True})
    assert eventually(lambda: secured.server_saw.get(ALICE.alive("a0"), False))
    assert secured.alice.tokens(ALL_SERVERS_ALIVE, timeout_s=5.0) == frozenset({SERVER.alive})
    assert ALICE.alive("a0") in secured.server.tokens(SERVER.any_client.alive("*"), timeout_s=5.0)
    secured.server.token(SERVER.starting)
    for link in (secured.alice, secured.desk):
        tokens = partial(link.tokens, ALL_SERVERS_STARTING, timeout_s=5.0)
        assert eventually(lambda: tokens() == {SERVER.starting})  # noqa: B023 - asked at once
    assert secured.alice.query(ALICE.session, b"open", timeout_s=5.0) == (b"ack open",)
    assert secured.alice.query(ALICE.reset, b"reset", timeout_s=5.0) == (b"ack reset",)
    for pattern in (SERVER.status, "@vagus/*/*/*/*/status", "@vagus/reach/1/default/*/status"):
        assert secured.alice.query(pattern, b"", timeout_s=5.0) == (b"ack ",), pattern
    for i in range(20):
        send(secured.alice, ALICE.observation, b"%d" % i)
    assert eventually(lambda: len(secured.observed) == 20)
    assert {sample.key for sample in secured.observed} == {ALICE.observation}
    for i in range(20):
        secured.server.publish(ALICE.chunk, header=HEADER, payload=b"%d" % i, delivery=Delivery.CHUNK)
    assert eventually(lambda: len(chunks) == 20)
    assert secured.bob_got == []


@pytest.mark.parametrize(
    ("party", "its", "of_others"),
    [
        ("gateway", "cell-3", "cells-3"),
        ("tenant", "lab-a-3", "lab-b-3"),
        ("tenant", "guest 1", "guest 2"),
        ("tenant", "lab-a-3", "lab-a"),
    ],
)
def test_a_gateway_or_tenant_is_all_of_its_robots_and_nobody_else(
    secured: Secured, party: str, its: str, of_others: str
) -> None:
    own, other = SERVER.client(its), SERVER.client(of_others)
    tls = secured.authority.issue("cell" if party == "gateway" else "lab")
    config = ZenohConfig(connect=(secured.endpoint,), tls=tls)
    chunks: list[str] = []
    servers: dict[str, bool] = {}
    secured.asked.clear()
    with ZenohLink(config) as cell:
        cell.watch(SERVER.alive, lambda key, alive: servers.update({key: alive}))
        for client in (own, other, ALICE):
            cell.subscribe(client.chunk, lambda sample: chunks.append(sample.key))
            cell.token(client.alive("c0"))
        assert eventually(lambda: is_served(cell, own.session))
        assert cell.query(own.session, b"open", timeout_s=5.0) == (b"ack open",)
        for client in (other, ALICE):
            with pytest.raises(LinkError):
                cell.query(client.session, b"open", timeout_s=0.3)
            send(cell, client.observation, b"forged")
        send(cell, own.observation, b"last")
        assert eventually(lambda: bool(secured.observed))
        assert eventually(lambda: secured.server_saw.get(own.alive("c0"), False))
        assert eventually(lambda: servers == {SERVER.alive: True})
        for client in (other, ALICE, own):
            secured.server.publish(client.chunk, header=HEADER, payload=b"", delivery=Delivery.CHUNK)
        assert eventually(lambda: bool(chunks))
    assert set(secured.asked) == {own.session}
    assert [sample.key for sample in secured.observed] == [own.observation]
    assert set(secured.server_saw) == {BOB.alive("b0"), own.alive("c0")}
    assert chunks == [own.chunk]


def test_a_robot_cannot_publish_as_another(secured: Secured) -> None:
    for key in (BOB.observation, SERVER.any_client.observation, "@vagus/*/*/*/*/*/obs", "@vagus/**"):
        send(secured.alice, key, b"forged")
    settle(secured)
    assert {sample.key for sample in secured.observed} == {ALICE.observation}


def test_a_robot_cannot_send_chunks_to_anybody(secured: Secured) -> None:
    for key in (BOB.chunk, SERVER.any_client.chunk, "@vagus/*/*/*/*/*/*", "@vagus/**"):
        send(secured.alice, key, b"forged")
    settle(secured)
    secured.server.publish(BOB.chunk, header=HEADER, payload=b"real", delivery=Delivery.CHUNK)
    assert eventually(lambda: bool(secured.bob_got))
    assert [sample.payload for sample in secured.bob_got] == [b"real"]


def test_a_robot_cannot_open_close_or_reset_as_another(secured: Secured) -> None:
    secured.asked.clear()
    for key in (BOB.session, BOB.reset, SERVER.any_client.session, SERVER.any_client.reset, "@vagus/**"):
        with pytest.raises(LinkError):
            secured.alice.query(key, b"close", timeout_s=0.3)
    assert secured.alice.query(ALICE.session, b"", timeout_s=5.0) == (b"ack ",)
    assert secured.asked == [ALICE.session]


def test_a_robot_cannot_declare_a_token_as_another_or_as_a_server(secured: Secured) -> None:
    seen: dict[str, bool] = {}
    secured.bob.watch(ALL_SERVERS_ALIVE, lambda key, alive: seen.update({key: alive}))
    impostor = ServerKey(SERVER.service, "gpu-ffffff")
    secured.alice.token(BOB.alive("forged"))
    secured.alice.token(impostor.alive)
    secured.alice.token(ALICE.alive("a0"))  # declared last, seen last
    assert eventually(lambda: secured.server_saw.get(ALICE.alive("a0"), False))
    assert eventually(lambda: SERVER.alive in seen)
    assert set(secured.server_saw) == {BOB.alive("b0"), ALICE.alive("a0")}
    assert set(seen) == {SERVER.alive}


def test_a_robot_cannot_read_what_is_meant_for_another(secured: Secured) -> None:
    stolen: list[str] = []
    mine: list[Sample] = []
    for key in (BOB.chunk, BOB.observation, SERVER.any_client.chunk, "@vagus/*/*/*/*/*/*", "@vagus/**"):
        secured.alice.subscribe(key, lambda sample: stolen.append(sample.key))
    secured.alice.subscribe(ALICE.chunk, mine.append)
    settle(secured)
    send(secured.bob, BOB.observation)
    assert eventually(lambda: BOB.observation in {sample.key for sample in secured.observed})
    for _ in range(20):
        secured.server.publish(BOB.chunk, header=HEADER, payload=b"", delivery=Delivery.CHUNK)
    secured.server.publish(ALICE.chunk, header=HEADER, payload=b"", delivery=Delivery.CHUNK)
    assert eventually(lambda: bool(mine) and len(secured.bob_got) == 20)
    # alice's wider subscriptions get her own chunk, and no other
    assert BOB.chunk not in stolen
    assert set(stolen) <= {ALICE.chunk, ALICE.observation}


def test_a_robot_cannot_answer_in_a_servers_place(secured: Secured) -> None:
    answered: list[str] = []

    def forge(query: Query) -> None:
        answered.append(query.key)
        query.reply(b"forged")

    for key in (BOB.session, SERVER.any_client.session, SERVER.status, "@vagus/*/*/*/*/status", "@vagus/**"):
        secured.alice.serve(key, forge)
    settle(secured)
    for _ in range(5):
        assert secured.bob.query(BOB.session, b"", timeout_s=5.0) == (b"ack ",)
        assert secured.bob.query("@vagus/*/*/*/*/status", b"", timeout_s=5.0) == (b"ack ",)
    assert answered == []


def test_a_server_cannot_be_another_server(secured: Secured) -> None:
    other = ServerKey(SERVER.service, "cpu-0a1b2c")
    seen: dict[str, bool] = {}
    secured.alice.watch(ALL_SERVERS_ALIVE, lambda key, alive: seen.update({key: alive}))
    secured.server.serve(other.status, lambda query: query.reply(b"forged"))
    secured.server.token(other.alive)
    fresh = ServerKey(SERVER.service, "gpu-ffffff")  # the same server, started again
    secured.server.token(fresh.alive)
    assert eventually(lambda: fresh.alive in seen)
    assert set(seen) == {SERVER.alive, fresh.alive}
    assert not is_served(secured.alice, other.status)


def test_a_server_sees_the_load_of_the_others_and_can_share_robots_with_them(secured: Secured) -> None:
    secured.asked.clear()
    tls = secured.authority.issue("cpu")
    with ZenohLink(ZenohConfig(connect=(secured.endpoint,), tls=tls)) as other:
        other.token(ServerKey(SERVER.service, "cpu-0a1b2c").alive)
        alive = partial(living_servers, other, SERVER.service.all_alive, timeout_s=5.0)
        assert eventually(lambda: SERVER in alive())
        assert other.query(SERVER.status, b"", timeout_s=5.0) == (b"ack ",)
        with pytest.raises(LinkError):
            other.query(BOB.session, b"", timeout_s=0.3)
    assert secured.asked == [SERVER.status]


def test_an_operator_may_look_and_not_touch(secured: Secured) -> None:
    secured.asked.clear()
    assert secured.desk.query("@vagus/*/*/*/*/status", b"", timeout_s=5.0) == (b"ack ",)
    assert secured.desk.tokens(ALL_SERVERS_ALIVE, timeout_s=5.0) == frozenset({SERVER.alive})
    with pytest.raises(LinkError):
        secured.desk.query(BOB.session, b"", timeout_s=0.3)
    send(secured.desk, BOB.observation, b"forged")
    settle(secured)
    assert secured.asked == [SERVER.status]
    assert {sample.key for sample in secured.observed} == {ALICE.observation}


def test_nobody_gets_in_without_a_certificate_of_the_same_authority(secured: Secured, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "foreign")
    plain = secured.endpoint.replace("tls/", "tcp/")
    with pytest.raises(LinkError, match="no answer"):
        ZenohLink(ZenohConfig(connect=(plain,), open_timeout_s=0.2)).open()
    forged = foreign.issue("mallory", ca=secured.authority.ca)
    with pytest.raises(LinkError, match="no answer"):
        ZenohLink(ZenohConfig(connect=(secured.endpoint,), tls=forged, open_timeout_s=0.2)).open()


def test_a_certificate_without_rules_may_connect_and_do_nothing(secured: Secured) -> None:
    tls = secured.authority.issue("stranger")
    with ZenohLink(ZenohConfig(connect=(secured.endpoint,), tls=tls)) as stranger:
        assert not is_served(stranger, SERVER.status)
        send(stranger, ALICE.observation, b"forged")
        settle(secured)
    assert [sample.payload for sample in secured.observed] == [b"last"]


def test_a_server_that_listens_itself_can_have_the_rules_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = ZenohConfig(
        mode=LinkMode.PEER,
        listen=(with_free_port("tls/127.0.0.1:0"),),
        tls=authority.issue("gpu"),
        extra=(f"access_control={json.dumps(RULES)}",),
    )
    observed: list[Sample] = []
    with ZenohLink(own) as server:
        server.serve(SERVER.any_client.session, lambda query: query.reply(b"ack"))
        server.subscribe(SERVER.any_client.observation, observed.append)
        config = ZenohConfig(connect=own.listen, tls=authority.issue("alice"))
        with ZenohLink(config) as alice:
            assert eventually(lambda: is_served(alice, ALICE.session))
            with pytest.raises(LinkError):
                alice.query(BOB.session, b"", timeout_s=0.3)
            send(alice, BOB.observation, b"forged")
            send(alice, ALICE.observation, b"last")
            assert eventually(lambda: bool(observed))
    assert [(sample.key, sample.payload) for sample in observed] == [(ALICE.observation, b"last")]


def test_the_documentation_shows_these_rules() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    shown = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert shown == access_control(["arm-1"], [])["rules"]
