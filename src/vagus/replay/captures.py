"""Reader of a capture folder: the captured sessions, each with its requests in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import ConfigError, ProtocolError
from vagus.quoting import quoted
from vagus.server.capture import SUFFIX, Captured, read_capture
from vagus.server.sessions import Opening
from vagus.wire.codec import decode_header
from vagus.wire.schema import Capabilities, Header, Kind

__all__ = [
    "REPLAY_OF",
    "CaptureFolder",
    "CapturedRequest",
    "CapturedSession",
    "has_captures",
    "read_captures",
]

REPLAY_OF = "replay_of"
"""Tag of a session that a replay has opened, for the session that it repeats."""
LISTED = 5
"""Largest number of files that a warning names."""


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """A captured request; its bytes are read when they are needed.

    Attributes:
        path: file of the sample.
        header: header of the request.
        result: "chunk", the code of the event that was sent, or the reason why nothing was sent.
        has_reply: an answer was sent.
    """

    path: Path
    header: Header
    result: str
    has_reply: bool

    def load(self) -> Captured:
        """Return the whole sample.

        Raises:
            ProtocolError: the file has gone, or is damaged.
        """
        return read_capture(self.path)


@dataclass(frozen=True, slots=True)
class CapturedSession:
    """The captured requests of one session, in the order in which the robot sent them.

    Attributes:
        client: segment of the client in its keys.
        epoch: epoch of the session.
        began: when its first captured request was answered, for the order of the sessions.
        opening: how it was opened; None: a version of vagus captured it that did not say.
        requests: at least one, by episode and number.
    """

    client: str
    epoch: int
    began: str
    opening: Opening | None
    requests: tuple[CapturedRequest, ...]

    @property
    def name(self) -> str:
        """Name of the session, as in logs and audit lines."""
        return f"{self.client}:{self.epoch:08x}"

    @property
    def capabilities(self) -> Capabilities | None:
        """What the server said of itself, or None if nobody knows."""
        return None if self.opening is None else self.opening.ack.capabilities


@dataclass(frozen=True, slots=True)
class CaptureFolder:
    """What a folder holds.

    Attributes:
        path: the folder.
        sessions: at least one, in the order in which they began.
        warnings: what is damaged, doubled or not said.
    """

    path: Path
    sessions: tuple[CapturedSession, ...]
    warnings: tuple[str, ...]


def has_captures(folder: Path) -> bool:
    """Return whether a folder holds captures."""
    return folder.is_dir() and next(folder.glob(f"*{SUFFIX}"), None) is not None


def read_captures(folder: Path) -> CaptureFolder:
    """Return the sessions whose requests are captured in a folder. Damaged files are named and left out.

    Raises:
        ConfigError: no such folder, no captured request in it, or none that can be read.
    """
    if not folder.is_dir():
        raise ConfigError("captures", wanted="a folder that `capture_dir` names", got=str(folder))
    warnings: list[str] = []
    damaged: list[str] = []
    groups: dict[tuple[str, int], list[tuple[CapturedRequest, Captured]]] = defaultdict(list)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            request, sample = _read(path)
        except ProtocolError as error:
            damaged.append(quoted(error))
            continue
        groups[sample.client, request.header.epoch].append((request, sample))
    if damaged:
        warnings.append(f"{len(damaged)} files were left out: {_listed(damaged)}")
    if not groups:
        raise ConfigError(
            "captures",
            wanted=f"captured requests (*{SUFFIX}), as `capture_dir` of a server makes them",
            got=f"none that can be read in {folder}" + (f" ({warnings[0]})" if warnings else ""),
        )
    sessions = _originals([_session(key, group, warnings) for key, group in groups.items()], warnings)
    unsaid = [session.name for session in sessions if session.opening is None]
    if unsaid:
        warnings.append(
            f"an earlier version of vagus captured {_listed(unsaid)}: it did not note the model, its hash, "
            "the specs and the terms of the session, so nobody can tell whether a server has the same model"
        )
    ordered = sorted(sessions, key=lambda session: (session.began, session.name))
    return CaptureFolder(folder, tuple(ordered), tuple(warnings))


def _originals(sessions: list[CapturedSession], warnings: list[str]) -> list[CapturedSession]:
    """Leave out what replays have sent to a server that captures into this folder; but never all."""
    kept = [it for it in sessions if it.opening is None or REPLAY_OF not in it.opening.asked.tags]
    if not kept or len(kept) == len(sessions):
        return sessions
    warnings.append(f"{len(sessions) - len(kept)} sessions of earlier replays were left out")
    return kept


def _read(path: Path) -> tuple[CapturedRequest, Captured]:
    """Return a sample without its bytes.

    Raises:
        ProtocolError: it is damaged.
    """
    sample = read_capture(path)
    try:
        header = decode_header(sample.header)
    except ProtocolError as error:
        raise ProtocolError(f"{path}: {error}") from error
    if header.kind is not Kind.OBSERVATION:
        raise ProtocolError(f"{path}: wanted a request, got a message of kind {header.kind.name.lower()}")
    light = Captured(
        sample.client,
        sample.header,
        b"",
        sample.result,
        b"",
        captured=sample.captured,
        opening=sample.opening,
    )
    return CapturedRequest(path, header, sample.result, bool(sample.reply)), light


def _session(
    key: tuple[str, int], group: list[tuple[CapturedRequest, Captured]], warnings: list[str]
) -> CapturedSession:
    client, epoch = key
    requests: dict[tuple[int, int], CapturedRequest] = {}
    for request, _ in sorted(group, key=lambda pair: str(pair[0].path)):
        requests.setdefault((request.header.episode, request.header.seq), request)
    session = CapturedSession(
        client=client,
        epoch=epoch,
        began=min(sample.captured for _, sample in group),
        opening=next((sample.opening for _, sample in group if sample.opening is not None), None),
        requests=tuple(requests[place] for place in sorted(requests)),
    )
    doubled = len(group) - len(requests)
    if doubled:
        warnings.append(f"{doubled} requests of {session.name} came twice; each is taken once")
    return session


def _listed(names: Iterable[str]) -> str:
    told = list(names)
    rest = len(told) - LISTED
    return "; ".join(told[:LISTED]) + (f"; and {rest} more" if rest > 0 else "")
