"""The search at real servers of each kind: what it finds, and that it changes nothing there."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import zmq
from websockets.sync.server import ServerConnection, serve

from integrations.gr00t import rig as gr00t_rig
from integrations.lerobot_grpc import rig as lerobot_rig
from integrations.lerobot_zenoh.draft import rig as draft_rig
from integrations.openpi import rig as openpi_rig
from server.raw_client import wait_until
from transport.certificates import Authority
from vagus.demo.reach import ReachPolicy
from vagus.gateways.recognition import exchange as exchange_module
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.findings import MAX_ANSWER_BYTES
from vagus.gateways.recognition.search import Search, search
from vagus.integrations.lerobot_zenoh.recognition import OVER_ZENOH
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType, decode_message, encode_message
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.link import Query
from vagus.transport.memory import MemoryNetwork
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink, ZenohPlainLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
INTEGRATIONS = ROOT / "integrations"
recognise_v1, recognise_draft = OVER_ZENOH


def found_at(port: int, path: str = "") -> Search:
    return search(parse_searched(f"127.0.0.1:{port}{path}"), ZenohConfig())


def named(found: Search) -> list[tuple[str, str, bool]]:
    return [(one.protocol, one.version, one.is_kept) for one in found.recognised]


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


# WebSockets


@contextmanager
def websocket(first: bytes | str | None, context: ssl.SSLContext | None = None) -> Iterator[int]:
    def greet(connection: ServerConnection) -> None:
        if first is not None:
            connection.send(first)
        for _ in connection:
            pass

    with serve(greet, "127.0.0.1", 0, compression=None, close_timeout=0.1, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
    thread.join()


def test_an_openpi_server_is_found() -> None:
    metadata = (INTEGRATIONS / "openpi" / "golden" / "conn1_s2c_frame0_op2.bin").read_bytes()
    with websocket(metadata) as port:
        assert named(found_at(port)) == [("openpi", "WebSocket", True)]


def test_an_openpi_server_behind_tls_is_found(tmp_path: Path) -> None:
    tls = Authority(tmp_path).issue("gpu")
    assert tls.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.private_key)
    with websocket(b"\x80", context) as port:
        found = search(parse_searched(f"wss://127.0.0.1:{port}"), ZenohConfig())
        assert named(found) == [("openpi", "WebSocket", True)]
        assert found_at(port).recognised == ()


def test_another_websocket_server_is_told_by_what_it_does() -> None:
    with websocket("hello") as port:
        found = found_at(port)
        assert (found.recognised, found.there) == (
            (),
            "a WebSocket server: begins with a text message of 5 bytes",
        )


def test_a_gateway_for_openpi_is_found_and_no_session_is_taken() -> None:
    policy = openpi_rig.EchoPolicy()
    with openpi_rig.served(policy) as link, openpi_rig.listening(link) as listener:
        assert named(found_at(port_of(listener.address))) == [("openpi", "gateway of vagus", True)]
        assert listener._gateway.metrics.peers == 0
        assert policy.episodes == 0


# ZeroMQ


@contextmanager
def zeromq(answers: dict[str, bytes]) -> Iterator[int]:
    """A REP socket with an answer to each endpoint; any other is answered with an empty message."""
    context = zmq.Context()
    replying = context.socket(zmq.REP)
    port = replying.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def reply() -> None:
        while not stop.is_set():
            if replying.poll(20):
                frame = replying.recv()
                known = [answer for name, answer in answers.items() if name.encode() in frame]
                replying.send(known[0] if known else b"")

    thread = threading.Thread(target=reply)
    thread.start()
    yield port
    stop.set()
    thread.join()
    context.destroy(linger=0)


@pytest.mark.parametrize(
    ("ping", "described", "version"), [("n15_01", "n15_05", "N1.5"), ("n16_01", "n16_07", "N1.6")]
)
def test_a_gr00t_server_and_its_version_are_found(ping: str, described: str, version: str) -> None:
    golden = INTEGRATIONS / "gr00t" / "golden"
    answers = {
        "ping": (golden / f"{ping}_REP.bin").read_bytes(),
        "get_modality_config": (golden / f"{described}_REP.bin").read_bytes(),
    }
    with zeromq(answers) as port:
        assert named(found_at(port)) == [("GR00T", version, True)]


def test_a_gateway_for_gr00t_is_found_and_no_session_is_taken() -> None:
    with gr00t_rig.served() as stand, gr00t_rig.listening(stand.link) as listener:
        assert named(found_at(port_of(listener.address))) == [("GR00T", "N1.6 and N1.7", True)]
        assert (listener._gateway.metrics.peers, stand.sessions) == (0, 0)


def test_a_pointact_server_is_found() -> None:
    unknown = b"\x81\xa5error\xd9\x25Unknown endpoint: get_modality_config"
    ping = (GOLDEN / "pointact_ping_REP.bin").read_bytes()
    with zeromq({"ping": ping, "get_modality_config": unknown}) as port:
        assert named(found_at(port)) == [("PointAct", "ZeroMQ", True)]


# gRPC


@contextmanager
def grpc_server(
    service: str, methods: dict[str, Callable[[bytes], bytes]]
) -> Iterator[tuple[int, list[str]]]:
    """A server of gRPC for Python; with the names of the methods that were called."""
    called: list[str] = []

    def handler(name: str, answer: Callable[[bytes], bytes]) -> grpc.RpcMethodHandler:
        def call(message: bytes, _: grpc.ServicerContext) -> bytes:
            called.append(name)
            return answer(message)

        return grpc.unary_unary_rpc_method_handler(call, request_deserializer=parsed)

    handlers = {name: handler(name, answer) for name, answer in methods.items()}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, called
    server.stop(None).wait()


def parsed(message: bytes) -> bytes:
    """Read a message as protobuf's own classes do: what is none raises."""
    if message and message[1] >= len(message):
        raise ValueError("truncated message")
    return message


