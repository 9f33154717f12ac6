"""Each protocol is recognised from the golden messages of its original programs, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.gateways.arrays import ArrayDialect, encode_message
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply
from vagus.gateways.recognition.findings import HEALTH, OPENING, Answer, Carrier, Recognised
from vagus.gateways.recognition.registry import recognisers
from vagus.integrations.gr00t.dialect import N1_7, decode_request, encode_reply
from vagus.integrations.lerobot_zenoh.recognition import judge_descriptor, judge_status

INTEGRATIONS = Path(__file__).parents[2] / "integrations"
HERE = Path(__file__).parent / "golden"
OK = Answer(200, "text/plain", b"OK\n", {"server": "Python/3.11 websockets/15.0"})
MODALITY: dict[Key, Value] = {"delta_indices": [0], "modality_keys": ["front"]}
UPGRADE_REQUIRED = Answer(426, "text/plain", b"Failed to open a WebSocket connection", {})
LEROBOT = "/transport.AsyncInference/SendPolicyInstructions"
LEROBOT_OLD = "/async_inference.AsyncInference/SendPolicyInstructions"
ASTRIBOT = "/openpi.OpenPiInferenceService/GetStatus"
ASTRIBOT_LEROBOT = "/lerobot.LeRobotInferenceService/GetStatus"


def golden(system: str, name: str) -> bytes:
    return (INTEGRATIONS / system / "golden" / f"{name}.bin").read_bytes()


def packed(value: Value | Mapping[Key, Value]) -> bytes:
    return encode_message(value, ArrayDialect.NPY)


def judged(carrier: Carrier, answers: Mapping[str, Answer]) -> list[Recognised]:
    found = [each.judge(answers) for each in recognisers() if each.carrier is carrier]
    return [each for each in found if each is not None]


def named(carrier: Carrier, answers: Mapping[str, Answer]) -> list[tuple[str, str, bool]]:
    return [(each.protocol, each.version, each.is_kept) for each in judged(carrier, answers)]


def broken(found: Recognised) -> list[str]:
    return [check.rule for check in found.checks if check.is_kept is False]


# over WebSockets


def opened(metadata: bytes, kind: str = "binary", **headers: str) -> Answer:
    return Answer(101, kind, metadata, headers)


def test_openpi_is_recognised_by_its_first_frame() -> None:
    first = opened(golden("openpi", "conn1_s2c_frame0_op2"))
    assert named(Carrier.WEBSOCKET, {HEALTH: OK, OPENING: first}) == [("openpi", "WebSocket", True)]
    [found] = judged(Carrier.WEBSOCKET, {HEALTH: UPGRADE_REQUIRED, OPENING: opened(b"\x80")})
    assert (found.is_kept, found.seen) == (True, "metadata with the keys: none")


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        (
            {"env": "starvla_policy_server", "action_chunk_size": 8},
            ("starVLA", "openpi's frames, requests of its own"),
        ),
        (
            dict.fromkeys(
                (
                    "image_resolution",
                    "needs_wrist_camera",
                    "n_external_cameras",
                    "needs_session_id",
                    "action_space",
                )
            ),
            ("openpi", "RoboArena / DreamZero"),
        ),
        ({"vagus": {"rate_hz": 10.0}}, ("openpi", "gateway of vagus")),
    ],
)
def test_a_server_of_openpis_kind_is_told_by_its_metadata(
    metadata: dict[Key, Value], name: tuple[str, str]
) -> None:
    assert named(Carrier.WEBSOCKET, {HEALTH: OK, OPENING: opened(packed(metadata))}) == [(*name, True)]


def test_an_openpi_server_that_breaks_its_protocol_is_told_so() -> None:
    [found] = judged(
        Carrier.WEBSOCKET,
        {
            HEALTH: Answer(200, "text/html", b"<html>", {}),
            OPENING: opened(b"\x80", **{"sec-websocket-extensions": "permessage-deflate"}),
        },
    )
    assert broken(found) == ["messages are not compressed", "GET /healthz answers OK"]
    assert not found.is_kept


@pytest.mark.parametrize(
    "first", [opened(b"hello", "text"), opened(b"\xc1"), opened(b"\x01"), opened(b""), Answer(401), Answer()]
)
def test_another_websocket_server_is_not_openpi(first: Answer) -> None:
    assert judged(Carrier.WEBSOCKET, {HEALTH: OK, OPENING: first}) == []


def test_a_gateway_of_vagus_is_known_without_a_websocket() -> None:
    health = Answer(200, "text/plain", b"OK\n", {"server": "vagus"})
    [found] = judged(Carrier.WEBSOCKET, {HEALTH: health})
    assert (found.protocol, found.version, found.is_kept) == ("openpi", "gateway of vagus", True)
    assert any("takes a session" in check.got for check in found.checks if check.is_kept is None)
    assert judged(Carrier.WEBSOCKET, {HEALTH: OK}) == []


# over ZeroMQ


def zeromq(ping: bytes, described: bytes) -> dict[str, Answer]:
    return {"ping": Answer(None, "REP", ping), "get_modality_config": Answer(None, "REP", described)}


@pytest.mark.parametrize(
    ("ping", "described", "version"),
    [("n15_01_REP", "n15_05_REP", "N1.5"), ("n16_01_REP", "n16_07_REP", "N1.6")],
)
def test_a_version_of_gr00t_is_told_by_its_modalities(ping: str, described: str, version: str) -> None:
    answers = zeromq(golden("gr00t", ping), golden("gr00t", described))
    assert named(Carrier.ZEROMQ, answers) == [("GR00T", version, True)]


@pytest.mark.parametrize(
    ("markers", "version"),
    [
        (("__ModalityConfig__",), "N1.7"),
        (("__ModalityConfig_class__", "__ModalityConfig__"), "N1.6 and N1.7"),
    ],
)
def test_the_newer_marker_is_n1_7_and_both_are_a_gateway_of_vagus(
    markers: tuple[str, ...], version: str
) -> None:
    described = packed({"video": {**dict.fromkeys(markers, True), "as_json": {**MODALITY}}})
    assert named(Carrier.ZEROMQ, zeromq(golden("gr00t", "n16_01_REP"), described)) == [
        ("GR00T", version, True)
    ]


@pytest.mark.parametrize(
    "said", [{"delta_indices": 0}, {"delta_indices": [0.5], "modality_keys": []}, {"delta_indices": [0]}, 7]
)
def test_a_gr00t_server_that_breaks_its_protocol_is_told_so(said: Value) -> None:
    for as_json in (said, json.dumps(said)):
        described = packed({"video": {"__ModalityConfig_class__": True, "as_json": as_json}})
        found = judged(Carrier.ZEROMQ, zeromq(packed({"status": "fine"}), described))
        for one in found:  # a description that is a number is of no version
            assert "ping is answered as by GR00T's server" in broken(one)
            assert "each modality has delta_indices and modality_keys" in broken(one)
        assert found or as_json == 7


def test_the_oldest_gr00t_answers_error_to_what_is_no_pickle() -> None:
    assert named(Carrier.ZEROMQ, zeromq(b"ERROR", b"ERROR")) == [("GR00T", "N1", True)]


def test_a_server_that_wants_a_token_tells_no_version() -> None:
    refused = golden("gr00t", "n15_badtoken_01_REP")
    assert named(Carrier.ZEROMQ, zeromq(refused, refused)) == [("GR00T or PointAct", "", True)]


def test_pointact_is_told_by_the_question_that_it_does_not_know() -> None:
    ping = (HERE / "pointact_ping_REP.bin").read_bytes()
    unknown = packed({"error": "Unknown endpoint: get_modality_config"})
    assert named(Carrier.ZEROMQ, zeromq(ping, unknown)) == [("PointAct", "ZeroMQ", True)]
    assert named(Carrier.ZEROMQ, zeromq(unknown, unknown)) == [("PointAct", "ZeroMQ", False)]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\xc0", b"\x80"])
def test_another_zeromq_server_is_none_of_them(body: bytes) -> None:
    assert judged(Carrier.ZEROMQ, zeromq(body, body)) == []


# over gRPC


def grpc_answers(**status: Answer) -> dict[str, Answer]:
    unknown = Answer(12, "Method not found!")
    names = {"lerobot": LEROBOT, "old": LEROBOT_OLD, "astribot": ASTRIBOT, "variant": ASTRIBOT_LEROBOT}
    return {method: status.get(name, unknown) for name, method in names.items()}


@pytest.mark.parametrize("status", [2, 3, 13])
def test_lerobots_server_is_told_by_what_it_cannot_read(status: int) -> None:
    answer = Answer(status, "Exception deserializing request!")
    new = ("LeRobot gRPC", "transport (July 2025 and later)", True)
    old = ("LeRobot gRPC", "async_inference (before July 2025)", True)
    assert named(Carrier.GRPC, grpc_answers(lerobot=answer)) == [new]
    assert named(Carrier.GRPC, grpc_answers(old=answer)) == [old]


@pytest.mark.parametrize("status", [0, 4, 12, 14, 16, None])
def test_another_grpc_server_is_not_lerobots(status: int | None) -> None:
    assert judged(Carrier.GRPC, grpc_answers(lerobot=Answer(status), old=Answer(status))) == []


def test_astribot_is_recognised_by_its_status() -> None:
    status = Answer(0, "", (HERE / "astribot_GetStatus_s2c.bin").read_bytes())
    [found] = judged(Carrier.GRPC, grpc_answers(astribot=status))
    assert (found.protocol, found.version, found.is_kept) == ("Astribot S1 gRPC", "openpi", True)
    assert found.seen == f"{ASTRIBOT}: ready, model pi05_astribot_lora"
    [found] = judged(Carrier.GRPC, grpc_answers(variant=Answer(0, "", b"\x35\x00\x00\xf0\x41")))  # fps 30
    assert (found.version, found.is_kept) == ("lerobot", True)
    assert "not configured yet, model none" in found.seen


@pytest.mark.parametrize(
    "body", [b"\x08", b"\x0a\xff", b"\x0a\x01x", b"\x50\x01", b"\x4a\x01{", b"\xff" * 12]
)
def test_a_status_that_is_none_is_told(body: bytes) -> None:
    [found] = judged(Carrier.GRPC, grpc_answers(astribot=Answer(0, "", body)))
    assert not found.is_kept


# over HTTP


def http(**answers: Answer) -> dict[str, Answer]:
    missing = Answer(404, "application/json", b'{"detail":"Not Found"}', {})
    names = {"post": "POST /get_action", "health": "GET /health", "act": "GET /act"}
    names["models"] = "GET /api/v1/models"
    return {question: answers.get(name, missing) for name, question in names.items()}


ONLY_POST = Answer(405, "application/json", b'{"detail":"Method Not Allowed"}', {})


def test_servers_over_http_are_told_apart() -> None:
    healthy = Answer(200, "application/json", b'{"status":"healthy","model":"GR00T"}', {})
    ping = (HERE / "pointact_ping_REP.bin").read_bytes()
    models = Answer(200, "application/json", b'{"models":["a"]}', {})
    assert named(Carrier.HTTP, http(health=healthy, act=ONLY_POST)) == [("GR00T", "N1.5 over HTTP", True)]
    assert named(Carrier.HTTP, http(health=healthy)) == [("GR00T", "N1.5 over HTTP", False)]
    assert named(Carrier.HTTP, http(act=ONLY_POST)) == [("OpenVLA", "REST", True)]
    assert named(Carrier.HTTP, http(models=models)) == [("Positronic", "api/v1", True)]
    for kind, is_kept in (("application/msgpack", True), ("text/plain", False)):
        found = named(Carrier.HTTP, http(post=Answer(200, kind, ping, {})))
        assert found == [("PointAct", "HTTP and msgpack", is_kept)]
    assert named(Carrier.HTTP, http()) == []


# LeRobot's remote inference


def v1(name: str) -> bytes:
    return (INTEGRATIONS / "lerobot_zenoh" / "v1" / "golden" / f"{name}.bin").read_bytes()


def rules_broken_by(payload: bytes, deployment: str = "bench-act") -> list[str]:
    return broken(judge_descriptor(payload, deployment))


REPEATED = "it repeats the request's id"
READABLE = "the answer to describe is a descriptor that clients read"


def test_a_descriptor_of_the_original_server_is_generation_c() -> None:
    found = judge_descriptor(v1("01_describe_s2c"), "bench-act")
    assert (found.protocol, found.version) == ("LeRobot remote inference v1", "generation C")
    assert broken(found) == [REPEATED]  # it was asked by another id
    assert "deployment bench-act, semantics 'bench_v1'" in found.seen


@pytest.mark.parametrize(
    ("contracts", "generation"),
    [
        (b"\x91\xb2chunk_alignment_v1", "generation B"),
        (b"\x92\xb2chunk_alignment_v1\xb2chunk_alignment_v2", "generation B and C"),
        (b"\x90", "generation B or C, without aligned chunks"),
    ],
)
def test_a_generation_is_told_by_its_contracts(contracts: bytes, generation: str) -> None:
    stated = b"\xb3execution_contracts"
    payload = v1("01_describe_s2c").replace(stated + b"\x91\xb2chunk_alignment_v2", stated + contracts)
    assert judge_descriptor(payload, "bench-act").version == generation


def test_a_descriptor_without_contracts_is_generation_a() -> None:
    payload = v1("01_describe_s2c").replace(b"\xb3execution_contracts", b"\xb3executiom_contracts")
    assert judge_descriptor(payload, "bench-act").version == "generation A"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"\xa5ready\xc3", b"\xa5ready\xc2", "it is ready"),
        (b"\xabrtc_horizon", b"\xabrtc_horizom", READABLE),  # an unknown key ends the original client
        (b"bench-act", b"bench-acd", "the deployment is the one that was asked"),
    ],
)
def test_a_descriptor_that_clients_would_not_take_is_told(old: bytes, new: bytes, rule: str) -> None:
    assert rule in rules_broken_by(v1("01_describe_s2c").replace(old, new))


@pytest.mark.parametrize(
    "name", ["10_open_busy_s2c", "bad_version_2", "bad_not_map", "bad_no_body", "02_open_aligned_s2c"]
)
def test_what_is_no_descriptor_is_told(name: str) -> None:
    assert rules_broken_by(v1(name)) == [READABLE]


def test_the_draft_is_recognised_by_its_status() -> None:
    folder = INTEGRATIONS / "lerobot_zenoh" / "draft" / "golden"
    payload = (folder / "lrz_status_rep.bin").read_bytes()
    found = judge_status(payload)
    assert (found.protocol, found.version, found.is_kept) == (
        "LeRobot remote inference, draft",
        "schema 1",
        True,
    )
    other = payload.replace(
        b"\xb2min_schema_version\x01\xb2max_schema_version\x01",
        b"\xb2min_schema_version\x02\xb2max_schema_version\x03",
    )
    assert (judge_status(other).version, broken(judge_status(other))) == (
        "schema 2–3",
        ["it speaks schema 1"],
    )
    assert not judge_status(b"\x80").is_kept


@given(
    st.sampled_from(list(Carrier)),
    st.binary(max_size=60),
    st.sampled_from(["", "binary", "text", "REP", "application/json"]),
    st.one_of(st.none(), st.integers(0, 600)),
)
def test_no_answer_makes_a_recogniser_raise(
    carrier: Carrier, body: bytes, kind: str, status: int | None
) -> None:
    answer = Answer(status, kind, body, {"server": "vagus"})
    questions = {name for each in recognisers() for name in each.questions}
    judged(carrier, dict.fromkeys(questions, answer))
    judge_descriptor(body)
    judge_status(body)


def test_a_description_of_our_own_dialect_is_that_of_its_version() -> None:
    """The goldens of N1.7 hold no description; the one that our gateway writes for it is recognised as it."""
    request = decode_request(golden("gr00t", "n16_06_REQ"))
    reply = ForeignReply(extra={"video": {**MODALITY}})
    for version, told in ((N1_7, "N1.7"), ("", "N1.6 and N1.7"), ("n1.5", "N1.5")):
        described = encode_reply(reply, request, version=version)
        assert named(Carrier.ZEROMQ, zeromq(golden("gr00t", "n16_01_REP"), described)) == [
            ("GR00T", told, True)
        ]
