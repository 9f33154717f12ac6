from __future__ import annotations

import re

import pytest
import zenoh
from hypothesis import given
from hypothesis import strategies as st

from vagus.errors import ProtocolError
from vagus.transport.keys import (
    ALL_SERVERS_ALIVE,
    ClientKey,
    ServerKey,
    ServiceKey,
    client_segment,
    keys_intersect,
    sanitise,
    server_from_key,
)

SERVICE = ServiceKey.of("lerobot/pi05", "main")
SERVER = SERVICE.server("gpu-1")
CLIENT = SERVER.client("robot 7")
ROBOT = CLIENT.client

hostile = st.text(st.sampled_from("aA0-_.@*$#?/é\udc80 \n0123456789abcdef"), min_size=1, max_size=90)
anything = st.text(st.characters(exclude_categories=()), min_size=1)
looks_hashed = st.builds("{}-{}".format, hostile, st.from_regex(r"[0-9a-f]{8}", fullmatch=True))
segments = hostile | anything | looks_hashed | hostile.map(sanitise) | st.text("ab", min_size=60, max_size=70)


@given(segments, segments)
def test_distinct_segments_stay_distinct(one: str, other: str) -> None:
    assert (sanitise(one) == sanitise(other)) == (one == other)


@given(segments)
def test_a_cleaned_segment_never_equals_one_that_was_left_alone(segment: str) -> None:
    """Also when an attacker names itself like the cleaned name of another."""
    cleaned = sanitise(segment)
    if cleaned != segment:
        assert sanitise(cleaned) != cleaned


@given(segments)
def test_a_segment_is_one_legal_key_chunk_of_bounded_length(segment: str) -> None:
    chunk = sanitise(segment)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", chunk)
    assert str(zenoh.KeyExpr(f"@vagus/{chunk}/x")) == f"@vagus/{chunk}/x"
    assert not zenoh.KeyExpr(f"@vagus/{chunk}/x").intersects(zenoh.KeyExpr("@vagus/another/x"))


@pytest.mark.parametrize(
    "segment", ["reach", "pi05_base", "v1.0", "gpu-1", "a-b-c", "A" * 64, "-".join("ab" * 16)]
)
def test_a_plain_name_stays_as_it_is(segment: str) -> None:
    assert sanitise(segment) == segment


@pytest.mark.parametrize(
    ("segment", "cleaned"),
    [
        ("lerobot/pi05", "lerobot_pi05"),
        ("robot 7", "robot_7"),
        ("@vagus", "_vagus"),
        ("*", "_"),
        ("**", "_"),
        ("$*", "_"),
        ("a#?b", "a_b"),
        ("-", "_"),
        ("a-", "a_"),
        ("-a", "_a"),
        ("é", "_"),
        ("\udc80", "_"),
        ("a\n", "a_"),
        ("x" * 65, "x" * 55),
        ("gpu-0123abcd", "gpu_0123abcd"),
    ],
)
def test_any_other_name_is_cleaned_and_gets_its_hash(segment: str, cleaned: str) -> None:
    assert re.fullmatch(re.escape(cleaned) + r"-[0-9a-f]{8}", sanitise(segment))


def test_the_hash_is_the_same_in_every_process_and_version() -> None:
    assert sanitise("robot 7") == "robot_7-b4b36762"


def test_an_empty_segment_is_refused() -> None:
    with pytest.raises(ProtocolError, match="must not be empty"):
        sanitise("")


def test_the_keys_are_those_of_the_design() -> None:
    service = "@vagus/reach/main/default"
    client = ServiceKey.of("reach", "main").server("gpu-1").client("r1")
    assert client.server.service.path == service
    assert client.server.service.all_alive == f"{service}/*/alive"
    assert client.server.path == f"{service}/gpu-1"
    assert client.server.status == f"{service}/gpu-1/status"
    assert client.server.alive == f"{service}/gpu-1/alive"
    assert client.path == f"{service}/gpu-1/r1"
    assert client.session == f"{service}/gpu-1/r1/session"
    assert client.reset == f"{service}/gpu-1/r1/reset"
    assert client.observation == f"{service}/gpu-1/r1/obs"
    assert client.chunk == f"{service}/gpu-1/r1/chunk"
    assert client.alive("1f3a") == f"{service}/gpu-1/r1/1f3a/alive"
    assert ServiceKey.of("reach", "main", "lab").path == "@vagus/reach/main/lab"


def test_raw_names_cannot_add_levels_or_wildcards() -> None:
    key = ServiceKey.of("a/b", "*", "@x").server("s/1").client("**").chunk
    assert key.count("/") == 6
    assert "*" not in key
    assert key.count("@") == 1