LEROBOT_CALLS = ("Ready", "SendPolicyInstructions", "GetActions", "Stop")


@pytest.mark.parametrize(
    ("service", "version"),
    [
        ("transport.AsyncInference", "transport (July 2025 and later)"),
        ("async_inference.AsyncInference", "async_inference (before July 2025)"),
    ],
)
def test_lerobots_server_is_found_and_none_of_its_calls_is_made(service: str, version: str) -> None:
    with grpc_server(service, dict.fromkeys(LEROBOT_CALLS, bytes)) as (port, called):
        assert named(found_at(port)) == [("LeRobot gRPC", version, True)]
        assert called == []


def test_a_gateway_for_lerobot_is_found_and_no_session_is_taken() -> None:
    with lerobot_rig.standing() as stand:
        port = port_of(stand.listener.address)
        assert named(found_at(port)) == [("LeRobot gRPC", "transport (July 2025 and later)", True)]
        assert stand.gateway.metrics.peers == 0


@pytest.mark.parametrize(
    ("service", "variant"),
    [("openpi.OpenPiInferenceService", "openpi"), ("lerobot.LeRobotInferenceService", "lerobot")],
)
def test_an_astribot_server_is_found_by_its_status_alone(service: str, variant: str) -> None:
    status = (
        (GOLDEN / "astribot_GetStatus_s2c.bin").read_bytes() if variant == "openpi" else b"\x08\x01\x12\x01m"
    )
    methods = dict.fromkeys(("Configure", "Predict", "Reset", "Control"), bytes)
    with grpc_server(service, {**methods, "GetStatus": lambda _: status}) as (port, called):
        assert named(found_at(port)) == [("Astribot S1 gRPC", variant, True)]
        assert called == ["GetStatus"]


# HTTP


