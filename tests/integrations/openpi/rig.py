"""A gateway for openpi in this process: a policy that tells what it was asked, a server, and clients."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from websockets.sync.client import ClientConnection, connect

import vagus
from vagus.errors import PolicyError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.openpi.connection import ConnectionTimes
from vagus.integrations.openpi.dialect import decode_metadata
from vagus.integrations.openpi.gateway import OpenPiListener
from vagus.policies.policy import Row, ServingMode
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.specs import RtcSpec
from vagus.transport.link import Link
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.types import ActionChunk

PATIENCE_S = 30.0
"""Longest wait for what must happen; the machine may be busy with others."""
HORIZON = 4
NAMES = ("x", "y", "z")
SPEC = vagus.PolicySpec(
    "echo",
    actions=tuple(vagus.ActionFeature(name, "m") for name in NAMES),
    state=tuple(vagus.StateFeature(name, "m") for name in NAMES),
    cameras=(vagus.CameraSpec("front", 6, 8),),
    horizon=HORIZON,
    model_dim=2,
    rate_hz=10,
    rtc=RtcSpec(HORIZON),
)
PROFILE = Profile(
    name="echo",
    protocol="openpi",
    robot_type="echo",
    rate_hz=10,
    horizon=HORIZON,
    state=(WireSpan(key=("observation/state",), names=NAMES, unit="m"),),
    images=(WireImage(key=("observation/image",), name="front", height=6, width=8),),
    instruction=("prompt",),
    actions=(WireSpan(key=("actions",), names=NAMES, unit="m"),),
)
NUMBERS = itertools.count()
FRAME = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


class EchoPolicy:
    """Answers with the state, and waits at its gate or fails where the state says so."""

    serving_mode = ServingMode.SHARED
    model_hash = "echo"

    def __init__(self, horizon: int = HORIZON) -> None:
        self.spec = replace(SPEC, horizon=horizon)
        self.rows: list[Row[list[int]]] = []
        self.episodes = 0
        self.gate = threading.Event()
        self.is_waiting = threading.Event()

    def open_session(self) -> list[int]:
        return []

    def begin_episode(self, session: list[int]) -> None:
        self.episodes += 1

    def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        self.gate.set()

    def _answer(self, row: Row[list[int]]) -> ActionChunk | PolicyError:
        state = row.observation.state
        if state[0] == WAITS:
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if state[0] == FAILS:
            return PolicyError("the policy does not know this place")
        self.rows.append(row)
        horizon = self.spec.horizon
        robot = np.repeat(state[None], horizon, axis=0) + np.arange(horizon, dtype=np.float32)[:, None]
        if row.prefix is not None:
            robot[: len(row.prefix)] = row.prefix.robot
        model = np.arange(2 * horizon, dtype=np.float32).reshape(horizon, 2)
        return ActionChunk(row.step, model, robot)


WAITS, FAILS = 777.0, -1.0
"""First number of the state: the policy waits for the test, or fails."""


def observation(
    state: Sequence[float] = (1.0, 2.0, 3.0), more: dict[str, Value] | None = None
) -> dict[Key, Value]:
    """Return what openpi's client sends, with keys of the profile."""
    entries: dict[Key, Value] = {
        "observation/state": np.array(state, np.float64),
        "observation/image": FRAME,
        "prompt": "go",
    }
    entries.update(more or {})
    return entries


def expected(state: Sequence[float] = (1.0, 2.0, 3.0)) -> np.ndarray:
    """Return the actions that answer it, (HORIZON, 3)."""
    return np.array(state, np.float32)[None] + np.arange(HORIZON, dtype=np.float32)[:, None]


@contextmanager
def served(policy: EchoPolicy) -> Iterator[MemoryLink]:
    """Serve the policy, and return a link to its network."""
    network = MemoryNetwork()
    with Server(network.link("server"), lambda: policy, ServeConfig(warm_up=False)) as server:
        assert server.wait_ready(PATIENCE_S)
        yield network.link("gateway")
        policy.gate.set()


def gateway(
    link: Link, *, profile: Profile = PROFILE, token: Path | None = None, **settings: object
) -> Gateway:
    """Return a gateway for a free port."""
    name = f"robot{next(NUMBERS)}"  # a name is connected to a server once
    given: dict[str, object] = {"listen": "127.0.0.1:0", "token_path": token, "name": name, **settings}
    config = GatewayConfig(protocol="openpi", profile=profile.name, **given)  # type: ignore[arg-type] # by name
    return Gateway(config, profile, link)


@contextmanager
def listening(
    link: Link,
    *,
    profile: Profile = PROFILE,
    times: ConnectionTimes | None = None,
    token: Path | None = None,
    **settings: object,
) -> Iterator[OpenPiListener]:
    """Let a gateway listen."""
    listener = OpenPiListener(gateway(link, profile=profile, token=token, **settings), times=times)
    try:
        listener.start()
        yield listener
    finally:
        listener.close()


def metadata_from(connection: ClientConnection) -> dict[Key, Value]:
    """Return the first frame of the server."""
    frame = connection.recv(PATIENCE_S)
    assert isinstance(frame, bytes)
    return decode_metadata(frame)


@contextmanager
def client(
    listener: OpenPiListener, path: str = "/", *, key: str = "", ping_interval_s: float | None = 20
) -> Iterator[ClientConnection]:
    """Connect a client that has read the metadata."""
    with connect(
        f"ws://{listener.address}{path}",
        compression=None,
        max_size=None,
        additional_headers={"Authorization": f"Api-Key {key}"} if key else None,
        ping_interval=ping_interval_s,
    ) as connection:
        metadata_from(connection)
        yield connection


def raw_client(listener: OpenPiListener, *, receive_bytes: int = 0) -> socket.socket:
    """Return a TCP connection, with a receive buffer of this size if it is given."""
    host, _, port = listener.address.rpartition(":")
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(PATIENCE_S)
    try:
        client.connect((host, int(port)))
    except OSError:
        client.close()
        raise
    return client


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def everything_from(client: socket.socket) -> bytes:
    """Return what a server says until it closes; a reset ends it, too."""
    said = b""
    try:
        while part := client.recv(1 << 16):
            said += part
    except ConnectionResetError:
        pass
    return said


def masked(lead: bytes, payload: bytes = b"") -> bytes:
    """Return a frame of a client: its first byte, and its payload under a mask of zeros."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xff" + len(payload).to_bytes(8, "big")
    return lead + size + bytes(4) + payload


PING, BINARY, BINARY_PART, PART = b"\x89", b"\x82", b"\x02", b"\x00"


def upgraded(listener: OpenPiListener, *, receive_bytes: int = 0) -> socket.socket:
    """Return a TCP connection with an open WebSocket, of which nothing was read after the opening."""
    client = raw_client(listener, receive_bytes=receive_bytes)
    client.sendall(UPGRADE)
    said = b""
    while b"\r\n\r\n" not in said:
        said += client.recv(1)
    assert said.startswith(b"HTTP/1.1 101 ")
    return client
