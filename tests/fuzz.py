"""Throw mutated bytes at every decoder until the time is over: `python tests/fuzz.py --seconds 300`.

A finding is an exception other than ProtocolError, a run over its time or memory, or growth of the process.
Exit status 1 on any finding. The tests use the same targets and mutators in small doses.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import faulthandler
import fnmatch
import random
import resource
import struct
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np

from lerobot_pickles import golden
from samples import SAMPLES
from vagus.errors import ProtocolError, SpecError
from vagus.gateways import zmtp
from vagus.gateways.arrays import ArrayDialect, decode_message, encode_message
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignRequest, Operation, WirePath
from vagus.gateways.profile import ResizeRule
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.integrations.astribot import motion_codec, session_codec
from vagus.integrations.astribot.dialect import observation_from, reply_of, request_of
from vagus.integrations.astribot.messages import (
    AstribotChunk,
    AstribotCommand,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
    Method,
)
from vagus.integrations.astribot.session import AstribotModel, AstribotSession
from vagus.integrations.astribot.variants import LEROBOT
from vagus.integrations.gr00t import dialect as gr00t
from vagus.integrations.gr00t.batches import batch_of
from vagus.integrations.lerobot_grpc.canonical import canonical_request
from vagus.integrations.lerobot_grpc.dialect import decode_reply, decode_request, decode_setup
from vagus.integrations.lerobot_grpc.pickle_reader import read_policy_config
from vagus.integrations.lerobot_grpc.protobuf import decode_part, encode_data
from vagus.integrations.lerobot_grpc.robot_setup import check_setup
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.canonical import foreign_request as draft_request
from vagus.integrations.lerobot_zenoh.draft.canonical import foreign_rtc as draft_rtc
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk, DraftObservation
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftOpened,
    DraftReset,
    decode_session_request,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.v1.client_messages import read_put
from vagus.integrations.lerobot_zenoh.v1.control import ControlAck, ControlRequest, RemoteFault
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession, Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageType
from vagus.integrations.lerobot_zenoh.v1.envelope import decode_message as decode_remote
from vagus.integrations.lerobot_zenoh.v1.exchange import foreign_request
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace, parse_key
from vagus.integrations.lerobot_zenoh.v1.language import LanguageRequest, LanguageResult
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation
from vagus.integrations.lerobot_zenoh.v1.opening import OpenRequest
from vagus.integrations.lerobot_zenoh.v1.pictures import RemotePicture
from vagus.integrations.lerobot_zenoh.v1.values import write_map
from vagus.integrations.openpi import dialect as openpi
from vagus.integrations.pointact import dialect as pointact
from vagus.integrations.pointact.batches import rows_of
from vagus.transport.keys import client_segment, server_from_key
from vagus.wire.codec import decode, decode_header, decode_tensor, encode, encode_header
from vagus.wire.depth import DEPTH_CODECS, decode_depth, encode_depth
from vagus.wire.images import decode_image, encode_image
from vagus.wire.schema import DepthMessage, Header, ImageMessage, Kind, TensorMessage

HEIGHT, WIDTH = 12, 16
MAX_PIXELS = 1 << 16

MAX_CPU_S = 2.0
"""Of one run; real runs take microseconds, so only a decoder that loops comes near."""
MAX_MEMORY_BYTES = 2 << 20
"""Of one run, and 64 bytes for each byte of input; a frame of MAX_PIXELS takes 200 kB, decoded thrice."""
MAX_ERROR_TEXT = 2000
"""Characters; a log line must not be the attacker's to fill."""
MAX_GROWTH_BYTES = 128 << 20
"""Of the whole process, for memory that Python does not count (libjpeg, zlib)."""
MAX_HANG_S = 60.0
"""A C loop that never returns ends the program with a traceback and status 1."""


@dataclass(frozen=True)
class Target:
    """One decoder, and valid inputs to begin from."""

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


@dataclass(frozen=True)
class Edit:
    """One mutation. `at` and `until` are shares of the input's length."""

    kind: str
    at: float
    until: float
    insert: bytes


