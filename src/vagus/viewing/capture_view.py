"""View of the requests that a server has captured, of one session of one robot.

A capture says what was asked and answered, and not what the robot did: there are no commands and no states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vagus.clock import NS_PER_S
from vagus.errors import ConfigError, ProtocolError
from vagus.recording.frame_files import MAX_PIXELS
from vagus.replay.captures import CapturedRequest, CapturedSession, CaptureFolder, read_captures
from vagus.types import DepthImage, Image
from vagus.viewing.description import (
    ANSWERED,
    ChunkFan,
    Curve,
    EpisodeBegin,
    JointTrack,
    Numbers,
    Picture,
    RecordingView,
    due_times,
)
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.depth import decode_depth
from vagus.wire.images import decode_image
from vagus.wire.schema import ChunkMessage, ObservationMessage

__all__ = ["view_of_captures"]

CHUNK = "chunk"
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class _Exchange:
    """A request that could be read, and its answer."""

    request: CapturedRequest
    at_s: float
    asked: ObservationMessage
    state: Numbers
    chunk: ChunkMessage | None

    @property
    def cameras(self) -> tuple[tuple[str, str], ...]:
        """(name, kind) of its frames."""
        colours = tuple((name, "colour") for name in self.asked.images)
        return (*colours, *((name, "depth") for name in self.asked.depth))


def view_of_captures(folder: Path, name: str) -> RecordingView:
    """Return the view of one captured session.

    Args:
        folder: folder of the captures.
        name: of the session, as client:epoch, or of its client; "": the first session.

    Raises:
        ConfigError: nothing is captured there, or not of this session.
    """
    captures = read_captures(folder)
    session = _chosen(captures, name)
    zero_ns = min(request.header.client_mono_ns for request in session.requests)
    exchanges, lost = _read(session, zero_ns)
    fans = tuple(_fans(exchanges, _rate_hz(session)))
    times_s = np.array([exchange.at_s for exchange in exchanges])
    ends = [*times_s.tolist()[-1:], *(float(fan.times_s[-1]) for fan in fans)]
    others = [one.name for one in captures.sessions if one is not session]
    told = (f"{len(others)} more sessions are captured there (--session): {', '.join(others[:5])}",)
    return RecordingView(
        title=f"requests of {session.name}",
        facts=tuple(_facts(session, exchanges)),
        warnings=(*captures.warnings, *lost, *(told if others and not name else ())),
        begin_s=0.0,
        end_s=max(ends, default=0.0),
        began=None,
        tracks=tuple(_tracks(session, exchanges, times_s)),
        fans=fans,
        bands=(),
        episodes=tuple(_episodes(exchanges)),
        age=Curve(np.zeros(0), np.zeros(0)),
        max_age_ms=None,
        latency=_latency(exchanges),
        steps=Curve(times_s, np.array([float(exchange.asked.step) for exchange in exchanges])),
        pictures=tuple(_pictures(exchanges)),
    )


def _chosen(captures: CaptureFolder, name: str) -> CapturedSession:
    named = [one for one in captures.sessions if name in ("", one.name, one.client)]
    if named:
        return named[0]
    there = ", ".join(one.name for one in captures.sessions)
    raise ConfigError("session", wanted=f"one of {there}", got=name)


def _read(session: CapturedSession, zero_ns: int) -> tuple[list[_Exchange], tuple[str, ...]]:
    """Return the exchanges in order of time, and a warning about those that cannot be read."""
    found: list[_Exchange] = []
    failures: list[str] = []
    for request in session.requests:
        exchange = _exchange(request, zero_ns)
        if isinstance(exchange, str):
            failures.append(exchange)
        else:
            found.append(exchange)
    found.sort(key=lambda exchange: exchange.at_s)
    told = (f"{len(failures)} requests cannot be shown, the first: {failures[0]}",) if failures else ()
    return found, told


def _exchange(request: CapturedRequest, zero_ns: int) -> _Exchange | str:
    """Return what was asked and answered, or why it cannot be read."""
    try:
        sample = request.load()
        asked = decode(sample.payload, ObservationMessage)
        state = decode_tensor(asked.state, shape=(None,), name="state").astype(np.float64)
        chunk = decode(sample.reply, ChunkMessage) if request.result == CHUNK else None
        if chunk is not None:
            decode_tensor(chunk.chunk_robot, shape=(None, None), name="chunk")
    except ProtocolError as error:
        return str(error)
    return _Exchange(request, (request.header.client_mono_ns - zero_ns) / NS_PER_S, asked, state, chunk)


def _rate_hz(session: CapturedSession) -> float | None:
    asked = None if session.opening is None else session.opening.asked.rate_hz
    said = session.capabilities
    return asked or (said.rate_hz if said else None)


def _facts(session: CapturedSession, exchanges: Sequence[_Exchange]) -> Iterator[tuple[str, str]]:
    said = session.capabilities
    yield "robot", session.client
    if said is not None:
        yield "policy", f"{said.model}/{said.revision}/{said.service_name}"
        yield "model", said.model_hash[:_HASH_DIGITS]
    if session.began:
        yield "began", session.began
    counts = Counter(exchange.request.result for exchange in exchanges)
    yield "requests", ", ".join(f"{count} {result}" for result, count in counts.most_common())
    instructions = dict.fromkeys(exchange.asked.instruction for exchange in exchanges)
    yield "instruction", "; ".join(text for text in instructions if text) or "none"


def _tracks(
    session: CapturedSession, exchanges: Sequence[_Exchange], times_s: Numbers
) -> Iterator[JointTrack]:
    """Yield a track per action, with the state of the same name, then the other states."""
    said = session.capabilities
    actions = [(action.name, action.unit) for action in said.actions] if said else []
    names = [state.name for state in said.state] if said else []
    units = [state.unit for state in said.state] if said else []
    width = min((len(exchange.state) for exchange in exchanges), default=0)
    columns = [
        Curve(times_s, np.array([exchange.state[place] for exchange in exchanges])) for place in range(width)
    ]
    names += [f"state {place + 1}" for place in range(len(names), width)]
    units += [""] * (width - len(units))
    for column, (name, unit) in enumerate(actions):
        measured = columns[names.index(name)] if name in names[:width] else None
        yield JointTrack(name, unit, column, None, measured)
    taken = {name for name, _ in actions}
    for place, curve in enumerate(columns):
        if names[place] not in taken:
            yield JointTrack(names[place], units[place], None, None, curve)


def _fans(exchanges: Sequence[_Exchange], rate_hz: float | None) -> Iterator[ChunkFan]:
    for exchange in exchanges:
        if exchange.chunk is None or not rate_hz:
            continue
        values = decode_tensor(exchange.chunk.chunk_robot, shape=(None, None), name="chunk")
        if not len(values):
            continue
        header = exchange.request.header
        yield ChunkFan(
            seq=header.seq,
            epoch=header.epoch,
            episode=header.episode,
            step=exchange.chunk.step,
            captured_s=exchange.at_s,
            arrived_s=exchange.at_s + _server_ms(exchange.chunk) / 1000.0,
            times_s=due_times(exchange.at_s, len(values), rate_hz),
            values=values.astype(np.float64),
            outcome=ANSWERED,
        )


def _server_ms(chunk: ChunkMessage) -> float:
    """Return the time that the server took."""
    return chunk.queue_wait_ms + chunk.decode_ms + chunk.inference_ms


def _latency(exchanges: Sequence[_Exchange]) -> Curve:
    answered = [(one.at_s, _server_ms(one.chunk)) for one in exchanges if one.chunk is not None]
    return Curve(np.array([at_s for at_s, _ in answered]), np.array([took_ms for _, took_ms in answered]))


def _episodes(exchanges: Sequence[_Exchange]) -> Iterator[EpisodeBegin]:
    last: int | None = None
    for exchange in exchanges:
        if exchange.request.header.episode != last:
            last = exchange.request.header.episode
            yield EpisodeBegin(last, exchange.at_s)


def _pictures(exchanges: Sequence[_Exchange]) -> Iterator[Picture]:
    """Yield the frames; each is read from its file when it is drawn."""
    for exchange in exchanges:
        for camera, kind in exchange.cameras:
            yield Picture(camera, kind, exchange.at_s, partial(_frame, exchange.request, camera, kind))


def _frame(request: CapturedRequest, camera: str, kind: str) -> Image | DepthImage:
    asked = decode(request.load().payload, ObservationMessage)
    if kind == "depth":
        message = asked.depth[camera]
        return decode_depth(message, height=message.height, width=message.width)
    return decode_image(asked.images[camera], max_pixels=MAX_PIXELS)
