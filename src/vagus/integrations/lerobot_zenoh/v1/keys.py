"""Keys of LeRobot's remote inference: built from ids, and read back (pure)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_zenoh.v1.envelope import is_segment
from vagus.quoting import quoted

__all__ = ["RemoteKey", "RemotePlace", "every_session", "parse_key"]

_ROOT: Final = ("lerobot", "inference", "v1", "deployments")
_ANY: Final = "*"


class RemotePlace(enum.Enum):
    """What happens at a key."""

    DESCRIBE = "describe"
    """Query: what a deployment is."""
    OPEN = "open"
    """Query: a session."""
    SERVER_ALIVE = "alive"
    """Token of a server."""
    CONTROL = "control"
    """Query: reset, invalidate, close, status."""
    OBSERVATION = "obs"
    """Put by a client."""
    ACTION = "act"
    """Put by a server."""
    LANGUAGE_REQUEST = "language/request"
    """Put by a client."""
    LANGUAGE_RESULT = "language/result"
    """Put by a server."""
    CLIENT_ALIVE = "sessions/alive"
    """Token of a client."""


_OF_INSTANCE: Final = {"open": RemotePlace.OPEN, "alive": RemotePlace.SERVER_ALIVE}
_OF_SESSION: Final = {
    "control": RemotePlace.CONTROL,
    "obs": RemotePlace.OBSERVATION,
    "act": RemotePlace.ACTION,
    "language/request": RemotePlace.LANGUAGE_REQUEST,
    "language/result": RemotePlace.LANGUAGE_RESULT,
    "alive": RemotePlace.CLIENT_ALIVE,
}
_TAILS: Final = {place: tail for tails in (_OF_INSTANCE, _OF_SESSION) for tail, place in tails.items()}


@dataclass(frozen=True)
class RemoteKey:
    """One key; `str()` gives it.

    Attributes:
        place: what happens there.
        deployment: name of the deployment.
        instance_id: empty for DESCRIBE.
        session_id: empty unless the place is a session's.

    Raises:
        ProtocolError: an id that is no segment, missing, or too many.
    """

    place: RemotePlace
    deployment: str
    instance_id: str = ""
    session_id: str = ""

    def __post_init__(self) -> None:
        wanted = 1 if self.place is RemotePlace.DESCRIBE else 2 + (self.place in _OF_SESSION.values())
        ids = (self.deployment, self.instance_id, self.session_id)
        if not all(map(is_segment, ids[:wanted])) or any(ids[wanted:]):
            raise ProtocolError(
                f"key: wanted {wanted} ids for {self.place.value}, each a letter or digit and up to 127 of "
                f"A-Z a-z 0-9 _ . -, got {quoted(ids, 120)}"
            )

    def __str__(self) -> str:
        return _text(self.place, self.deployment, self.instance_id, self.session_id)


def every_session(place: RemotePlace, deployment: str, instance_id: str) -> str:
    """Return the key expression of one place in all sessions of an instance.

    Raises:
        ProtocolError: an id that is no segment, or a place that is no session's.
    """
    RemoteKey(place, deployment, instance_id, "any")
    return _text(place, deployment, instance_id, _ANY)


def parse_key(key: str) -> RemoteKey:
    """Return what a key is.

    Raises:
        ProtocolError: not a key of this protocol.
    """
    parts = tuple(key.split("/"))
    if parts[: len(_ROOT)] != _ROOT:
        raise _unknown(key)
    ids = parts[len(_ROOT) :]
    if len(ids) == 2 and ids[1] == RemotePlace.DESCRIBE.value:
        return RemoteKey(RemotePlace.DESCRIBE, ids[0])
    if len(ids) == 4 and ids[1] == "instances" and ids[3] in _OF_INSTANCE:
        return RemoteKey(_OF_INSTANCE[ids[3]], ids[0], ids[2])
    tail = "/".join(ids[5:])
    if len(ids) >= 6 and (ids[1], ids[3]) == ("instances", "sessions") and tail in _OF_SESSION:
        return RemoteKey(_OF_SESSION[tail], ids[0], ids[2], ids[4])
    raise _unknown(key)


def _text(place: RemotePlace, deployment: str, instance_id: str, session_id: str) -> str:
    parts = [*_ROOT, deployment]
    if place is RemotePlace.DESCRIBE:
        return "/".join([*parts, place.value])
    parts += ["instances", instance_id]
    if session_id:
        parts += ["sessions", session_id]
    return "/".join([*parts, _TAILS[place]])


def _unknown(key: str) -> ProtocolError:
    return ProtocolError(f"key: wanted one of LeRobot's remote inference v1, got {quoted(key, 120)}")
