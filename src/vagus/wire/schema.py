"""Messages of the native wire, schema version 1 (msgspec structs, msgpack maps).

Evolution is additive: new fields have defaults, types never change, unknown fields are ignored. An
incompatible change is a new schema version, and the range is agreed at session open. Every text, list, map
and byte string has a maximum length, checked before use. The docstring of a field is its line in the tables
of docs/wire-messages.md.
"""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

import msgspec

__all__ = [
    "READY",
    "SCHEMA_VERSION",
    "Ack",
    "Capabilities",
    "ChunkMessage",
    "CloseMessage",
    "DepthMessage",
    "EventCode",
    "EventMessage",
    "Header",
    "ImageMessage",
    "Kind",
    "LatencyRow",
    "Load",
    "ObservationMessage",
    "OpenMessage",
    "ResetAck",
    "ResetMessage",
    "SessionRequest",
    "TensorMessage",
    "WireAction",
    "WireCamera",
    "WireDepthCamera",
    "WireRtc",
    "WireState",
]

SCHEMA_VERSION = 1

MAX_NDIM = 8
MAX_FEATURES = 1024
"""Longest list of actions or state features."""
MAX_CAMERAS = 32
MAX_NOTES = 64
"""Longest list of tags or warnings."""
MAX_LATENCY_ROWS = 256
MAX_AWAITED = 8
"""Chunks that can be on their way to one robot."""
MAX_WORD = 64
"""Characters of a word from a fixed list: a code, a codec, a unit, a phase."""
MAX_NAME = 256
"""Characters of a name (feature, camera, robot, model), of a hash and of a trace context."""
MAX_NOTE = 1024
"""Characters of a tag."""
MAX_WARNING = 2048
MAX_INSTRUCTION = 4096
"""Characters of an instruction; limits the work of the tokenizer."""
MAX_REASON = 4096
"""Characters of a message for people; a refusal may list every name of a robot."""
MAX_NUMBER = 1e12
"""Largest number in a message about a session; no time and no rate is as large."""
MAX_DATA_BYTES = 32 << 20
"""Bytes of one array or frame; the whole message has a limit of its own."""
READY = "ready"
"""Name of the phase in which a server accepts sessions."""


Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_WORD)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Note: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_NOTE)]
Caution: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_WARNING)]
Instruction: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_INSTRUCTION)]
Reason: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_REASON)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER)]
Number: TypeAlias = Annotated[float, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Bytes: TypeAlias = Annotated[memoryview, msgspec.Meta(max_length=MAX_DATA_BYTES)]


class Kind(enum.IntEnum):
    """Kind of a published message; byte 2 of the header."""

    OBSERVATION = 1
    CHUNK = 2
    EVENT = 3


class EventCode(str, enum.Enum):
    """Reason why a request or a session got no chunk; `move` invites the robot to another server."""

    OVERLOADED = "overloaded"
    INVALID_INPUT = "invalid_input"
    POLICY_ERROR = "policy_error"
    DRAINING = "draining"
    UNKNOWN_SESSION = "unknown_session"
    CLIENT_IN_USE = "client_in_use"
    NOT_READY = "not_ready"
    SPEC_MISMATCH = "spec_mismatch"
    UNKNOWN_UNITS = "unknown_units"
    SCHEMA_MISMATCH = "schema_mismatch"
    INSTRUCTION_PINNED = "instruction_pinned"
    RATE_MISMATCH = "rate_mismatch"
    MODEL_CHANGED = "model_changed"
    SESSIONS_FULL = "sessions_full"
    TOO_SLOW = "too_slow"
    MOVE = "move"


class Header(msgspec.Struct, frozen=True):
    """The 27-byte attachment of every observation, chunk and event (`<HBQIqI`)."""

    kind: Kind
    """1 observation, 2 chunk, 3 event."""
    seq: int
    """Request number within the session epoch, from 1; 0 in an event about the session itself."""
    episode: int
    """Episode number; the client adds 1 at every reset, the server echoes it."""
    client_mono_ns: int
    """Time of capture on the client's clock; the server only echoes it."""
    epoch: int
    """Random number of the session, never reused; tells whether a message belongs to this session."""
    schema: int = SCHEMA_VERSION
    """Version of header and body."""


class TensorMessage(msgspec.Struct, frozen=True):
    """An array: kinds b, i, u, f; raw little-endian bytes in C order."""

    dtype: Word
    """numpy type string, little-endian, e.g. "<f4"."""
    shape: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_NDIM)]
    """At most 8 sizes, none negative."""
    data: Bytes
    """product(shape) · itemsize bytes, exactly."""


