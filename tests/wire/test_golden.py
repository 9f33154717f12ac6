"""Bytes of schema version 1, committed.

`PYTHONPATH=tests python tests/wire/test_golden.py` writes those that are missing.

A file here is never written over. A change that makes one fail is a change of the wire: undo it, or make it
a new schema version. Only a new field with a default is allowed: then the file that fails to be written moves
to OLDER, where it must stay readable, and the sample gets a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest

from samples import SAMPLES
from vagus.types import DepthImage
from vagus.wire import schema
from vagus.wire.codec import decode, decode_header, encode, encode_header
from vagus.wire.depth import DEPTH_CODECS, decode_depth, encode_depth
from vagus.wire.images import CODECS, decode_image, encode_image
from vagus.wire.schema import DepthMessage, Header, ImageMessage

GOLDEN = Path(__file__).parent / "golden"
STRUCTS = tuple(
    value
    for value in (getattr(schema, name) for name in schema.__all__)
    if isinstance(value, type) and issubclass(value, msgspec.Struct)
)


MINIMAL = {name: sample for name, sample in SAMPLES.items() if name.startswith("minimal_")}
OLDER = {name.replace("minimal", "older"): sample for name, sample in MINIMAL.items()}
"""What a sender writes that knows only the fields which version 1 requires, and how it is read."""
UNPACED: dict[str, dict[str, object]] = {
    "ObservationMessage": {"played_steps": 0, "starved_steps": 0, "oldest_age_ms": 0.0},
    "Load": {"demand": 0.0, "starved_share": 0.0, "age_p99_ms": 0.0},
    "ChunkMessage": {"min_interval_ms": 0.0},
    "OpenMessage": {"execute_horizon": 0, "observe_steps": 0, "round_trip_ms": 0.0, "can_move": False},
    "Ack": {"execute_horizon": 0},
    "Capabilities": {"decode_per_s": 0.0},
    "EventMessage": {"target": "", "pause_ms": 0.0},
}
"""Message → fields by which servers share robots: when to ask, how a robot fared, what a server can bear."""
ALONE: dict[str, dict[str, object]] = {
    "ObservationMessage": {"awaited": ()},
    "Capabilities": {"continues_awaited": False},
}
"""Message → fields by which a robot asks while a reply is under way."""


def without(message: msgspec.Struct, fields: Mapping[str, Mapping[str, object]]) -> msgspec.Struct:
    """Return a message without those fields, the messages in it included."""
    changed: dict[str, object] = {
        field.name: without(value, fields)
        for field in msgspec.structs.fields(message)
        if isinstance(value := getattr(message, field.name), msgspec.Struct)
    }
    changed |= fields.get(type(message).__name__, {})
    return msgspec.structs.replace(message, **changed)


def unpaced(message: msgspec.Struct) -> msgspec.Struct:
    """Return a message as it was before servers shared robots."""
    return without(without(message, ALONE), UNPACED)


_ACTION = msgspec.structs.replace(SAMPLES["action"], encoding="")
_FLAT_OPEN = msgspec.structs.replace(unpaced(SAMPLES["open"]), depth_cameras=())
_FLAT = msgspec.structs.replace(unpaced(SAMPLES["capabilities"]), depth_cameras=())
_OPEN = msgspec.structs.replace(_FLAT_OPEN, actions=(_ACTION,), vouched=())
_PLAIN = msgspec.structs.replace(_FLAT, actions=(_ACTION,))
_CAPABILITIES = msgspec.structs.replace(_PLAIN, failing="", serving_reason="")
PACED = (
    "load",
    "observation",
    "chunk",
    "event",
    "open",
    "session_open",
    "capabilities",
    "ack",
    "minimal_observation",
    "minimal_chunk",
    "minimal_event",
    "minimal_open",
    "minimal_capabilities",
    "minimal_ack",
    "minimal_load",
)
"""Samples in which those fields are, or are left out."""
OLDER |= {
    "older_full_capabilities": _CAPABILITIES,
    "older_full_ack": msgspec.structs.replace(unpaced(SAMPLES["ack"]), capabilities=_CAPABILITIES),
    "older_short_capabilities": SAMPLES["minimal_capabilities"],
    "older_plain_action": _ACTION,
    "older_plain_open": _OPEN,
    "older_plain_session_open": msgspec.structs.replace(unpaced(SAMPLES["session_open"]), open=_OPEN),
    "older_plain_capabilities": _PLAIN,
    "older_plain_ack": msgspec.structs.replace(unpaced(SAMPLES["ack"]), capabilities=_PLAIN),
    "older_bare_open": SAMPLES["minimal_open"],
    "older_bare_capabilities": SAMPLES["minimal_capabilities"],
    "older_bare_action": SAMPLES["minimal_action"],
    "older_flat_observation": msgspec.structs.replace(
        unpaced(SAMPLES["observation"]), depth={}, network_ms=0.0
    ),
    "older_flat_open": _FLAT_OPEN,
    "older_flat_session_open": msgspec.structs.replace(unpaced(SAMPLES["session_open"]), open=_FLAT_OPEN),
    "older_flat_capabilities": _FLAT,
    "older_flat_ack": msgspec.structs.replace(unpaced(SAMPLES["ack"]), capabilities=_FLAT),
    "older_flat_minimal_observation": SAMPLES["minimal_observation"],
    "older_flat_minimal_open": SAMPLES["minimal_open"],
    "older_flat_minimal_capabilities": SAMPLES["minimal_capabilities"],
    "older_untimed_observation": msgspec.structs.replace(unpaced(SAMPLES["observation"]), network_ms=0.0),
    "older_untimed_minimal_observation": SAMPLES["minimal_observation"],
    **{f"older_unpaced_{name}": unpaced(SAMPLES[name]) for name in PACED},
    **{
        f"older_alone_{name}": without(SAMPLES[name], ALONE)
        for name in ("observation", "capabilities", "ack", "minimal_observation", "minimal_capabilities")
    },
}
"""What a sender writes that knows the fields of 0.1, without those that were added since."""


def to_bytes(message: msgspec.Struct) -> bytes:
    return encode_header(message) if isinstance(message, Header) else encode(message)


def from_bytes(data: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    return decode_header(data) if kind is Header else decode(data, kind)


def scene() -> np.ndarray:
    """Red grows to the right, green downwards, blue is even."""
    y, x = np.mgrid[0:32, 0:48]
    return np.stack((x * 5, y * 7, np.full_like(x, 40)), -1).astype(np.uint8)


def slope() -> DepthImage:
    """Depth that grows to the right and downwards over the high byte, with a hole of 0."""
    y, x = np.mgrid[0:32, 0:48]
    depth: DepthImage = (600 + 9 * x + 31 * y).astype(np.uint16)
    depth[4:8, 10:20] = 0
    return depth


def read(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", SAMPLES)
def test_we_still_write_the_committed_bytes(name: str) -> None:
    assert to_bytes(SAMPLES[name]) == read(name)


@pytest.mark.parametrize("name", SAMPLES)
def test_we_still_read_the_committed_bytes(name: str) -> None:
    assert from_bytes(read(name), type(SAMPLES[name])) == SAMPLES[name]


@pytest.mark.parametrize("name", OLDER)
def test_what_an_older_sender_leaves_out_takes_its_default(name: str) -> None:
    assert decode(read(name), type(OLDER[name])) == OLDER[name]


@pytest.mark.parametrize("codec", CODECS)
def test_we_still_read_the_committed_frames(codec: str) -> None:
    decoded = decode_image(decode(read(f"frame_{codec}"), ImageMessage), max_pixels=32 * 48)
    error = np.abs(decoded.astype(int) - scene()).mean()
    assert error < 3 if codec == "jpeg" else error == 0


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_we_still_read_the_committed_depth_frames(codec: str) -> None:
    message = decode(read(f"depth_{codec}"), DepthMessage)
    np.testing.assert_array_equal(decode_depth(message, height=32, width=48), slope())


def test_every_committed_file_has_its_sample() -> None:
    wanted = set(SAMPLES) | set(OLDER) | {f"frame_{codec}" for codec in CODECS}
    wanted |= {f"depth_{codec}" for codec in DEPTH_CODECS}
    assert {path.stem for path in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_field_of_every_message_is_in_a_sample_with_a_value_that_is_not_its_default(
    kind: type[msgspec.Struct],
) -> None:
    samples = [sample for sample in SAMPLES.values() if type(sample) is kind]
    for field in msgspec.structs.fields(kind):
        values = [getattr(sample, field.name) for sample in samples]
        # another schema version in a header is another header
        assert any(value != field.default for value in values) or (kind, field.name) == (Header, "schema")


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith("header")])
def test_a_reader_ignores_the_fields_of_a_newer_sender(name: str) -> None:
    fields = msgspec.msgpack.decode(read(name))
    newer = {"a_new_field": {"deep": [1, None, b"x"]}, **fields, "another": msgspec.msgpack.Ext(1, b"y")}
    assert decode(msgspec.msgpack.encode(newer), type(SAMPLES[name])) == SAMPLES[name]


REQUIRED = {
    "TensorMessage": {"dtype", "shape", "data"},
    "ImageMessage": {"codec", "height", "width", "data"},
    "DepthMessage": {"codec", "height", "width", "data"},
    "ObservationMessage": {"state"},
    "ChunkMessage": {"step", "chunk_model", "chunk_robot", "valid_len"},
    "EventMessage": {"code"},
    "WireAction": {"name"},
    "WireState": {"name"},
    "WireCamera": {"name", "height", "width"},
    "WireDepthCamera": {"name", "height", "width", "units_per_m"},
    "WireRtc": {"prefix_horizon"},
    "OpenMessage": {"instance", "robot_type"},
    "LatencyRow": {"batch_size", "p50_ms", "max_ms"},
    "Capabilities": {
        *("server", "model", "revision", "model_hash", "policy_type", "actions", "state"),
        *("horizon", "model_dim", "rate_hz"),
    },
    "Ack": {"accepted"},
    "ResetMessage": {"epoch", "episode"},
    "ResetAck": {"applied"},
    "CloseMessage": {"epoch"},
    "Load": set(),
    "SessionRequest": set(),
}
"""What schema version 1 requires, for ever."""


@pytest.mark.parametrize(
    "kind", [kind for kind in STRUCTS if kind is not Header], ids=lambda kind: kind.__name__
)
def test_a_field_added_later_has_a_default_and_no_message_forbids_unknown_ones(
    kind: type[msgspec.Struct],
) -> None:
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert required == REQUIRED[kind.__name__]
    assert not kind.__struct_config__.forbid_unknown_fields


def only_required(message: msgspec.Struct) -> bytes:
    fields = msgspec.structs.fields(message)
    return msgspec.msgpack.encode({f.name: getattr(message, f.name) for f in fields if f.required})


def write_missing() -> None:
    GOLDEN.mkdir(exist_ok=True)
    frames = {f"frame_{codec}": encode(encode_image(scene(), codec)) for codec in CODECS}
    frames |= {f"depth_{codec}": encode(encode_depth(slope(), codec)) for codec in DEPTH_CODECS}
    messages = {name: to_bytes(message) for name, message in SAMPLES.items()}
    older = {name: only_required(sample) for name, sample in OLDER.items()}
    for name, data in {**messages, **frames, **older}.items():
        path = GOLDEN / f"{name}.bin"
        if not path.exists():
            path.write_bytes(data)


if __name__ == "__main__":
    write_missing()
