"""A PointAct server of lines of code on both wires, one request after the other, as the published one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import msgspec
import numpy as np
import zmq

from integrations.pointact.clients import as_msgpack_numpy, decoded
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.msgpack import AnyArray

LONG_S = 20.0
TRANSPORTS = ("tcp", "http")

Request = dict[str, object]


def told(actions: AnyArray) -> bytes:
    """Return the answer with actions."""
    return msgspec.msgpack.encode({"action": as_msgpack_numpy(actions)})


def states_of(request: Request) -> list[AnyArray]:
    """Return the state of each robot in a request for actions."""
    data = cast("Mapping[str, Mapping[str, object]]", request["data"])
    return cast("list[AnyArray]", data["batch"]["observation.state"])


@dataclass
class PointActServer:
    """Answers each robot with its state four times, as the test server of PointAct does."""

    spoil: Callable[[bytes], bytes | None] = lambda answer: answer
    """Makes something else of an answer to `get_action`; None: no answer."""
    heard: list[Request] = field(default_factory=list)
    port: int = 0
    is_ended: threading.Event = field(default_factory=threading.Event)
    kind: str = "application/msgpack"
    """Content type of the answers over HTTP."""
    status: int = 200

    def answer(self, frame: bytes) -> bytes | None:
        """Return the answer to a request; None: there is none."""
        request = cast("Request", decoded(msgspec.msgpack.decode(frame)))
        self.heard.append(request)
        reply = self.reply(request)
        return self.spoil(reply) if request["endpoint"] == "get_action" else reply

    def reply(self, request: Request) -> bytes:
        """Return the answer of a server that is well."""
        if request["endpoint"] == "ping":
            return msgspec.msgpack.encode({"status": "ok", "message": "Server is running"})
        if request["endpoint"] == "reset":
            return msgspec.msgpack.encode({})
        if request["endpoint"] != "get_action":
            return msgspec.msgpack.encode({"error": f"Unknown endpoint: {request['endpoint']}"})
        states = np.stack(states_of(request)).astype(np.float32)
        return told(np.repeat(states[:, None], 4, axis=1))


@contextmanager
def serving(server: PointActServer, transport: str = "tcp") -> Iterator[ForeignAddress]:
    """Run a server in this process, on the wire of a transport."""
    with _over_http(server) if transport == "http" else _over_zeromq(server):
        yield ForeignAddress("pointact", transport, "127.0.0.1", server.port)
        server.is_ended.set()


@contextmanager
def _over_zeromq(server: PointActServer) -> Iterator[None]:
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{server.port}")
        server.port = int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

        def run() -> None:
            while not server.is_ended.is_set():
                if not socket.poll(20):
                    continue
                answer = server.answer(socket.recv())
                if answer is None:
                    server.is_ended.wait(LONG_S)
                else:
                    socket.send(answer)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            server.is_ended.set()
            thread.join(LONG_S)


@contextmanager
def _over_http(server: PointActServer) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 0.1  # a connection that is kept ends soon after the server

        def do_POST(self) -> None:
            answer = server.answer(self.rfile.read(int(self.headers["Content-Length"])))
            if answer is None:
                server.is_ended.wait(LONG_S)
                self.close_connection = True
                return
            self.send_response(server.status)
            self.send_header("Content-Type", server.kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def handle_one_request(self) -> None:
            while not server.is_ended.is_set():
                self.close_connection = False
                self.raw_requestline = b""
                try:
                    self.raw_requestline = self.rfile.readline(65537)
                except TimeoutError:
                    self.rfile = self.connection.makefile("rb", -1)
                    continue
                break
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.connection.settimeout(LONG_S)
            self.do_POST()
            self.wfile.flush()
            self.connection.settimeout(self.timeout)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", server.port), Handler) as http:
        http.daemon_threads = False
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.is_ended.set()
            http.shutdown()
            thread.join(LONG_S)
