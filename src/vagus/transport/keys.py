"""Keys of the messages: `@vagus/<model>/<revision>/<name>/<server>/…`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from vagus.errors import ProtocolError

__all__ = [
    "ALL_SERVERS_ALIVE",
    "ALL_SERVERS_STARTING",
    "MAX_SEGMENT",
    "ClientKey",
    "ServerKey",
    "ServiceKey",
    "begins_keys",
    "client_segment",
    "keys_intersect",
    "sanitise",
    "server_from_key",
]

ROOT = "@vagus"
"""First chunk of every key. It is verbatim (`@`): wildcards of other programs never match it."""

ALL_SERVERS_ALIVE = f"{ROOT}/*/*/*/*/alive"
"""Tokens of all servers of all services that accept sessions."""

ALL_SERVERS_STARTING = f"{ROOT}/*/*/*/*/starting"
"""Tokens of all servers that still load or warm up their policy."""

_PLAIN = re.compile(r"[A-Za-z0-9_.]+(?:-[A-Za-z0-9_.]+)*")
_HASHED_TAIL = re.compile(r".*-[0-9a-f]{8}")
_OTHER = re.compile(r"[^A-Za-z0-9_.]+")
_CHUNK = re.compile(r"[A-Za-z0-9_.-]{1,80}")
"""Form of a chunk that `sanitise` returns (never a wildcard); a server appends random digits to its name."""
MAX_SEGMENT = 64
"""Longest segment that `sanitise` returns, in characters."""
_OF_CLIENT = ("session", "reset", "obs", "chunk")


def sanitise(segment: str) -> str:
    """Return `segment` as one valid chunk of a key; different inputs give different outputs.

    A segment of plain characters is not changed. In any other segment the other characters are replaced, and
    `-` and eight hex digits of its hash are appended. The same is done to a plain segment that already ends
    like this, because it could equal a changed one.

    Raises:
        ProtocolError: the segment is empty.
    """
    if not segment:
        raise ProtocolError("a key segment must not be empty")
    is_plain = _PLAIN.fullmatch(segment) is not None and len(segment) <= MAX_SEGMENT
    if is_plain and not _HASHED_TAIL.fullmatch(segment):
        return segment
    digest = hashlib.sha256(segment.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    cleaned = _OTHER.sub("_", segment)[: MAX_SEGMENT - 9]
    return f"{cleaned}-{digest}"


def begins_keys(name: str) -> bool:
    """Return whether the keys of `<name>-1`, `<name>-2` … begin with this name, so that one rule fits."""
    return sanitise(f"{name}-1") == f"{name}-1"


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """Key of a service, `<model>/<revision>/<name>`; `of` sanitises the segments."""

    model: str
    revision: str
    name: str

    @classmethod
    def of(cls, model: str, revision: str, name: str = "default") -> ServiceKey:
        """Return the service key for raw names."""
        return cls(sanitise(model), sanitise(revision), sanitise(name))

    @property
    def path(self) -> str:
        """Key of the service, `@vagus/<model>/<revision>/<name>`."""
        return f"{ROOT}/{self.model}/{self.revision}/{self.name}"

    @property
    def text(self) -> str:
        """Text to print and to type: `<model>/<revision>/<name>`."""
        return f"{self.model}/{self.revision}/{self.name}"

    @property
    def all_alive(self) -> str:
        """Tokens of all servers of this service that accept sessions."""
        return f"{self.path}/*/alive"

    @property
    def all_starting(self) -> str:
        """Tokens of all servers of this service that still load or warm up."""
        return f"{self.path}/*/starting"

    def server(self, name: str) -> ServerKey:
        """Return the keys of the server with this raw name."""
        return ServerKey(self, sanitise(name))


@dataclass(frozen=True, slots=True)
class ServerKey:
    """Key of one server process of a service; `server` is its configured name and a random suffix."""

    service: ServiceKey
    server: str

    @property
    def path(self) -> str:
        """Key of the server, `@vagus/<service>/<server>`."""
        return f"{self.service.path}/{self.server}"

    @property
    def status(self) -> str:
        """Key of the status query: capabilities and load."""
        return f"{self.path}/status"

    @property
    def alive(self) -> str:
        """Key of the liveliness token of a server that accepts sessions."""
        return f"{self.path}/alive"

    @property
    def starting(self) -> str:
        """Key of the liveliness token of a server that still loads or warms up."""
        return f"{self.path}/starting"

    @property
    def any_client(self) -> ClientKey:
        """Key patterns that match all clients, for the server's declarations."""
        return ClientKey(self, "*")

    def client(self, name: str) -> ClientKey:
        """Return the keys of the client with this raw name."""
        return ClientKey(self, sanitise(name))


@dataclass(frozen=True, slots=True)
class ClientKey:
    """Keys of the messages between one client and one server."""

    server: ServerKey
    client: str

    @property
    def path(self) -> str:
        """Common start of these keys, `@vagus/<service>/<server>/<client>`."""
        return f"{self.server.path}/{self.client}"

    @property
    def session(self) -> str:
        """Key of the query that opens or closes a session."""
        return f"{self.path}/session"

    @property
    def reset(self) -> str:
        """Key of the query that begins a new episode."""
        return f"{self.path}/reset"

    @property
    def observation(self) -> str:
        """Key of the observations that the client publishes."""
        return f"{self.path}/obs"

    @property
    def chunk(self) -> str:
        """Key of the chunks and events that the server publishes."""
        return f"{self.path}/chunk"

    def alive(self, instance: str) -> str:
        """Key of the liveliness token of the client process."""
        return f"{self.path}/{instance}/alive"


def server_from_key(key: str) -> ServerKey:
    """Return the server that an `alive`, `starting` or `status` key belongs to.

    Raises:
        ProtocolError: `key` is no such key.
    """
    parts = _segments(key)
    if len(parts) != 5 or parts[4] not in ("alive", "starting", "status"):
        raise ProtocolError(
            f"not a server key: {key!r}; wanted {ROOT}/<model>/<revision>/<name>/<server>/alive"
        )
    return ServerKey(ServiceKey(*parts[:3]), parts[3])


def client_segment(key: str) -> str:
    """Return the `<client>` segment of a session, reset, obs or chunk key, or of a client's token.

    Raises:
        ProtocolError: `key` is no such key, or names more than one client.
    """
    parts = _segments(key)
    is_stream = len(parts) == 6 and parts[5] in _OF_CLIENT
    is_token = len(parts) == 7 and parts[6] == "alive"
    if not (is_stream or is_token):
        raise ProtocolError(
            f"not a client key: {key!r}; wanted {ROOT}/<model>/<revision>/<name>/<server>/<client>/"
            f"{'|'.join(_OF_CLIENT)}"
        )
    return parts[4]


def _segments(key: str) -> list[str]:
    """Return the segments after the root; an empty result if one is a wildcard or was not sanitised."""
    root, *parts = key.split("/")
    return parts if root == ROOT and all(_CHUNK.fullmatch(part) for part in parts) else []


def keys_intersect(left: str, right: str) -> bool:
    """Return whether two key patterns match a common key; `*` matches one segment without a leading `@`."""
    ours, theirs = left.split("/"), right.split("/")
    return len(ours) == len(theirs) and all(
        a == b or (a == "*" and not b.startswith("@")) or (b == "*" and not a.startswith("@"))
        for a, b in zip(ours, theirs, strict=True)
    )
