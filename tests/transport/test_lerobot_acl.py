"""The access rules for LeRobot's remote inference on a real router with certificates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from transport.certificates import Authority
from transport.rig import eventually
from vagus.errors import ConfigError, LinkError
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService, key_expression
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace, every_session
from vagus.transport.lerobot_acl import LeRobotParties
from vagus.transport.link import Delivery, Query, Sample
from vagus.transport.plain_link import PlainLink
from vagus.transport.router import Router
from vagus.transport.router_acl import access_control
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

PARTIES = LeRobotParties(
    robots={"alice": ["arm"], "bob": ["arm"], "carol": ["other", "third"]},
    servers={"gpu": ["arm"], "spare": ["arm"], "elsewhere": ["other"]},
    draft_robots=["dora", "emil"],
    draft_servers={"old": ["smolvla_base"]},
)
SENT_BY_ROBOTS = (RemotePlace.OBSERVATION, RemotePlace.LANGUAGE_REQUEST)
SENT_BY_SERVERS = (RemotePlace.ACTION, RemotePlace.LANGUAGE_RESULT)
SERVICE = DraftService("smolvla_base", "main", "pick")
OTHER_SERVICE = DraftService("act", "main", "pick")


class Secured:
    """A router with these rules, and a link per certificate."""

    def __init__(self, folder: Path) -> None:
        self._resources = ExitStack()
        self._authority = Authority(folder)
        rules = folder / "access.json5"
        rules.write_text(json.dumps(access_control([], [], gateways=["gpu"], lerobot=PARTIES)))
        tls = self._authority.issue("router")
        config = RouterConfig(listen=("tls/127.0.0.1:0",), tls=tls, access_control=rules)
        self.endpoints = self._resources.enter_context(Router(config)).endpoints

    def link(self, name: str) -> PlainLink:
        config = ZenohConfig(connect=self.endpoints, tls=self._authority.issue(name))
        return self._resources.enter_context(ZenohPlainLink(config))

    def close(self) -> None:
        self._resources.close()


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    made = Secured(tmp_path)
    yield made
    made.close()


def key(place: RemotePlace, session: str = "", deployment: str = "arm") -> str:
    instance = "" if place is RemotePlace.DESCRIBE else "i1"
    return str(RemoteKey(place, deployment, instance, session))


def every_client(place: DraftPlace, service: DraftService) -> str:
    return key_expression(place, service.model, service.revision, service.task)


def send(link: PlainLink, at: str, payload: bytes = b"") -> None:
    link.publish(at, header=b"", payload=payload, delivery=Delivery.OBSERVATION)


class Server:
    """What a server of version 1 declares, and what it got."""

    def __init__(self, link: PlainLink, deployment: str = "arm") -> None:
        self.link = link
        self.received: list[Sample] = []
        self.asked: list[str] = []
        self.robots: dict[str, bool] = {}
        every = partial(every_session, deployment=deployment, instance_id="i1")
        for at in (
            key(RemotePlace.DESCRIBE, deployment=deployment),
            key(RemotePlace.OPEN, deployment=deployment),
            every(RemotePlace.CONTROL),
        ):
            link.serve(at, self._answer)
        for place in SENT_BY_ROBOTS:
            link.subscribe(every(place), self.received.append)
        link.watch(every(RemotePlace.CLIENT_ALIVE), lambda at, alive: self.robots.update({at: alive}))
        link.token(key(RemotePlace.SERVER_ALIVE, deployment=deployment))

    def _answer(self, query: Query) -> None:
        self.asked.append(query.key)
        query.reply(b"yes")


def test_a_robot_and_a_server_can_do_all_their_work(secured: Secured) -> None:
    robot, link = secured.link("alice"), secured.link("gpu")
    server = Server(link)
    asked = (key(RemotePlace.DESCRIBE), key(RemotePlace.OPEN), key(RemotePlace.CONTROL, "s1"))
    servers: dict[str, bool] = {}
    received: list[str] = []
    robot.watch(key(RemotePlace.SERVER_ALIVE), lambda at, alive: servers.update({at: alive}))
    robot.token(key(RemotePlace.CLIENT_ALIVE, "s1"))
    for place in SENT_BY_SERVERS:
        robot.subscribe(key(place, "s1"), lambda sample: received.append(sample.key))
    for at in asked:
        assert eventually(lambda at=at: robot.is_served(at))  # type: ignore[misc]
        assert robot.query(at, b"", timeout_s=5.0) == (b"yes",)
    for place in SENT_BY_ROBOTS:
        assert eventually(lambda place=place: robot.is_heard(key(place, "s1")))  # type: ignore[misc]
        send(robot, key(place, "s1"))
    for place in SENT_BY_SERVERS:
        assert eventually(lambda place=place: link.is_heard(key(place, "s1")))  # type: ignore[misc]
        send(link, key(place, "s1"))
    assert eventually(lambda: len(server.received) == len(received) == 2)
    assert eventually(lambda: servers == {key(RemotePlace.SERVER_ALIVE): True})
    assert eventually(lambda: server.robots == {key(RemotePlace.CLIENT_ALIVE, "s1"): True})


def test_a_robot_reaches_no_other_deployment(secured: Secured) -> None:
    robot, spy, server = secured.link("carol"), secured.link("carol"), Server(secured.link("gpu"))
    stolen: list[Sample] = []
    seen: list[str] = []
    for at in ("lerobot/**", key(RemotePlace.SERVER_ALIVE)):
        spy.watch(at, lambda token, alive: seen.append(token))
    for place in SENT_BY_SERVERS:
        for at in (key(place, "s1"), every_session(place, "arm", "i1"), "lerobot/**"):
            spy.subscribe(at, stolen.append)
    robot.token(key(RemotePlace.CLIENT_ALIVE, "s1"))
    for at in (
        key(RemotePlace.DESCRIBE),
        key(RemotePlace.OPEN),
        key(RemotePlace.CONTROL, "s1"),
        "lerobot/**",
    ):
        with pytest.raises(LinkError):
            robot.query(at, b"", timeout_s=0.2)
    for place in SENT_BY_ROBOTS:
        send(robot, key(place, "s1"), b"forged")
    send(robot, "lerobot/**", b"forged")
    finish(secured, server)
    assert [sample.payload for sample in server.received] == [b"last"]
    assert (server.asked, seen, stolen) == ([], [], [])
    assert set(server.robots) == {key(RemotePlace.CLIENT_ALIVE, "last")}


def finish(secured: Secured, server: Server) -> None:
    """Return once what was sent before has passed the router, both ways: messages of alice come last."""
    alice = secured.link("alice")
    received: list[Sample] = []
    alice.subscribe(key(RemotePlace.ACTION, "last"), received.append)
    alice.token(key(RemotePlace.CLIENT_ALIVE, "last"))
    assert eventually(lambda: server.link.is_heard(key(RemotePlace.ACTION, "last")))
    for place in SENT_BY_SERVERS:
        send(server.link, key(place, "s1"), b"secret")
    send(server.link, key(RemotePlace.ACTION, "last"))
    assert eventually(lambda: alice.is_heard(key(RemotePlace.OBSERVATION, "last")))
    send(alice, key(RemotePlace.OBSERVATION, "last"), b"last")
    assert eventually(lambda: len(received) == 1 and b"last" in {each.payload for each in server.received})
    assert eventually(lambda: key(RemotePlace.CLIENT_ALIVE, "last") in server.robots)


def test_a_robot_cannot_be_a_server_or_read_what_robots_send(secured: Secured) -> None:
    robot, other, server = secured.link("alice"), secured.link("bob"), Server(secured.link("gpu"))
    stolen: list[str] = []
    actions: list[bytes] = []
    servers: dict[str, bool] = {}
    other.subscribe(key(RemotePlace.ACTION, "s2"), lambda sample: actions.append(sample.payload))
    other.watch(
        key(RemotePlace.SERVER_ALIVE).replace("i1", "*"), lambda at, alive: servers.update({at: alive})
    )
    impostor = key(RemotePlace.SERVER_ALIVE).replace("i1", "i2")
    robot.token(impostor)
    for place in (RemotePlace.DESCRIBE, RemotePlace.OPEN):
        robot.serve(key(place), lambda query: query.reply(b"forged"))
    for place in SENT_BY_ROBOTS:
        robot.subscribe(every_session(place, "arm", "i1"), lambda sample: stolen.append(sample.key))
    send(robot, key(RemotePlace.ACTION, "s2"), b"forged")
    beats = key(RemotePlace.OPEN).replace("open", "gateways/beats")
    heard: list[bytes] = []
    server.link.subscribe(beats, lambda sample: heard.append(sample.payload))
    send(robot, beats, b"forged")
    finish(secured, server)
    assert eventually(lambda: other.is_heard(key(RemotePlace.OBSERVATION, "s2")))
    send(other, key(RemotePlace.OBSERVATION, "s2"), b"mine")
    assert eventually(lambda: b"mine" in {sample.payload for sample in server.received})
    assert eventually(lambda: server.link.is_heard(key(RemotePlace.ACTION, "s2")))
    send(server.link, key(RemotePlace.ACTION, "s2"), b"real")
    assert eventually(lambda: bool(actions))
    assert other.query(key(RemotePlace.DESCRIBE), b"", timeout_s=5.0) == (b"yes",)
    assert (stolen, actions, heard) == ([], [b"real"], [])
    assert servers == {key(RemotePlace.SERVER_ALIVE): True}


def test_what_the_rules_cannot_do_two_robots_of_one_deployment_hear_each_other(secured: Secured) -> None:
    """docs/security.md says it: give a robot that nobody else may touch a deployment of its own."""
    robot, link = secured.link("bob"), secured.link("gpu")
    heard: list[str] = []
    robot.subscribe(every_session(RemotePlace.ACTION, "arm", "i1"), lambda sample: heard.append(sample.key))
    assert eventually(lambda: link.is_heard(key(RemotePlace.ACTION, "alices")))
    send(link, key(RemotePlace.ACTION, "alices"))
    assert eventually(lambda: heard == [key(RemotePlace.ACTION, "alices")])


def test_a_server_serves_its_own_deployments_only(secured: Secured) -> None:
    link = secured.link("elsewhere")
    Server(link)
    Server(link, "other")
    alice, carol = secured.link("alice"), secured.link("carol")
    assert eventually(lambda: carol.is_served(key(RemotePlace.OPEN, deployment="other")))
    assert carol.query(key(RemotePlace.OPEN, deployment="other"), b"", timeout_s=5.0) == (b"yes",)
    assert not alice.is_served(key(RemotePlace.OPEN))
    with pytest.raises(LinkError):
        alice.query(key(RemotePlace.OPEN), b"", timeout_s=0.2)
    assert alice.tokens(key(RemotePlace.SERVER_ALIVE), timeout_s=1.0) == frozenset()


def test_a_gateway_and_its_standby_find_each_other(secured: Secured) -> None:
    first, second = secured.link("gpu"), secured.link("spare")
    root = key(RemotePlace.OPEN).replace("open", "gateways")
    seen: dict[str, bool] = {}
    beats: list[bytes] = []
    second.watch(f"{root}/*/*", lambda at, alive: seen.update({at: alive}))
    second.subscribe(f"{root}/beats", lambda sample: beats.append(sample.payload))
    first.token(f"{root}/p1/7")
    assert eventually(lambda: first.is_heard(f"{root}/beats"))
    send(first, f"{root}/beats", b"p1/7")
    assert eventually(lambda: seen == {f"{root}/p1/7": True} and beats == [b"p1/7"])


# the draft


def draft(place: DraftPlace, client: str = "", service: DraftService = SERVICE) -> str:
    return str(DraftKey(place, service, client))


class DraftServer:
    """What a server of the draft declares, and what it got."""

    def __init__(self, link: PlainLink) -> None:
        self.link = link
        self.received: list[str] = []
        self.asked: list[str] = []
        self.robots: dict[str, bool] = {}
        resets = every_client(DraftPlace.RESET, SERVICE)
        for at in (draft(DraftPlace.STATUS), draft(DraftPlace.SESSION), resets):
            link.serve(at, self._answer)
        observations = every_client(DraftPlace.OBSERVATION, SERVICE)
        link.subscribe(observations, lambda sample: self.received.append(sample.key))
        tokens = every_client(DraftPlace.CLIENT_ALIVE, SERVICE)
        link.watch(tokens, lambda at, alive: self.robots.update({at: alive}))
        link.token(draft(DraftPlace.SERVER_ALIVE))

    def _answer(self, query: Query) -> None:
        self.asked.append(query.key)
        query.reply(b"yes")


def test_a_robot_of_the_draft_can_do_all_its_work_and_not_ask_as_another(secured: Secured) -> None:
    dora, server = secured.link("dora"), DraftServer(secured.link("old"))
    own = [draft(DraftPlace.STATUS), draft(DraftPlace.SESSION), draft(DraftPlace.RESET, "dora")]
    for at in own:
        assert eventually(lambda at=at: dora.is_served(at))  # type: ignore[misc]
        assert dora.query(at, b"", timeout_s=5.0) == (b"yes",)
    for at in (draft(DraftPlace.RESET, "emil"), every_client(DraftPlace.RESET, SERVICE)):
        with pytest.raises(LinkError):
            dora.query(at, b"", timeout_s=0.2)
    assert dora.tokens(draft(DraftPlace.SERVER_ALIVE), timeout_s=5.0) == {draft(DraftPlace.SERVER_ALIVE)}
    assert server.asked == own


def test_a_robot_of_the_draft_sends_receives_and_lives_as_itself_only(secured: Secured) -> None:
    server = DraftServer(secured.link("old"))
    actions: dict[str, list[str]] = {"dora": [], "emil": []}
    for name, mine in actions.items():
        link = secured.link(name)
        assert eventually(lambda link=link: link.is_heard(draft(DraftPlace.OBSERVATION, "dora")))  # type: ignore[misc]
        both = [draft(DraftPlace.ACTION, client) for client in actions]
        for at in (*both, every_client(DraftPlace.ACTION, SERVICE)):
            link.subscribe(at, lambda sample, mine=mine: mine.append(sample.key))  # type: ignore[misc]
        for client in ("carol", "dora" if name == "emil" else "emil", name):  # its own comes last
            link.token(draft(DraftPlace.CLIENT_ALIVE, client))
            send(link, draft(DraftPlace.OBSERVATION, client))
    tokens = {draft(DraftPlace.CLIENT_ALIVE, name) for name in actions}
    assert eventually(lambda: len(server.received) == 2 and tokens <= set(server.robots))
    assert server.received == [draft(DraftPlace.OBSERVATION, name) for name in actions]
    assert set(server.robots) == tokens | {draft(DraftPlace.SERVER_ALIVE)}
    for name, other in (("dora", "emil"), ("emil", "dora")):
        send(server.link, draft(DraftPlace.ACTION, name))
        assert eventually(lambda name=name: draft(DraftPlace.ACTION, name) in actions[name])  # type: ignore[misc]
        assert draft(DraftPlace.ACTION, other) not in actions[name]


def test_nobody_passes_for_another_server_of_the_draft(secured: Secured) -> None:
    dora, emil, old = secured.link("dora"), secured.link("emil"), secured.link("old")
    seen: dict[str, bool] = {}
    dora.watch("@lerobot/*/*/*/server/alive", lambda at, alive: seen.update({at: alive}))
    emil.token(draft(DraftPlace.SERVER_ALIVE))
    emil.serve(draft(DraftPlace.STATUS), lambda query: query.reply(b"forged"))
    old.token(draft(DraftPlace.SERVER_ALIVE, service=OTHER_SERVICE))
    old.serve(draft(DraftPlace.STATUS, service=OTHER_SERVICE), lambda query: query.reply(b"forged"))
    old.serve(draft(DraftPlace.STATUS), lambda query: query.reply(b"real"))
    old.token(draft(DraftPlace.SERVER_ALIVE))
    assert eventually(lambda: seen == {draft(DraftPlace.SERVER_ALIVE): True})
    assert eventually(lambda: dora.is_served(draft(DraftPlace.STATUS)))
    assert dora.query(draft(DraftPlace.STATUS), b"", timeout_s=5.0) == (b"real",)
    assert not dora.is_served(draft(DraftPlace.STATUS, service=OTHER_SERVICE))


# names


def test_a_name_is_a_robot_or_a_server_of_one_generation() -> None:
    with pytest.raises(ConfigError, match="'gpu' as both"):
        LeRobotParties(robots={"gpu": ["arm"]}, servers={"gpu": ["arm"]})
    with pytest.raises(ConfigError, match="'gpu' as both"):
        LeRobotParties(draft_robots=["gpu"], draft_servers={"gpu": ["act"]})
    LeRobotParties(robots={"gpu": ["arm"]}, draft_servers={"gpu": ["act"]})


@pytest.mark.parametrize("name", ["*", "a/b", "", "a b", "$*", "-a", "@x", "a" * 129, "**"])
def test_a_name_that_would_be_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a deployment of letters"):
        LeRobotParties(robots={"alice": ["arm", name]})
    with pytest.raises(ConfigError, match="a deployment of letters"):
        LeRobotParties(servers={"gpu": [name]})
    name = name if len(name) < 129 else "a" * 256
    with pytest.raises(ConfigError, match="a robot or model of the draft"):
        LeRobotParties(draft_robots=[name])
    with pytest.raises(ConfigError, match="a robot or model of the draft"):
        LeRobotParties(draft_servers={"old": [name]})


def test_a_robot_of_the_draft_is_not_called_server() -> None:
    with pytest.raises(ConfigError, match="'server'"):
        LeRobotParties(draft_robots=["server"])


def test_a_party_without_a_list_of_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="a list of names for 'alice'"):
        LeRobotParties(robots={"alice": "arm"})
    with pytest.raises(ConfigError, match="a list of names for 'gpu'"):
        LeRobotParties(servers={"gpu": []})


def test_no_rule_denies_and_none_is_wider_than_a_segment() -> None:
    section = json.dumps(access_control(["alice"], ["gpu"], lerobot=PARTIES))
    assert '"permission": "deny"' not in section
    assert "**" not in section
    rules = json.loads(section)["rules"]
    names = [rule["id"] for rule in rules]
    assert len(names) == len(set(names))


def test_the_documentation_shows_the_table_of_parties() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    shown = text.partition("from vagus.transport.lerobot_acl import LeRobotParties")[2].partition("```")[0]
    names: dict[str, object] = {}
    exec(f"from vagus.transport.lerobot_acl import LeRobotParties{shown}", names)  # noqa: S102
    assert isinstance(names["lerobot"], LeRobotParties)
