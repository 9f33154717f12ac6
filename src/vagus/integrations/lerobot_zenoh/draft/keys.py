"""Keys of the draft: a model, a revision and a task, each as a slug, then a client (pure)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from vagus.errors import ProtocolError
from vagus.quoting import quoted

__all__ = ["DraftKey", "DraftPlace", "DraftService", "key_expression", "parse_draft_key", "slug"]

_ROOT: Final = "@lerobot"
_ANY: Final = "*"
_SLUG: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_OTHER: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class DraftPlace(enum.Enum):
    """What happens at a key."""

    STATUS = "status"
    """Query: what is served."""
    SESSION = "session"
    """Query: open and close."""
    SERVER_ALIVE = "server/alive"
    """Token of the server."""
    OBSERVATION = "obs"
    """Put by a client."""
    ACTION = "action"
    """Put by the server."""
    RESET = "reset"
    """Query: a new episode."""
    CLIENT_ALIVE = "alive"
    """Token of a client."""

    @property
    def is_of_client(self) -> bool:
        """Whether its key names a client."""
        return self.value in _OF_CLIENT


_OF_SERVICE: Final = {place.value: place for place in list(DraftPlace)[:3]}
_OF_CLIENT: Final = {place.value: place for place in list(DraftPlace)[3:]}
_RESERVED: Final = frozenset({"server"})


@dataclass(frozen=True)
class DraftService:
    """What is served, as slugs.

    Attributes:
        model: e.g. `lerobot-smolvla_base`.
        revision: e.g. `main`.
        task: e.g. `pick-the-cube`.

    Raises:
        ProtocolError: not slugs.
    """

    model: str
    revision: str
    task: str

    def __post_init__(self) -> None:
        for name in (self.model, self.revision, self.task):
            if not _is_slug(name):
                raise ProtocolError(f"key: wanted a slug of A-Z a-z 0-9 _ . -, got {quoted(name, 80)!r}")


@dataclass(frozen=True)
class DraftKey:
    """One key; `str()` gives it.

    Attributes:
        place: what happens there.
        service: what is served.
        client: uuid of the client; empty for status, session and the server's token.

    Raises:
        ProtocolError: a client where none belongs, none where one does, or one that no key can hold.
    """

    place: DraftPlace
    service: DraftService
    client: str = ""

    def __post_init__(self) -> None:
        is_right = _is_client(self.client) if self.place.is_of_client else self.client == ""
        if not is_right:
            wanted = "a client's uuid" if self.place.is_of_client else "no client"
            raise ProtocolError(
                f"key: wanted {wanted} for {self.place.value}, got {quoted(self.client, 80)!r}"
            )

    def __str__(self) -> str:
        middle = [self.client] if self.client else []
        named = [self.service.model, self.service.revision, self.service.task]
        return "/".join([_ROOT, *named, *middle, self.place.value])


def slug(text: str) -> str:
    """Return a text as a segment of a key: what is not A-Z a-z 0-9 _ . - becomes one `-`.

    Raises:
        ProtocolError: nothing is left, or too much.
    """
    made = _OTHER.sub("-", text).strip("-.")
    if not _is_slug(made):
        raise ProtocolError(
            f"key: wanted a text of which 1 to 255 characters can stand in a key, got {text[:80]!r}"
        )
    return made


def key_expression(place: DraftPlace, model: str, revision: str, task: str) -> str:
    """Return the key expression of one place, of every client where it is a client's; a slug may be `*`."""
    clients = [_ANY] if place.is_of_client else []
    return "/".join([_ROOT, model, revision, task, *clients, place.value])


def parse_draft_key(key: str) -> DraftKey:
    """Return what a key is.

    Raises:
        ProtocolError: not a key of the draft.
    """
    parts = key.split("/")
    tail = "/".join(parts[4:])
    if parts[0] != _ROOT or len(parts) not in (5, 6):
        raise ProtocolError(f"key: wanted one of LeRobot's remote inference draft, got {quoted(key, 120)}")
    service = DraftService(*parts[1:4])
    if tail in _OF_SERVICE:
        return DraftKey(_OF_SERVICE[tail], service)
    if len(parts) != 6 or parts[5] not in _OF_CLIENT:
        raise ProtocolError(f"key: wanted one of LeRobot's remote inference draft, got {quoted(key, 120)}")
    return DraftKey(_OF_CLIENT[parts[5]], service, parts[4])


def _is_slug(text: str) -> bool:
    return _SLUG.fullmatch(text) is not None and text.strip("-.") == text


def _is_client(text: str) -> bool:
    return _SLUG.fullmatch(text) is not None and text not in _RESERVED