class ImageMessage(msgspec.Struct, frozen=True):
    """One camera frame; RGB uint8 (height, width, 3) once decoded."""

    codec: Word
    """"raw", "jpeg" or "png"."""
    height: int
    """Pixels; must equal the height in the header of an encoded frame."""
    width: int
    """Pixels; must equal the width in the header of an encoded frame."""
    data: Bytes
    """The encoded frame, or height · width · 3 bytes."""


class DepthMessage(msgspec.Struct, frozen=True):
    """One frame of a depth camera; uint16 (height, width) once decoded, 0 where nothing was measured."""

    codec: Word
    """"raw", "delta" or "png"."""
    height: int
    """Pixels; must equal the camera's height that was agreed on at session open."""
    width: int
    """Pixels; must equal the camera's width that was agreed on at session open."""
    data: Bytes
    """The encoded frame, or height · width · 2 bytes, little-endian."""


class ObservationMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: one request for a chunk."""

    state: TensorMessage
    """(state_dim,) float32, in the policy's order."""
    images: Annotated[dict[Name, ImageMessage], msgspec.Meta(max_length=MAX_CAMERAS)] = {}
    """Camera name → frame, in the policy's names."""
    depth: Annotated[dict[Name, DepthMessage], msgspec.Meta(max_length=MAX_CAMERAS)] = {}
    """Depth camera name → frame, in the policy's names; only of depth cameras that the policy names."""
    points: TensorMessage | None = None
    """(n, 3 or more) float32 point cloud, or none."""
    instruction: Instruction = ""
    """Instruction of the human, as text."""
    step: int = 0
    """s0: the policy step at whose boundary the observation was captured."""
    episode_start: bool = False
    """True until the client has merged a chunk of this episode; the policy then resets its session state."""
    inference_delay: int = 0
    """Steps that will be executed before the reply can act; 0 without a prefix. At most the length of the
    prefix, or, with `awaited`, the horizon."""
    prefix_horizon: int = 0
    """Steps after s0 at which the guidance by the prefix ends."""
    prefix_model: TensorMessage | None = None
    """(n, model_dim) actions of the running plan from s0 on, in the policy's own space."""
    prefix_robot: TensorMessage | None = None
    """(n, action_dim) the same actions in the robot's units."""
    seed: int = 0
    """Seed of all random numbers for this request."""
    slack_ms: Number = 0.0
    """Time until the robot's plan ends, at capture; 0 from a client that waits for the answer."""
    network_ms: Number = 0.0
    """Usual time of a request and its answer outside of the server: round trip − queue − decode − inference,
    median of the last ones; 0: not known."""
    played_steps: int = 0
    """Actions that the robot commanded since its last request."""
    starved_steps: int = 0
    """Policy steps since its last request at which the robot had no action although it had begun to move."""
    oldest_age_ms: Amount = 0.0
    """Largest age of an action that was commanded since the last request, from the capture of its
    observation."""
    traceparent: Name | None = None
    """W3C trace context; the server writes it into its logs."""
    awaited: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_AWAITED)] = ()
    """Numbers of this session's requests whose chunks the client expects to execute before this one's, oldest
    first: the server extends the prefix by those that it has answered."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Load of a server."""

    sessions: int = 0
    """Sessions that are open."""
    max_sessions: int = 0
    """Sessions that can be open at once."""
    waiting: int = 0
    """Sessions whose request waits for a batch."""
    busy: float = 0.0
    """Share of time that the policy spent on inference in the last seconds, 0–1."""
    demand: float = 0.0
    """Share of the device that the open sessions are predicted to need; 1: all of it, more: too much."""
    starved_share: float = 0.0
    """Share of the last minute in which robots had no action, as they report it, 0–1."""
    age_p99_ms: float = 0.0
    """Age of the oldest hundredth of the actions that robots commanded in the last minute."""


class ChunkMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: the answer to one observation."""

    step: int
    """s0 of the observation that this chunk answers."""
    chunk_model: TensorMessage
    """(valid_len, model_dim) in the policy's own space."""
    chunk_robot: TensorMessage
    """(valid_len, action_dim) in the robot's units."""
    valid_len: int
    """Actions in the chunk, at most the policy's horizon."""
    queue_wait_ms: float = 0.0
    """Time from the arrival of the request to the start of its batch, without decoding."""
    decode_ms: float = 0.0
    """Time to decode the request from bytes to arrays."""
    inference_ms: float = 0.0
    """Time of the batch in the policy, of all its forward passes."""
    batch_size: int = 1
    """Requests in the forward pass that this one was in; 0: it was in none."""
    superseded: int = 0
    """Older requests of this session that this request replaced before they were served."""
    load: Load = Load()
    """Load of the server."""
    min_interval_ms: float = 0.0
    """Shortest time between two requests of this robot, from capture to capture, while the server has too
    much to do; 0: none. Valid until the next chunk; the robot bounds it."""


class EventMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: notice that there is no chunk, with the reason."""

    code: Word
    """One of EventCode; an unknown code of a newer server is treated as a failed request."""
    message: Reason = ""
    """The reason as text for people."""
    seq: int = 0
    """Number of the request that failed; 0: the event is about the session."""
    target: Name = ""
    """With `move`: segment of the server, of the same service, that has more room; else empty."""
    pause_ms: Amount = 0.0
    """With `overloaded`: time until the robot may ask again; it stays with this server, and plays on. 0: not
    said."""


class WireAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action feature: what both sides compare."""

    name: Name
    """Unique among the actions."""
    unit: Word = ""
    """Empty: nobody stated it."""
    kind: Word = "position"
    """position, velocity, delta, effort or binary."""
    encoding: Word = ""
    """Encoding of a binary: unit, signed, logit; inverted, threshold=, hysteresis=; empty: not stated."""


class WireState(msgspec.Struct, frozen=True, kw_only=True):
    """One state feature."""

    name: Name
    """Unique in the state."""
    unit: Word = ""
    """Empty: nobody stated it."""


class WireCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One camera."""

    name: Name
    """Unique among the cameras."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    is_required: bool = True
    """False: the policy works without this camera."""


class WireDepthCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One depth camera. Both sides state the same size and the same unit."""

    name: Name
    """Unique among the cameras and depth cameras."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    units_per_m: Amount
    """Units of a measurement to the metre; 1000: millimetres."""
    is_required: bool = True
    """False: the policy works without this depth camera."""


class WireRtc(msgspec.Struct, frozen=True, kw_only=True):
    """Offer of real-time chunking by a server."""

    prefix_horizon: int
    """Recommended number of steps after which the guidance ends."""
    schedule: Word = "exp"
    """Name of the schedule by which the guidance weight decreases over the prefix."""
    max_guidance: Amount = 5.0
    """Upper limit of the guidance weight."""


class OpenMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: request to open a session. Names are those of the policy (after the rename map)."""

    instance: Word
    """Random id of the client process. A second robot of the same name has another id."""
    robot_type: Name
    """Kind of robot, e.g. "so101_follower"."""
    policy_type: Name | None = None
    """Policy type that the client requires, or none."""
    actions: Annotated[tuple[WireAction, ...], msgspec.Meta(max_length=MAX_FEATURES)] = ()
    """Actions of the robot, in the order of the numbers in a chunk."""
    state: Annotated[tuple[WireState, ...], msgspec.Meta(max_length=MAX_FEATURES)] = ()
    """State features of the robot, in the order of the state vector."""
    cameras: Annotated[tuple[WireCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """Cameras of the robot."""
    depth_cameras: Annotated[tuple[WireDepthCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """Depth cameras of the robot."""
    rate_hz: Amount = 0.0
    """Policy steps per second that the client will execute."""
    wants_rtc: bool = False
    """The client will send prefixes if the policy supports real-time chunking."""
    instruction: Instruction = ""
    """First instruction; a server with a pinned task compares it with this task."""
    tags: Annotated[dict[Name, Note], msgspec.Meta(max_length=MAX_NOTES)] = {}
    """Free text for logs and audit."""
    model_hash: Name | None = None
    """Hash of the model of the first session; set at failover, so that only a server of the same model
    accepts."""
    host_id: Name = ""
    """Salted hash of the boot id. If equal, both run on one host, and raw frames in shared memory are
    faster."""
    buffer_time_s: Amount = 0.0
    """Time before the end of the plan at which the client requests the next chunk; 0: not stated."""
    max_action_age_s: Amount = 0.0
    """Age at which the client discards an action; 0: not stated."""
    execute_horizon: int = 0
    """Actions of a chunk after which the client requests the next one; 0: by buffer time only."""
    observe_steps: int = 0
    """Steps after an observation at which the client requests the next chunk already, as far as the device
    has room for all its robots; 0: it does not."""
    can_move: bool = False
    """The client follows an event `move`; a server invites nobody else."""
    round_trip_ms: Amount = 0.0
    """Round trip to this server without work, measured at a status query; 0: not known."""
    trust_units: bool = False
    """The operator takes responsibility for units that one side does not state; logged and audited."""
    vouched: Annotated[tuple[Note, ...], msgspec.Meta(max_length=MAX_NOTES)] = ()
    """Actions without a limit or feedback that the operator takes responsibility for; logged and audited."""
    schema_min: int = SCHEMA_VERSION
    """Oldest schema version the client speaks."""
    schema_max: int = SCHEMA_VERSION
    """Newest schema version the client speaks."""


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """Measured inference time of one batch size."""

    batch_size: int
    """Rows in the batch."""
    p50_ms: Amount
    """Median of the newest batches; before the first, of the warm-up runs."""
    max_ms: Amount
    """Slowest of the same."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Capabilities of a server; the reply to the status query and a part of every ack."""

    server: Name
    """Segment of the server in its keys: configured name and a random suffix."""
    model: Note
    """Model in the server's settings, or in the name that they give to its service."""
    revision: Name
    """Revision in the server's settings, or in the name that they give to its service."""
    service_name: Name = "default"
    """Name of the service."""
    model_hash: Name
    """Hex digest over weights, processors, configuration and code: everything that changes the outputs."""
    policy_type: Name
    """Family of the policy."""
    actions: Annotated[tuple[WireAction, ...], msgspec.Meta(max_length=MAX_FEATURES)]
    """Actions of the policy, in the order of the numbers in a chunk."""
    state: Annotated[tuple[WireState, ...], msgspec.Meta(max_length=MAX_FEATURES)]
    """State features that the policy was trained on, in their order."""
    cameras: Annotated[tuple[WireCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """Cameras that the policy uses."""
    depth_cameras: Annotated[tuple[WireDepthCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """Depth cameras that the policy uses; empty: no depth is sent."""
    horizon: int
    """Longest chunk, in actions."""
    model_dim: int
    """Width of an action in the policy's own space."""
    rate_hz: Amount
    """Policy steps per second in training."""
    rtc: WireRtc | None = None
    """Offer of real-time chunking, or none."""
    default_instruction: Instruction = ""
    """Instruction for clients that give none."""
    serving_mode: Word = "shared"
    """shared (many sessions) or exclusive (one session)."""
    serving_reason: Reason = ""
    """Reason for exclusive; completes the sentence "one robot at a time, because"."""
    phase: Word = READY
    """loading, warming, ready, draining or stopped."""
    failing: Reason = ""
    """Reason why the policy fails for every session, found by the server's own test; empty: it works."""
    load: Load = Load()
    """Load of the server."""
    latency: Annotated[tuple[LatencyRow, ...], msgspec.Meta(max_length=MAX_LATENCY_ROWS)] = ()
    """Inference time per batch size, measured at warm-up and kept up to date while serving."""
    decode_per_s: Amount = 0.0
    """Observations that the server's decoders take in a second, measured at warm-up; 0: not known."""
    continues_awaited: bool = False
    """The server understands `awaited` in an observation."""
    host_id: Name = ""
    """As in OpenMessage."""
    max_image_pixels: int = 0
    """Largest height · width of one frame; larger ones are refused."""
    schema_min: int = SCHEMA_VERSION
    """Oldest schema version the server speaks."""
    schema_max: int = SCHEMA_VERSION
    """Newest schema version the server speaks."""
    vagus_version: Name = ""
    """Version of vagus on the server, for logs."""


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: answer to the request to open a session."""

    accepted: bool
    """The session is open."""
    code: Word = ""
    """If refused: one of EventCode."""
    error: Reason = ""
    """If refused: the reason as text for people."""
    warnings: Annotated[tuple[Caution, ...], msgspec.Meta(max_length=MAX_NOTES)] = ()
    """If accepted: differences that are unusual but allowed."""
    session_id: Name = ""
    """Name of the session in logs and audit."""
    epoch: int = 0
    """Number of this session in every header; random, unsigned 32 bit."""
    image_codec: Word = "jpeg"
    """Image codec that the server recommends; the client may choose another."""
    execute_horizon: int = 0
    """Actions of a chunk that the client executes at least before it requests the next one, unless its plan
    would end before the answer; 0: as it likes."""
    capabilities: Capabilities | None = None
    """Capabilities of the server; the client checks them before its robot moves."""


class ResetMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: a new episode begins."""

    epoch: int
    """Epoch of the session."""
    episode: int
    """Number of the new episode."""


class ResetAck(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: the policy thread has applied the reset."""

    applied: bool
    """False: the session is unknown, or the server stops."""
    code: Word = ""
    """If not applied: one of EventCode."""
    error: Reason = ""
    """If not applied: the reason as text for people."""


class CloseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server on the session key: the session with this `epoch` ends."""

    epoch: int
    """Epoch of the session that ends."""


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message on the session key: exactly one of the two fields is set."""

    open: OpenMessage | None = None
    """Request to open a session; the answer is an Ack."""
    close: CloseMessage | None = None
    """Notice that a session ends."""
