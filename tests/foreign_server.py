"""Foreign policy servers of the reference shape, as processes that misbehave when they are told to.

`python tests/foreign_server.py openpi --port 0 --wish FILE`: the word in the file decides how each request is
answered: nothing, "nan", "shape", "garbage", "slow", "hang", "error", "busy", "endless" …
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import importlib
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import msgspec
import numpy as np
import websockets.asyncio.server
import zmq
from numpy.typing import NDArray

from draft_server import DraftServer, model_of
from remote_server import RemoteServer, deployment_of
from vagus.demo.arm import HOME
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, Operation
from vagus.integrations.gr00t import dialect
from vagus.integrations.lerobot_grpc import dialect as lerobot
from vagus.integrations.lerobot_grpc.protobuf import ObservationParts, decode_part
from vagus.integrations.openpi import dialect as openpi
from vagus.integrations.pointact import dialect as pointact
from vagus.transport.router import with_free_port
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig

HORIZON = 60
JOINTS = tuple(f"joint_{number}" for number in range(1, 7))
PROTOCOLS = (
    "openpi",
    "gr00t",
    "pointact",
    "pointact_http",
    "lerobot_grpc",
    "astribot",
    "lerobot_zenoh",
    "lerobot_zenoh_draft",
)
GARBAGE = b"\xc1 this is no msgpack"


class Brain:
    """Waves around the arm's home pose, from where the arm is on."""

    def __init__(self, wish: Path, offset: float) -> None:
        self._wish, self._offset = wish, offset

    @property
    def wish(self) -> str:
        """The word in the file."""
        return self._wish.read_text() if self._wish.exists() else ""

    def actions(self, state: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return (horizon, 6) from the measured joints, (6,)."""
        if self.wish == "slow":
            time.sleep(0.6)
        if self.wish == "hang":
            time.sleep(3600)
        if self.wish in ("error", "busy"):  # protocols without a word for it
            raise ValueError("told to fail")
        fade = np.minimum(np.arange(1, HORIZON + 1) / 30.0, 1.0)[:, None]
        wave = HOME + self._offset + 0.2 * np.sin(np.arange(HORIZON) / 12.0)[:, None]
        actions = ((1 - fade) * state + fade * wave).astype(np.float32)
        if self.wish == "nan":
            actions[3, 2] = np.nan
        given: NDArray[np.float32] = actions[:, :4] if self.wish == "shape" else actions
        return given


async def serve_openpi(brain: Brain, port: int, metadata: dict[Key, Value]) -> None:
    """Serve as openpi's WebsocketPolicyServer does."""

    async def converse(connection: websockets.asyncio.server.ServerConnection) -> None:
        await connection.send(openpi.encode_metadata(metadata))
        while True:
            request = openpi.decode_request(await connection.recv(decode=False))
            try:
                actions = brain.actions(np.asarray(request.observation[("observation/state",)])[:6])
            except Exception:
                await connection.send(traceback.format_exc())
                await connection.close(1011, "Internal server error. Traceback included in previous frame.")
                raise
            answer = openpi.encode_reply(ForeignReply({"actions": actions}), request.envelope)
            await connection.send(GARBAGE if brain.wish == "garbage" else answer)

    async with websockets.asyncio.server.serve(
        converse, "127.0.0.1", port, compression=None, max_size=None
    ) as server:
        _say(server.sockets[0].getsockname()[1])
        await server.serve_forever()


class AsyncInference:
    """LeRobot's four calls; without instructions it answers no bytes, as a server that was started again."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self._names: tuple[str, ...] = ()
        self._newest: ForeignRequest | None = None

    def ready(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        """Take no notice, as the original does once it has a policy."""
        del context
        return b""

    def instruct(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        """Load a policy for these features."""
        del context
        self._names = lerobot.decode_setup(message).lerobot_features["observation.state"].names
        return b""

    def observe(self, parts: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Keep the newest observation."""
        del context
        gathered = ObservationParts(1 << 30)
        for part in parts:
            whole = gathered.add(decode_part(part))
            self._newest = self._newest if whole is None else lerobot.decode_request(whole)
        return b""

    def act(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer the newest observation; no bytes, whatever goes wrong."""
        del context
        asked, self._newest = self._newest, None
        if asked is None or not self._names:
            return b""
        state = np.array([asked.observation[(name,)] for name in self._names], np.float32)
        try:
            actions = self._brain.actions(state)
        except ValueError:
            return b""
        if self._brain.wish == "garbage":
            return b"\x0a\x03" + GARBAGE[:3]
        extra: dict[Key, Value] = {
            "timestep": asked.beside[("timestep",)],
            "timestamp": 0.0,
            "step_s": 1 / 30,
        }
        return lerobot.encode_reply(ForeignReply({"actions": actions}, extra), asked.envelope)


def serve_lerobot(brain: Brain, port: int) -> None:
    """Serve as LeRobot's policy server does."""
    calls = AsyncInference(brain)
    handlers = {
        "Ready": grpc.unary_unary_rpc_method_handler(calls.ready),
        "SendPolicyInstructions": grpc.unary_unary_rpc_method_handler(calls.instruct),
        "SendObservations": grpc.stream_unary_rpc_method_handler(calls.observe),
        "GetActions": grpc.unary_unary_rpc_method_handler(calls.act),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("transport.AsyncInference", handlers),)
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    _say(bound)
    server.wait_for_termination()


def serve_astribot(brain: Brain, port: int, metadata: dict[Key, Value]) -> None:
    """Serve as the openpi programs of Astribot do: one model, loaded by Configure, for whoever asks."""
    stubs = importlib.import_module(
        "integrations.astribot.stubs.openpi_inference_pb2"
    )  # not in each environment
    counts = {"ready": 0, "frame": 0}

    def status(_: object, context: grpc.ServicerContext) -> bytes:
        del context
        said = {"model_name": "pi05", "action_dim": len(JOINTS), "metadata_json": json.dumps(metadata)}
        answer: bytes = stubs.ServiceStatus(
            is_ready=bool(counts["ready"]), current_frame=counts["frame"], **said
        ).SerializeToString()
        return answer

    def configure(request: object, context: grpc.ServicerContext) -> bytes:
        counts.update(ready=1, frame=0)
        return status(request, context)

    def reset(request: object, context: grpc.ServicerContext) -> bytes:
        counts["frame"] = 0
        return status(request, context)

    def act(message: bytes, context: grpc.ServicerContext) -> bytes:
        del context
        if not counts["ready"]:
            return bytes(stubs.ActionChunk(status=stubs.NOT_READY).SerializeToString())
        try:
            actions = brain.actions(np.array(stubs.Observation.FromString(message).state, np.float32))
        except ValueError as error:
            return bytes(stubs.ActionChunk(status=stubs.ERROR, error_message=str(error)).SerializeToString())
        if brain.wish == "garbage":
            return b"\x0a\x03" + GARBAGE[:3]
        counts["frame"] += 1
        chunk = stubs.ActionChunk(
            actions=[stubs.ActionStep(values=row) for row in actions],
            chunk_size=len(actions),
            action_dim=actions.shape[1],
            server_frame_index=counts["frame"],
        )
        return bytes(chunk.SerializeToString())

    calls = {"GetStatus": status, "Configure": configure, "Reset": reset, "PredictChunk": act}
    _serve_calls("openpi.OpenPiInferenceService", calls, port)


def _serve_calls(service: str, calls: Mapping[str, Callable[..., bytes]], port: int) -> None:
    """Serve calls of one message each, with bytes as messages, until killed."""
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    _say(bound)
    server.wait_for_termination()


def serve_gr00t(brain: Brain, port: int, metadata: dict[Key, Value], version: str) -> None:
    """Serve as GR00T's servers do: one REP socket, one request after the other."""
    socket = zmq.Context().socket(zmq.REP)
    socket.bind(f"tcp://127.0.0.1:{port}")
    _say(int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
    while True:
        frame = socket.recv()
        try:
            socket.send(_gr00t_answer(brain, frame, metadata, version))
        except Exception as error:  # noqa: BLE001 - as the original: whatever goes wrong is said
            socket.send(msgspec.msgpack.encode({"error": str(error)}))


def _gr00t_answer(brain: Brain, frame: bytes, metadata: dict[Key, Value], version: str) -> bytes:
    request = dialect.decode_request(frame)
    if request.operation is Operation.DESCRIBE:
        keys: list[Value] = ["state.joints"] if version == dialect.N1_5 else ["joints"]
        said: dict[Key, Value] = {"state": {"delta_indices": [0], "modality_keys": keys}, **metadata}
        return dialect.encode_reply(ForeignReply(extra=said), request, version=version)
    if request.operation is Operation.PING:
        return dialect.encode_reply(dialect.PING_REPLY, request)
    if request.operation is Operation.RESET and version != dialect.N1_5:
        return dialect.encode_reply(ForeignReply(), request, version=version)
    if request.operation is not Operation.INFER:
        return dialect.encode_reply(dialect.unknown_endpoint(request.envelope.endpoint), request)
    key = ("state.joints",) if version == dialect.N1_5 else ("state", "joints")
    states = np.asarray(request.observation[key])
    chunks = np.stack([brain.actions(state[..., :6].reshape(6)) for state in states])
    if brain.wish == "garbage":
        return GARBAGE
    actions = {"action.joints": chunks[0]} if version == dialect.N1_5 else {"joints": chunks}
    return dialect.encode_reply(ForeignReply(actions), request)


def serve_pointact(brain: Brain, port: int) -> None:
    """Serve as PointAct's servers do: one REP socket, one request after the other."""
    socket = zmq.Context().socket(zmq.REP)
    socket.bind(f"tcp://127.0.0.1:{port}")
    _say(int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]))
    while True:
        socket.send(_pointact_answer(brain, socket.recv()))


def serve_pointact_over_http(brain: Brain, port: int) -> None:
    """Serve the same by POST."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = _pointact_answer(brain, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/msgpack")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        _say(server.server_address[1])
        server.serve_forever()


def _pointact_answer(brain: Brain, frame: bytes) -> bytes:
    try:
        request = pointact.decode_request(frame)
        if request.operation is Operation.PING:
            return pointact.encode_reply(pointact.PING_REPLY)
        if request.operation is not Operation.INFER:
            return pointact.encode_reply(ForeignReply())
        states = np.asarray(request.observation[("observation.state",)])
        chunks = np.stack([brain.actions(state) for state in states])
        # msgpack-numpy writes NaN, too
        array = {
            b"nd": True,
            b"type": "<f4",
            b"kind": b"",
            b"shape": list(chunks.shape),
            b"data": chunks.tobytes(),
        }
        return GARBAGE if brain.wish == "garbage" else msgspec.msgpack.encode({"action": array})
    except Exception as error:  # noqa: BLE001 - as the original: whatever goes wrong is said
        return msgspec.msgpack.encode({"error": str(error)})


def serve_remote_inference(brain: Brain, port: int, artifact: str, router: str, instance: str) -> None:
    """Serve as LeRobot's server of remote inference does, at a router or at a port of its own."""
    endpoint = with_free_port(f"tcp/127.0.0.1:{port}")
    mode = LinkMode.PEER
    config = (
        ZenohConfig(mode=mode, connect=(router,)) if router else ZenohConfig(mode=mode, listen=(endpoint,))
    )
    deployment = deployment_of(JOINTS, rate_hz=30.0, steps=HORIZON, artifact=artifact, instance_id=instance)
    with ZenohPlainLink(config) as link:
        state = "observation.state"
        server = RemoteServer(
            link, deployment, lambda seen: brain.actions(np.asarray(seen.features[state])), lambda: brain.wish
        )
        server.start()
        _say(int((router or endpoint).rpartition(":")[2]))
        threading.Event().wait()


def serve_remote_draft(brain: Brain, port: int, revision: str) -> None:
    """Serve as the server of LeRobot's remote inference draft does, at a port of its own."""
    endpoint = with_free_port(f"tcp/127.0.0.1:{port}")
    with ZenohPlainLink(ZenohConfig(mode=LinkMode.PEER, listen=(endpoint,))) as link:
        model = model_of(JOINTS, steps=HORIZON, revision=revision)
        DraftServer(link, model, lambda seen: brain.actions(seen.state), lambda: brain.wish).start()
        _say(int(endpoint.rpartition(":")[2]))
        threading.Event().wait()


def _say(port: int) -> None:
    sys.stdout.write(f"listening on {port}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--wish", type=Path, required=True)
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--metadata", default="a")
    parser.add_argument("--version", default=dialect.N1_6)
    parser.add_argument("--router", default="")
    parser.add_argument("--instance", default="")
    told = parser.parse_args()
    brain = Brain(told.wish, told.offset)
    metadata: dict[Key, Value] = {"model": told.metadata} if told.metadata else {}
    artifact = f"sha256:{told.metadata}"
    serve: dict[str, Callable[[], None]] = {
        "openpi": lambda: asyncio.run(serve_openpi(brain, told.port, metadata)),
        "gr00t": lambda: serve_gr00t(brain, told.port, metadata, told.version),
        "pointact": lambda: serve_pointact(brain, told.port),
        "pointact_http": lambda: serve_pointact_over_http(brain, told.port),
        "lerobot_grpc": lambda: serve_lerobot(brain, told.port),
        "astribot": lambda: serve_astribot(brain, told.port, metadata),
        "lerobot_zenoh": lambda: serve_remote_inference(
            brain, told.port, artifact, told.router, told.instance
        ),
        "lerobot_zenoh_draft": lambda: serve_remote_draft(brain, told.port, told.metadata),
    }
    serve[told.protocol]()


if __name__ == "__main__":
    main()