def _flip(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    if at < len(mutated):
        mutated[at] ^= 1 << (insert[0] % 8 if insert else 0)


def _delete(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    del mutated[at:until]


def _truncate(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    del mutated[at:]


def _insert(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    mutated[at:at] = insert


def _overwrite(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    mutated[at : at + len(insert)] = insert


def _repeat(mutated: bytearray, at: int, until: int, insert: bytes) -> None:
    mutated[at:at] = mutated[at:until]


EDITS = {
    "flip": _flip,
    "truncate": _truncate,
    "insert": _insert,
    "overwrite": _overwrite,
    "delete": _delete,
    "repeat": _repeat,
}
EDIT_KINDS = (*EDITS, "splice")
INTERESTING = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00" * 8,
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 40,
    b"\x81\xa1a" * 20,
    b"\xff\xd8", b"\xff\xc0", b"\xff\xc2", b"\xff\xda", b"\xff\xd9", b"IDAT", b"IEND", b"\xcf" + b"\xff" * 8,
)  # fmt: skip


def mutate(seed: bytes, edits: Iterable[Edit], other: bytes) -> bytes:
    """Return `seed` after `edits`; "splice" goes on with the rest of `other`."""
    mutated = bytearray(seed)
    for edit in edits:
        at = int(edit.at * len(mutated))
        until = max(at, int(edit.until * len(mutated)))
        if edit.kind == "splice":
            mutated[at:] = other[int(edit.until * len(other)) :]
        else:
            EDITS[edit.kind](mutated, at, until, edit.insert)
    return bytes(mutated)


def random_edits(chance: random.Random) -> list[Edit]:
    """Return one to four edits."""
    return [
        Edit(
            chance.choice(EDIT_KINDS),
            chance.random(),
            chance.random(),
            chance.choice(INTERESTING) if chance.random() < 0.5 else chance.randbytes(chance.randrange(1, 9)),
        )
        for _ in range(chance.randrange(1, 5))
    ]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with the right length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, body) for kind, body in chunks)


def png_header(height: int, width: int, form: Sequence[int] = (8, 2, 0, 0, 0)) -> tuple[bytes, bytes]:
    """Return an IHDR chunk's kind and body."""
    return b"IHDR", struct.pack(">II5B", width, height, *form)


def png_of_rows(rows: bytes, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """Return a PNG whose filtered rows are these bytes."""
    return png_file(png_header(height, width), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def check(target: Target, payload: bytes) -> str | None:
    """Return what is wrong with how `target` treats `payload`, or None. Python must be tracing its memory."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    began = time.process_time()
    try:
        target.run(payload)
    except ProtocolError as error:
        if len(str(error)) > MAX_ERROR_TEXT:
            return f"an error text of {len(str(error))} characters"
    except Exception as error:  # noqa: BLE001 - finding them is what this program is for
        return f"{type(error).__name__}: {error}"
    took_s = time.process_time() - began
    if took_s > MAX_CPU_S:
        return f"took {took_s:.1f} s"
    used = tracemalloc.get_traced_memory()[1] - before
    if used > MAX_MEMORY_BYTES + 64 * len(payload):
        return f"allocated {used} bytes for {len(payload)}"
    return None


def warm_up(targets: Iterable[Target]) -> None:
    """Run each target once over its valid inputs: what a first run imports and keeps is no input's doing."""
    for target in targets:
        for seed in target.seeds:
            with contextlib.suppress(Exception):  # whatever it is, `check` finds it
                target.run(seed)


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Have Python count its memory."""
    # once for all runs: CPython 3.12.1 leaks 30 bytes a turn, and its stop races with threads that end
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def fuzz(targets: Sequence[Target], *, seconds: float, seed: int, most: int = sys.maxsize) -> int:
    """Run the mutators over `targets`; print counts and findings; return how many were found."""
    executions, findings, reported_s = 0, 0, 0.0
    warm_up(targets)
    began, rss_at_start = time.monotonic(), _peak_rss_bytes()
    with traced():
        while executions < most and time.monotonic() - began < seconds:
            faulthandler.dump_traceback_later(MAX_HANG_S, exit=True, file=2)
            for target in targets:
                chance = random.Random(f"{seed}/{target.name}/{executions}")
                payload = mutate(
                    chance.choice(target.seeds), random_edits(chance), chance.choice(target.seeds)
                )
                executions += 1
                wrong = check(target, payload)
                if wrong is not None:
                    findings += 1
                    _say(f"FINDING in {target.name}: {wrong}\n  input: {base64.b64encode(payload).decode()}")
            if time.monotonic() - began - reported_s >= 10:
                reported_s = time.monotonic() - began
                _say(f"{reported_s:.0f} s: {executions} executions, {findings} findings")
        faulthandler.cancel_dump_traceback_later()
    grown = _peak_rss_bytes() - rss_at_start
    if grown > MAX_GROWTH_BYTES:
        findings += 1
        _say(f"FINDING: the process grew by {grown} bytes")
    _say(f"{executions} executions of {len(targets)} decoders, {findings} findings, {grown >> 20} MiB grown")
    return findings


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _decode_deeply(payload: bytes, kind: type[msgspec.Struct]) -> None:
    """Decode a message, then every array and frame in it, as a receiver does."""
    message = decode(payload, kind)
    parts = (message, *(getattr(message, name) for name in message.__struct_fields__))
    leaves = [leaf for part in parts for leaf in (part.values() if isinstance(part, dict) else (part,))]
    failed = [error for error in map(_leaf_error, leaves) if error is not None]
    if failed:
        raise failed[0]


def _leaf_error(leaf: object) -> ProtocolError | None:
    try:
        _decode_leaf(leaf)
    except ProtocolError as error:
        return error
    return None


def _decode_leaf(leaf: object) -> None:
    if isinstance(leaf, TensorMessage):
        decode_tensor(leaf, shape=(None,) * len(leaf.shape), name="x").copy()
    elif isinstance(leaf, ImageMessage):
        decode_image(leaf, max_pixels=MAX_PIXELS)
    elif isinstance(leaf, DepthMessage) and 0 < leaf.height * leaf.width <= MAX_PIXELS:
        decode_depth(leaf, height=leaf.height, width=leaf.width)


def _frame_target(
    codec: str, seeds: tuple[bytes, ...], wrap: Callable[[bytes], bytes] | None = None
) -> Target:
    def run(payload: bytes) -> None:
        data = payload if wrap is None else wrap(payload)
        decode_image(ImageMessage(codec, HEIGHT, WIDTH, memoryview(data)), max_pixels=MAX_PIXELS)

    return Target(codec if wrap is None else f"{codec} {wrap.__name__}", run, seeds)


def _depth_target(
    codec: str, seeds: tuple[bytes, ...], wrap: Callable[[bytes], bytes] | None = None
) -> Target:
    def run(payload: bytes) -> None:
        data = payload if wrap is None else wrap(payload)
        decode_depth(DepthMessage(codec, HEIGHT, WIDTH, memoryview(data)), height=HEIGHT, width=WIDTH)

    return Target(f"depth {codec}" if wrap is None else f"depth {codec} {wrap.__name__}", run, seeds)


def _depth_targets() -> tuple[Target, ...]:
    frame = np.random.default_rng(0).integers(0, 1 << 16, (HEIGHT, WIDTH), dtype=np.uint16)
    encoded = {codec: bytes(encode_depth(frame, codec).data) for codec in DEPTH_CODECS}
    rows = b"".join(bytes([y % 3]) + row.tobytes() for y, row in enumerate(frame))
    return (
        *(_depth_target(codec, (data,)) for codec, data in encoded.items()),
        _depth_target("png", (zlib.compress(rows),), with_grey_checksums),
        _depth_target("delta", (frame.tobytes(),), compressed),
    )


def with_grey_checksums(stream: bytes) -> bytes:
    """Return a 16-bit grey PNG around a mutated compressed stream."""
    return png_file(png_header(HEIGHT, WIDTH, (16, 0, 0, 0, 0)), (b"IDAT", stream), (b"IEND", b""))


def compressed(planes: bytes) -> bytes:
    """Return a zlib stream of mutated byte planes, cut or filled to their length."""
    size = 2 * HEIGHT * WIDTH
    return zlib.compress(planes[:size].ljust(size, b"\x00"))


def _pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def with_checksums(stream: bytes) -> bytes:
    """Return a PNG around a mutated compressed stream."""
    return png_file(png_header(HEIGHT, WIDTH), (b"IDAT", stream), (b"IEND", b""))


def from_rows(rows: bytes) -> bytes:
    """Return a PNG around mutated filtered rows, cut or filled to their length."""
    size = HEIGHT * (1 + 3 * WIDTH)
    return png_of_rows(rows[:size].ljust(size, b"\x00"))


def _rows() -> bytes:
    """Return filtered rows that use every filter that travels."""
    return b"".join(bytes([y % 3]) + row.tobytes() for y, row in enumerate(_pixels()))


def _targets() -> tuple[Target, ...]:
    frame = _pixels()
    encoded = {codec: bytes(encode_image(frame, codec).data) for codec in ("raw", "jpeg", "png")}
    frames = tuple(encode(encode_image(frame, codec)) for codec in encoded)
    names = (b"@vagus/m/r/n/s-1/alive", b"@vagus/m/r/n/s-1/c/chunk", b"@vagus/m/r/n/s-1/c/i/alive")
    key_text = "utf-8", "surrogateescape"
    header = encode_header(Header(Kind.CHUNK, 1, 2, 3, 4))
    messages: dict[str, list[msgspec.Struct]] = {}
    for sample in SAMPLES.values():
        messages.setdefault(type(sample).__name__, []).append(sample)
    return (
        Target("header", decode_header, (header,)),
        *(_message_target(samples) for samples in messages.values() if not isinstance(samples[0], Header)),
        Target("frame message", lambda payload: _decode_deeply(payload, ImageMessage), frames),
        *(_frame_target(codec, (data,)) for codec, data in encoded.items()),
        _frame_target("png", (zlib.compress(_rows()),), with_checksums),
        _frame_target("png", (_rows(),), from_rows),
        *_depth_targets(),
        *_lerobot_targets(),
        Target("server key", lambda payload: server_from_key(payload.decode(*key_text)), names),
        Target("client key", lambda payload: client_segment(payload.decode(*key_text)), names),
        *_foreign_targets(),
        *_remote_targets(),
    )


def _lerobot_targets() -> tuple[Target, ...]:
    config = decode_setup(golden("policy_setup.grpcmsg.bin"))
    profile = load_profile("so100", "lerobot_grpc")

    def set_up(payload: bytes) -> None:
        found = read_policy_config(payload)
        with contextlib.suppress(SpecError):
            check_setup(found, profile)

    def observe(payload: bytes) -> None:
        canonical_request(decode_request(payload), config)

    return (
        Target("LeRobot setup", set_up, _pickles("policy_setup")),
        Target("LeRobot observation", observe, _pickles("observation")),
        Target("LeRobot actions", lambda data: decode_reply(encode_data(data)), _pickles("actions")),
        Target("LeRobot part", decode_part, (golden("observation.grpcmsg.bin"),)),
    )


def _pickles(name: str) -> tuple[bytes, bytes]:
    """Return a pickle, and the same without its frame: that one may change its length."""
    whole = golden(f"{name}.pickle.bin")
    return whole, whole[:2] + whole[11:]


def _foreign_targets() -> tuple[Target, ...]:
    """Return what decodes the messages of other systems' programs."""
    integrations = Path(__file__).parent / "integrations"
    openpi_frames, gr00t_frames = integrations / "openpi" / "golden", integrations / "gr00t" / "golden"
    value: dict[Key, Value] = {
        "x": np.arange(4.0), "n": np.float32(1), "prev_action_chunk": [[1.0, 2.0]], "enable_rtc": True,
    }  # fmt: skip
    arrays = tuple(encode_message(value, dialect) for dialect in ArrayDialect)
    return (
        Target("foreign arrays", decode_message, arrays),
        Target("openpi request", _openpi_request, _files(openpi_frames, "*_c2s_*") + arrays),
        Target("openpi observation", _openpi_observations(), _files(openpi_frames, "conn1_c2s_frame[01]_*")),
        Target("openpi reply", _openpi_reply, _files(openpi_frames, "*_s2c_*")),
        Target("gr00t request", _gr00t_request, _files(gr00t_frames, "*_REQ.bin")),
        Target(
            "gr00t actions",
            lambda it: gr00t.decode_reply(it, Operation.INFER),
            _files(gr00t_frames, "*_03_REP*"),
        ),
        Target(
            "gr00t description",
            lambda it: gr00t.decode_reply(it, Operation.DESCRIBE),
            _files(gr00t_frames, "n1?_0[1567]_REP*"),
        ),
        Target("zeromq connection", _zeromq, _zeromq_streams()),
        *_pointact_connections(),
        *_pointact_targets(integrations / "pointact" / "golden"),
        *_astribot_targets(integrations / "astribot" / "golden"),
    )


def _files(folder: Path, *patterns: str, but: str = "") -> tuple[bytes, ...]:
    """Return the files of these patterns, but those of one that are no valid message."""
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    return tuple(file.read_bytes() for file in files if not fnmatch.fnmatch(file.name, but))


def _openpi_request(payload: bytes) -> None:
    request = openpi.decode_request(payload)
    openpi.encode_request(request)
    openpi.rtc_of(request)


def _openpi_observations() -> Callable[[bytes], None]:
    """Return what reads a request as the profile of ALOHA or DROID means it, pictures as captured."""
    mappings = {}
    for name in ("aloha", "droid"):
        profile = load_profile(name, "openpi")
        small = tuple(replace(image, height=2, width=2, resize=ResizeRule.REFUSE) for image in profile.images)
        mappings[name] = WireMapping(replace(profile, images=small))

    def observe(payload: bytes) -> None:
        request = openpi.decode_request(payload)
        name = "aloha" if ("state",) in request.observation else "droid"
        observation = mappings[name].observation_from(request)
        if not np.isfinite(observation.state).all():
            raise ValueError(observation.state)

    return observe


def _openpi_reply(payload: bytes) -> None:
    reply = openpi.decode_reply(payload)
    openpi.timing_of(reply)
    openpi.encode_reply(reply, Envelope("openpi"))


def _gr00t_request(payload: bytes) -> None:
    request = gr00t.decode_request(payload)
    gr00t.encode_request(request)
    if request.operation is Operation.INFER:
        batch_of(request, most=16)


def _pointact_targets(frames: Path) -> tuple[Target, ...]:
    def ask(payload: bytes) -> None:
        request = pointact.decode_request(payload)
        pointact.encode_request(request)
        for row in rows_of(request, most=16) if request.operation is Operation.INFER else ():
            if not all(np.isfinite(array).all() for key, array in row.arrays.items() if key[0] in _MOTION):
                raise ValueError(row)

    def answer(payload: bytes) -> None:
        pointact.encode_reply(pointact.decode_reply(payload, Operation.INFER))

    return (
        Target("pointact request", ask, _files(frames, "*_REQ.bin")),
        Target("pointact actions", answer, _files(frames, "get_action_REP*", "ps_03_REP*")),
    )


def _astribot_targets(frames: Path) -> tuple[Target, ...]:
    asked = ForeignRequest(Operation.INFER, Envelope("astribot"), _ASTRIBOT)
    encodings = ("jpeg", "png", "raw") if find_spec("PIL") else ("jpeg", "raw")  # Pillow reads any PNG
    seen = [observation_from(asked, encoding=it) for it in encodings]
    seeds = [motion_codec.encode_observation(observation) for observation in seen]
    commands = [
        session_codec.encode_command(AstribotCommand(kind, {"episode": "3", "prompt": "x"}))
        for kind in CommandType
    ]
    robot = AstribotSession(AstribotModel(name="m", state_dim=25, action_dim=25, horizon=2))

    def ask(payload: bytes) -> None:
        observation = motion_codec.decode_observation(payload)
        robot.refusal_of(observation)
        motion_codec.encode_observation(observation)
        request_of(observation, Method.PREDICT, prompt=robot.prompt, max_pixels=MAX_PIXELS)

    def answer(payload: bytes) -> None:
        chunk = motion_codec.decode_chunk(payload)
        motion_codec.encode_chunk(chunk)
        reply_of(chunk)

    def act(payload: bytes) -> None:
        action = motion_codec.decode_action(payload)
        motion_codec.encode_action(action)
        reply_of(action)

    def configure(payload: bytes) -> None:
        session_codec.encode_policy_config(session_codec.decode_policy_config(payload))

    def control(payload: bytes) -> None:
        session_codec.encode_status(robot.control(session_codec.decode_command(payload)))

    return (
        Target("astribot observation", ask, (*seeds, *_files(frames, "Predict*_c2s*"))),
        Target("astribot chunk", answer, (_astribot_chunk(), *_files(frames, "PredictChunk_0_s2c*"))),
        Target("astribot action", act, _files(frames, "Predict_0_s2c*")),
        Target(
            "astribot observation, lerobot",
            lambda it: LEROBOT.encode_observation(LEROBOT.decode_observation(it)),
            tuple(LEROBOT.encode_observation(observation) for observation in seen),
        ),
        Target(
            "astribot configuration, lerobot",
            lambda it: LEROBOT.encode_config(LEROBOT.decode_config(it)),
            (
                LEROBOT.encode_config(
                    AstribotPolicyConfig("m", device="cuda", policy_type="act", action_width=22)
                ),
            ),
        ),
        Target(
            "astribot status, lerobot",
            lambda it: LEROBOT.encode_status(LEROBOT.decode_status(it)),
            (LEROBOT.encode_status(AstribotStatus(is_ready=True, model_name="m", fps=30.0, mode="model")),),
        ),
        Target("astribot configuration", configure, _files(frames, "Configure_0_c2s*")),
        Target("astribot command", control, tuple(commands)),
        Target(
            "astribot status",
            lambda it: session_codec.encode_status(session_codec.decode_status(it)),
            _files(frames, "[CGR]*_s2c*"),
        ),
    )


def _astribot_chunk() -> bytes:
    return motion_codec.encode_chunk(AstribotChunk(np.ones((3, 25), np.float32)))


_ASTRIBOT: dict[WirePath, Value] = {
    ("state",): np.zeros(25, np.float32),
    ("images", "head"): _pixels(),
    ("images", "wrist_left"): _pixels(),
    ("prompt",): "tidy up",
}
_MOTION = ("observation.state", "observation.points")


def _remote_targets() -> tuple[Target, ...]:
    """Return what decodes LeRobot's remote inference over Zenoh: version 1, and the draft before it."""
    folder = Path(__file__).parent / "integrations" / "lerobot_zenoh"
    messages, draft = folder / "v1" / "golden", folder / "draft" / "golden"
    asked = DraftAttachment(DraftMessage.CHUNK, 7, 1, 123456789, 2)
    key = b"lerobot/inference/v1/deployments/d/instances/i/sessions/s/language/request"
    return (
        Target("remote inference", _remote_message, _files(messages, "[0-9]*.bin", but="*unknown_op_c2s*")),
        Target("remote inference, put", _remote_put, _files(messages, "*_obs_*_c2s*")),
        Target("remote inference, controls", _remote_message, _files(messages, "*_error_*")),
        Target("remote inference key", lambda it: parse_key(it.decode("utf-8", "surrogateescape")), (key,)),
        Target("draft observation", _draft_observation, _files(draft, "lrz_obs_body*")),
        Target("draft chunk", lambda it: DraftChunk.decode(it, asked), _files(draft, "lrz_action_body*")),
        Target("draft session", decode_session_request, _files(draft, "*_open_req*", "*_close_req*")),
        Target("draft session ack", DraftOpened.decode, _files(draft, "lrz_session_open_rep*")),
        Target("draft status", DraftStatus.decode, _files(draft, "lrz_status_rep*")),
        Target("draft reset", DraftReset.decode, _files(draft, "lrz_reset_req*")),
        Target("draft ack", DraftAck.decode, _files(draft, "lrz_reset_rep*")),
        Target("draft attachment", DraftAttachment.decode, _files(draft, "*attachment*")),
    )


_BODIES: dict[MessageType, Callable[[dict[Key, Value]], object]] = {
    MessageType.DESCRIPTOR: Deployment.from_wire,
    MessageType.OPEN: OpenRequest.from_wire,
    MessageType.ACCEPTED: AcceptedSession.from_wire,
    MessageType.CONTROL: ControlRequest.from_wire,
    MessageType.ACK: ControlAck.from_wire,
    MessageType.OBSERVATION: RemoteObservation.from_wire,
    MessageType.ACTION: RemoteActions.from_wire,
    MessageType.LANGUAGE_REQUEST: LanguageRequest.from_wire,
    MessageType.LANGUAGE_RESULT: LanguageResult.from_wire,
    MessageType.ERROR: RemoteFault.from_wire,
}


def _remote_put(payload: bytes) -> None:
    """Read what a client puts as its gateway does, and make of it a request by the keys of a profile."""
    put = read_put(RemotePlace.OBSERVATION, payload)
    if put.observation is not None:
        pictures = [it for it in put.observation.features.values() if isinstance(it, RemotePicture)]
        if sum(picture.decoded_bytes for picture in pictures) <= 3 * MAX_PIXELS:
            foreign_request(put.observation)


def _remote_message(payload: bytes) -> None:
    """Read a message and its body, write it again, and decompress its pictures."""
    head, received = decode_remote(payload)
    body = _BODIES.get(head.kind, len)(received)
    if isinstance(body, RemoteObservation | LanguageRequest):
        for value in body.features.values():
            if isinstance(value, RemotePicture) and value.decoded_bytes <= 3 * MAX_PIXELS:
                value.pixels()
            elif isinstance(value, np.ndarray) and not np.isfinite(value).all():
                raise ValueError(value)
    if isinstance(body, RemoteObservation | RemoteActions | Deployment | RemoteFault):
        write_map(body.to_wire())


DRAFT = load_profile("so101", "lerobot_zenoh_draft")
DRAFT = replace(DRAFT, images=tuple(replace(image, height=2, width=2) for image in DRAFT.images))


def _draft_observation(payload: bytes) -> None:
    seen = DraftObservation.decode(payload)
    for picture in seen.pictures.values():
        picture.pixels(max_pixels=MAX_PIXELS)
    draft_rtc(seen)
    draft_request(seen, DRAFT)


def _zeromq(payload: bytes) -> None:
    for message in zmtp.RouterEnd(max_bytes=256).receive(payload):
        zmtp.encode_message(message.envelope, bytes(message.payload))


def _pointact_connections() -> tuple[Target, ...]:
    """Return what reads the bytes of PointAct's connections; none where their package is not installed."""
    if find_spec("h11") is None:
        return ()
    ends = import_module("pointact_ends")
    return (
        Target("pointact port", ends.ask, _zeromq_streams() + ends.HTTP_STREAMS),
        Target("pointact answer over http", ends.hear, ends.HTTP_ANSWERS),
    )


def _zeromq_streams() -> tuple[bytes, ...]:
    """Return what a REQ and a DEALER send: greeting, introduction, two requests, a ping."""
    greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    asked = b"\x01\0\0\x02hi" + b"\x01\0\x02" + struct.pack(">Q", 300) + bytes(300) + b"\x04\x07\x04PING\0\0"
    names = b"\x05READY\x0bSocket-Type"
    kinds = (struct.pack(">I", len(kind)) + kind for kind in (b"REQ", b"DEALER"))
    return tuple(
        greeting + b"\x04" + bytes([len(names) + len(kind)]) + names + kind + asked for kind in kinds
    )


def _message_target(samples: Sequence[msgspec.Struct]) -> Target:
    kind = type(samples[0])
    return Target(kind.__name__, lambda payload: _decode_deeply(payload, kind), tuple(map(encode, samples)))


TARGETS = _targets()


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 on any finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    _say(f"seed {seed}, {len(TARGETS)} decoders, {options.seconds:g} s")
    return 1 if fuzz(TARGETS, seconds=options.seconds, seed=seed) else 0


if __name__ == "__main__":
    faulthandler.enable()
    raise SystemExit(main())
