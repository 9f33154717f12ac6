"""What listens on a port, by its first bytes."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
import zmq
from websockets.sync.server import serve

from vagus.gateways.what_answers import what_answers
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig


@contextmanager
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextmanager
def greeting() -> Iterator[int]:
    def greet() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"SSH-2.0-x\x1b[2J\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@contextmanager
def web() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def websocket() -> Iterator[int]:
    with serve(lambda connection: connection.send("hello"), "127.0.0.1", 0, close_timeout=0.1) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
    thread.join()


@contextmanager
def zeromq() -> Iterator[int]:
    with zmq.Context() as context, context.socket(zmq.REP) as replying:
        yield replying.bind_to_random_port("tcp://127.0.0.1")


@contextmanager
def remote_calls() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(1))
    port: int = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@contextmanager
def router() -> Iterator[int]:
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as running:
        yield int(running.endpoints[0].rpartition(":")[2])


@pytest.mark.parametrize(
    ("listens", "words"),
    [
        (silent, "something that accepts connections and says nothing"),
        (greeting, r"a server that begins with b'SSH-2.0-x\x1b[2J\r\n'"),
        (web, "an HTTP server (BaseHTTP/"),
        (websocket, "a WebSocket server, such as openpi's"),
        (zeromq, "a ZeroMQ server, such as GR00T's"),
        (remote_calls, "a gRPC server, such as LeRobot's"),
        (router, "a Zenoh router, such as vagus's own"),
    ],
)
def test_it_is_told_by_its_first_bytes(listens: object, words: str) -> None:
    with listens() as port:  # type: ignore[operator]
        assert words in what_answers("127.0.0.1", port)


def test_nobody_is_told_with_the_reason() -> None:
    with silent() as port:
        pass
    assert what_answers("127.0.0.1", port) == f"nobody: nothing listens on port {port} of 127.0.0.1"
    assert "is not known" in what_answers("no-such-host.invalid", 80)


def test_a_server_without_tls_is_told_where_it_is_wanted() -> None:
    with web() as port:
        assert "does not speak TLS" in what_answers("127.0.0.1", port, is_secured=True)