@contextmanager
def web(answers: dict[str, tuple[int, str, bytes]]) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server with an answer to each method and path."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            question = f"{self.command} {self.path}"
            asked.append(question)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, kind, body = answers.get(question, (404, "application/json", b"{}"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def test_servers_over_http_are_found_and_nothing_is_posted_to_act() -> None:
    only_post = (405, "application/json", b"{}")
    healthy = (200, "application/json", b'{"status": "healthy", "model": "GR00T"}')
    ping = (200, "application/msgpack", (GOLDEN / "pointact_ping_REP.bin").read_bytes())
    for answers, name in (
        ({"GET /act": only_post, "GET /health": healthy}, ("GR00T", "N1.5 over HTTP", True)),
        ({"GET /act": only_post}, ("OpenVLA", "REST", True)),
        ({"POST /get_action": ping}, ("PointAct", "HTTP and msgpack", True)),
    ):
        with web(answers) as (port, asked):
            assert named(found_at(port)) == [name]
            assert "POST /act" not in asked


def test_another_http_server_is_told_by_what_it_says() -> None:
    with web({}) as (port, _):
        found = found_at(port)
        assert (found.recognised, found.is_anybody) == ((), True)
        assert "an HTTP server" in found.there


# Zenoh


@pytest.fixture
def router() -> Iterator[Router]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as running:
        yield running


def test_an_empty_network_has_no_protocol(router: Router) -> None:
    found = found_at(port_of(router.endpoints[0]))
    assert (found.recognised, found.is_anybody) == ((), True)
    assert found.there.startswith("a Zenoh router, such as vagus's own; nobody shows a token")


def test_everybody_on_a_network_is_found(router: Router) -> None:
    golden = INTEGRATIONS / "lerobot_zenoh"
    config = ZenohConfig(connect=router.endpoints)
    head, body = decode_message((golden / "v1" / "golden" / "01_describe_s2c.bin").read_bytes())
    asked: list[MessageType] = []

    def describe(query: Query) -> None:
        question, _ = decode_message(query.payload)
        asked.append(question.kind)
        answer = question.answered(MessageType.DESCRIPTOR)
        query.reply(encode_message(replace(answer, instance_id=head.instance_id), body))  # type: ignore[arg-type]

    deployment = "lerobot/inference/v1/deployments/bench-act"
    with ZenohPlainLink(config) as foreign, ZenohLink(config) as own:
        foreign.serve(f"{deployment}/describe", describe)
        foreign.token(f"{deployment}/instances/{head.instance_id}/alive")
        status = (golden / "draft" / "golden" / "lrz_status_rep.bin").read_bytes()
        foreign.serve("@lerobot/m/main/t/status", lambda query: query.reply(status))
        foreign.token("@lerobot/m/main/t/server/alive")
        with Server(own, ReachPolicy, ServeConfig(warm_up=False)) as server:
            assert server.wait_ready(30.0)
            found = found_at(port_of(router.endpoints[0]))
            assert server.load().sessions == 0
    assert named(found) == [
        ("vagus", "wire schema 1", True),
        ("LeRobot remote inference v1", "generation C", True),
        ("LeRobot remote inference, draft", "schema 1", True),
    ]
    assert asked == [MessageType.DESCRIBE]


def test_servers_that_show_no_token_are_asked_all_the_same(router: Router) -> None:
    golden = INTEGRATIONS / "lerobot_zenoh"
    described = (golden / "v1" / "golden" / "36_descriptor_rtc_guided_s2c.bin").read_bytes()
    with ZenohPlainLink(ZenohConfig(connect=router.endpoints)) as foreign:
        deployment = "lerobot/inference/v1/deployments/bench-act"
        foreign.serve(f"{deployment}/describe", lambda query: query.reply(described))
        assert [one.version for one in found_at(port_of(router.endpoints[0])).recognised] == ["generation C"]


def test_an_answer_over_the_network_is_bounded(router: Router) -> None:
    config = ZenohConfig(connect=router.endpoints)
    with ZenohPlainLink(config) as foreign, ZenohPlainLink(config) as doctor:
        foreign.serve("@lerobot/m/main/t/status", lambda query: query.reply(bytes(MAX_ANSWER_BYTES + 1)))
        foreign.token("@lerobot/m/main/t/server/alive")
        wait_until(lambda: doctor.is_served("@lerobot/m/main/t/status"))
        [found] = found_at(port_of(router.endpoints[0])).recognised
        assert [check.got for check in found.checks] == ["silence"]


def test_a_gateway_of_the_draft_is_found_and_no_session_is_taken() -> None:
    with draft_rig.standing() as stand:
        link = stand.network.link("doctor")
        assert list(recognise_draft(link, "")) == []  # its tasks are a pattern, of which no token tells
        for path in ("org-arm/main/pick", ""):  # the second time, it shows a token
            assert [(one.version, one.is_kept) for one in recognise_draft(link, path)] == [("schema 1", True)]
        assert stand.gateway.metrics.peers == 0
        assert stand.policy.opened == 0


def test_a_token_without_a_server_is_told() -> None:
    network = MemoryNetwork()
    hung, doctor = network.link("hung"), network.link("doctor")
    hung.token("lerobot/inference/v1/deployments/arm/instances/i/alive")
    hung.token("@lerobot/m/main/t/server/alive")
    for recognise in (recognise_v1, recognise_draft):
        [found] = recognise(doctor, "")
        assert [(check.is_kept, check.got) for check in found.checks] == [(False, "silence")]


def test_what_is_named_is_asked_however_much_else_is_there() -> None:
    network = MemoryNetwork()
    crowd, doctor = network.link("crowd"), network.link("doctor")
    for at in range(20):
        crowd.token(f"lerobot/inference/v1/deployments/a{at}/instances/i/alive")
        crowd.token(f"@lerobot/a{at}/main/t/server/alive")
    golden = INTEGRATIONS / "lerobot_zenoh"
    described = (golden / "v1" / "golden" / "01_describe_s2c.bin").read_bytes()
    status = (golden / "draft" / "golden" / "lrz_status_rep.bin").read_bytes()
    crowd.token("lerobot/inference/v1/deployments/bench-act/instances/i/alive")
    crowd.serve("lerobot/inference/v1/deployments/bench-act/describe", lambda query: query.reply(described))
    crowd.serve("@lerobot/m/main/t/status", lambda query: query.reply(status))
    for recognise, path in ((recognise_v1, "bench-act"), (recognise_draft, "m/main/t")):
        answered = [one for one in recognise(doctor, path) if one.checks[0].got != "silence"]
        assert len(answered) == 1, path


def test_who_shows_a_token_and_is_silent_is_told_even_if_it_is_named() -> None:
    network = MemoryNetwork()
    hung, doctor = network.link("hung"), network.link("doctor")
    hung.token("lerobot/inference/v1/deployments/arm/instances/i/alive")
    hung.token("@lerobot/m/main/t/server/alive")
    for recognise, path in ((recognise_v1, "arm"), (recognise_draft, "m/main/t")):
        [found] = recognise(doctor, path)
        assert [(check.is_kept, check.got) for check in found.checks] == [(False, "silence")]


# hostile and hanging


@contextmanager
def misbehaving(first: bytes, more: bytes = b"") -> Iterator[int]:
    """A server that says `first` to everybody, and then `more` without an end."""
    stop = threading.Event()

    def say(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(0.5)
            connection.sendall(first)
            while more and not stop.is_set():
                connection.sendall(more)
            while connection.recv(4096):
                pass

    def accept() -> None:
        with suppress(OSError), ThreadPoolExecutor(8) as pool:
            while True:
                pool.submit(say, listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listening.getsockname()[1]
        stop.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"", b""),
        (b"SSH-2.0-x\r\n", b""),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32), b"\x01\x00"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00", b"\x04"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\x00\x00\x00\x00\x00\x00\x00\x00\x01" * 1000),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8)),
    ],
)
def test_whatever_answers_the_search_ends(monkeypatch: pytest.MonkeyPatch, first: bytes, more: bytes) -> None:
    monkeypatch.setattr(exchange_module, "ANSWER_TIMEOUT_S", 0.2)
    with misbehaving(first, more) as port:
        found = found_at(port)
        assert (found.recognised, found.is_anybody) == ((), True)


def test_nobody_is_told_as_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    found = found_at(port)
    assert (found.is_anybody, found.recognised) == (False, ())
    assert "nothing listens" in found.there


def test_no_extra_is_needed() -> None:
    program = (
        "import sys\n"
        "for name in ('websockets', 'zmq', 'grpc', 'yaml', 'PIL', 'torch'): sys.modules[name] = None\n"
        "from vagus.gateways.recognition.registry import recognisers, recognisers_over_zenoh\n"
        "import vagus.gateways.recognition.search\n"
        "print(len([*recognisers()]), len([*recognisers_over_zenoh()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "11 2\n"