def test_a_robots_rights_are_one_pattern() -> None:
    rights = zenoh.KeyExpr(f"@vagus/*/*/*/*/{ROBOT}/*")
    for key in (CLIENT.session, CLIENT.reset, CLIENT.observation, CLIENT.chunk):
        assert rights.includes(zenoh.KeyExpr(key))
    other = SERVER.client("robot 8")
    for key in (other.session, other.reset, other.observation, other.chunk, SERVER.alive, SERVER.status):
        assert not rights.intersects(zenoh.KeyExpr(key))


def test_the_servers_patterns_cover_its_clients_only() -> None:
    every = SERVER.any_client
    for pattern, key in ((every.session, CLIENT.session), (every.alive("*"), CLIENT.alive("1f3a"))):
        assert zenoh.KeyExpr(pattern).includes(zenoh.KeyExpr(key))
    elsewhere = SERVICE.server("gpu-2").client("robot 7")
    assert not zenoh.KeyExpr(every.session).intersects(zenoh.KeyExpr(elsewhere.session))


def test_all_servers_are_found_by_one_pattern_and_clients_are_not() -> None:
    pattern = zenoh.KeyExpr(ALL_SERVERS_ALIVE)
    assert pattern.includes(zenoh.KeyExpr(SERVER.alive))
    assert not pattern.intersects(zenoh.KeyExpr(CLIENT.alive("1f3a")))
    assert zenoh.KeyExpr(SERVICE.all_alive).includes(zenoh.KeyExpr(SERVER.alive))


def test_a_foreign_wildcard_matches_nothing_of_ours() -> None:
    assert not zenoh.KeyExpr("**").intersects(zenoh.KeyExpr(CLIENT.chunk))


@pytest.mark.parametrize("key", [SERVER.alive, SERVER.status])
def test_a_server_is_read_from_its_keys(key: str) -> None:
    assert server_from_key(key) == SERVER


@pytest.mark.parametrize(
    "key",
    [
        "",
        "@vagus",
        SERVER.path,
        CLIENT.path,
        CLIENT.session,
        CLIENT.alive("x"),
        SERVER.alive + "/",
        "/" + SERVER.alive,
        SERVER.alive.replace("@vagus", "vagus"),
        SERVER.alive.replace("gpu-1", ""),
        SERVER.alive.replace("gpu-1", "*"),
        SERVER.alive.replace("main", "**"),
        SERVER.alive.replace("main", "@x"),
        SERVER.alive.replace("gpu-1", "gpu-1\n"),
        ALL_SERVERS_ALIVE,
    ],
)
def test_what_names_no_single_server_is_refused(key: str) -> None:
    with pytest.raises(ProtocolError, match="not a server key"):
        server_from_key(key)


@pytest.mark.parametrize(
    "key", [CLIENT.session, CLIENT.reset, CLIENT.observation, CLIENT.chunk, CLIENT.alive("1f3a")]
)
def test_a_client_is_read_from_its_keys(key: str) -> None:
    assert client_segment(key) == ROBOT


@pytest.mark.parametrize(
    "key",
    [
        "",
        "@vagus",
        SERVER.alive,
        SERVER.status,
        CLIENT.path,
        CLIENT.path + "/other",
        CLIENT.path + "/alive",
        CLIENT.path + "/1f3a/session",
        CLIENT.alive("1f3a") + "/x",
        SERVER.any_client.session,
        SERVER.any_client.alive("*"),
        CLIENT.session.replace(ROBOT, "**"),
        CLIENT.session.replace(ROBOT, ""),
        CLIENT.session.replace("@vagus", "vagus"),
    ],
)
def test_what_names_no_single_client_is_refused(key: str) -> None:
    with pytest.raises(ProtocolError, match="not a client key"):
        client_segment(key)


@given(st.lists(segments, min_size=6, max_size=6))
def test_keys_are_read_as_they_were_built(names: list[str]) -> None:
    model, revision, name, server, client, instance = names
    key = ServiceKey.of(model, revision, name).server(server)
    assert server_from_key(key.alive) == server_from_key(key.status) == server_from_key(key.starting) == key
    assert client_segment(key.client(client).chunk) == sanitise(client)
    assert client_segment(key.client(client).alive(sanitise(instance))) == sanitise(client)


chunks = st.sampled_from(["a", "b", "@v", "*", "a-1"])
paths = st.lists(chunks, min_size=1, max_size=4).map("/".join)


@given(paths, paths)
def test_keys_intersect_as_zenoh_says(left: str, right: str) -> None:
    assert keys_intersect(left, right) == zenoh.KeyExpr(left).intersects(zenoh.KeyExpr(right))


def test_keys_are_values() -> None:
    assert ClientKey(SERVER, ROBOT) == CLIENT
    assert ServerKey(SERVICE, "gpu-1") == SERVER
    assert len({SERVICE, ServiceKey.of("lerobot/pi05", "main")}) == 1
