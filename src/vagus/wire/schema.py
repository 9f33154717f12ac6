"""Messages of the native wire, schema version 1 (msgspec structs, msgpack maps).

Evolution is additive: new fields have defaults, types never change, unknown fields are ignored. An
incompatible change is a new schema version, and the range is agreed at session open. Every text, list, map
and run of bytes has a longest length, checked before it is used. The text under a field is its line in the
tables of docs/wire-messages.md.
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
MAX_WORD = 64
"""Characters of a word from a list: a code, a codec, a unit, a phase."""
MAX_NAME = 256
"""Characters of a name: of a feature, a camera, a robot, a model; of a hash, of a trace context."""
MAX_NOTE = 1024
"""Characters of a tag."""
MAX_WARNING = 2048
MAX_INSTRUCTION = 4096
"""Characters that a tokenizer is given."""
MAX_REASON = 4096
"""Characters of a sentence for people; a refusal may list every name of a robot."""
MAX_NUMBER = 1e12
"""What robot and server agree on is finite, and no time or rate is as large as this."""
MAX_DATA_BYTES = 32 << 20
"""Bytes of an array or a frame; the message around it has a bound of its own."""
READY = "ready"
"""Phase of a server that takes robots, as its status says it."""


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
    """What a published message is; byte 2 of the header."""

    OBSERVATION = 1
    CHUNK = 2
    EVENT = 3


class EventCode(str, enum.Enum):
    """Why a request or a session got no chunk."""

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


class Header(msgspec.Struct, frozen=True):
    """The 27-byte attachment of every observation, chunk and event (`<HBQIqI`)."""

    kind: Kind
    """1 observation, 2 chunk, 3 event."""
    seq: int
    """Request number within the session epoch, from 1; 0 in an event about the session itself."""
    episode: int
    """Raised by the client at every reset; echoed."""
    client_mono_ns: int
    """The client's capture stamp; opaque to the server, which echoes it."""
    epoch: int
    """Random per session open, never reused; decides whether a message belongs to this session."""
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
    """Pixels; equal to what an encoded frame says of itself."""
    width: int
    """Pixels; equal to what an encoded frame says of itself."""
    data: Bytes
    """The encoded frame, or height · width · 3 bytes."""


class ObservationMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: one request for a chunk."""

    state: TensorMessage
    """(state_dim,) float32, in the policy's order."""
    images: Annotated[dict[Name, ImageMessage], msgspec.Meta(max_length=MAX_CAMERAS)] = {}
    """Camera name → frame, in the policy's names."""
    points: TensorMessage | None = None
    """(n, 3 or more) float32 point cloud, or nothing."""
    instruction: Instruction = ""
    """What the human asks."""
    step: int = 0
    """s0: the policy step at whose boundary the observation was captured."""
    episode_start: bool = False
    """No chunk of this episode has been merged yet; per-session policy state starts afresh."""
    inference_delay: int = 0
    """Steps that will be executed before the reply can act; 0 without a prefix."""
    prefix_horizon: int = 0
    """Step after s0 at which guidance by the prefix ends."""
    prefix_model: TensorMessage | None = None
    """(n, model_dim) running plan from s0 on, in the policy's own space."""
    prefix_robot: TensorMessage | None = None
    """(n, action_dim) the same actions in the robot's units."""
    seed: int = 0
    """Source of all noise for this row."""
    slack_ms: Number = 0.0
    """Playback left in the robot's plan at capture."""
    traceparent: Name | None = None
    """W3C trace context, passed through to logs."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How busy a server is."""

    sessions: int = 0
    """Sessions that are open."""
    max_sessions: int = 0
    """Sessions that can be open."""
    waiting: int = 0
    """Sessions with a request that is not in a batch yet."""
    busy: float = 0.0
    """Share of the last seconds that the policy spent on inference, 0–1."""


class ChunkMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: the answer to one observation."""

    step: int
    """s0 of the observation answered."""
    chunk_model: TensorMessage
    """(valid_len, model_dim) in the policy's own space."""
    chunk_robot: TensorMessage
    """(valid_len, action_dim) in the robot's units."""
    valid_len: int
    """Actions in the chunk, at most the policy's horizon."""
    queue_wait_ms: float = 0.0
    """From arrival to the start of the batch, without decoding."""
    decode_ms: float = 0.0
    """Time spent on turning bytes into arrays."""
    inference_ms: float = 0.0
    """Time the batch spent in the policy."""
    batch_size: int = 1
    """Rows of the batch that this one was in."""
    superseded: int = 0
    """Older requests of this session that this one replaced in the mailbox."""
    load: Load = Load()
    """How busy the server is."""


class EventMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: why there is no chunk."""

    code: Word
    """One of EventCode; an unknown code of a newer server is treated as a failed request."""
    message: Reason = ""
    """The same for people."""
    seq: int = 0
    """Request answered; 0: about the session."""


class WireAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action feature as both sides name it."""

    name: Name
    """Unique among the actions."""
    unit: Word = ""
    """Empty: nobody stated it."""
    kind: Word = "position"
    """position, velocity, delta, effort or binary."""
    encoding: Word = ""
    """How a binary is written: unit, signed, logit; inverted, threshold=, hysteresis=; empty: not said."""


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
    """False: the policy can do without."""


class WireRtc(msgspec.Struct, frozen=True, kw_only=True):
    """Real-time chunking that a server offers."""

    prefix_horizon: int
    """Recommended end of the guidance, in steps."""
    schedule: Word = "exp"
    """How the guidance falls off over the prefix."""
    max_guidance: Amount = 5.0
    """Bound of the guidance weight."""


class OpenMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: ask for a session. Names are the policy's (after the client's rename map)."""

    instance: Word
    """Random per client process; tells a restart from a second robot of the same name."""
    robot_type: Name
    """Kind of robot, e.g. "so101_follower"."""
    policy_type: Name | None = None
    """The family the client insists on, or nothing."""
    actions: Annotated[tuple[WireAction, ...], msgspec.Meta(max_length=MAX_FEATURES)] = ()
    """What the robot takes, in the order it will read a chunk."""
    state: Annotated[tuple[WireState, ...], msgspec.Meta(max_length=MAX_FEATURES)] = ()
    """What the robot will send as state, in that order."""
    cameras: Annotated[tuple[WireCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """What the robot can see."""
    rate_hz: Amount = 0.0
    """Policy steps per second at which the client will execute."""
    wants_rtc: bool = False
    """The client will send prefixes where the policy takes them."""
    instruction: Instruction = ""
    """First instruction; a server that pins its task compares it."""
    tags: Annotated[dict[Name, Note], msgspec.Meta(max_length=MAX_NOTES)] = {}
    """Free text for logs and audit."""
    model_hash: Name | None = None
    """Given on failover: only a replica with equal weights may answer yes."""
    host_id: Name = ""
    """Salted hash of the boot id: equal means same host, so raw frames in shared memory pay."""
    buffer_time_s: Amount = 0.0
    """Playback left when the client asks for more; 0: not said."""
    max_action_age_s: Amount = 0.0
    """Age at which the client discards an action; 0: not said."""
    trust_units: bool = False
    """The operator vouches for units that one side does not state; logged and audited."""
    vouched: Annotated[tuple[Note, ...], msgspec.Meta(max_length=MAX_NOTES)] = ()
    """What nothing bounds or measures though somebody vouches for it, in words; logged and audited."""
    schema_min: int = SCHEMA_VERSION
    """Oldest schema version the client speaks."""
    schema_max: int = SCHEMA_VERSION
    """Newest schema version the client speaks."""


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """Measured inference time of one batch size."""

    batch_size: int
    """Rows in the batch."""
    p50_ms: Amount
    """Median of the warm-up runs."""
    max_ms: Amount
    """Slowest of the warm-up runs."""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a server serves; the reply of the status query and part of every ack."""

    server: Name
    """Segment of the server in its keys: configured name and a random suffix."""
    model: Note
    """Model as configured."""
    revision: Name
    """Revision as configured."""
    service_name: Name = "default"
    """Name of the service."""
    model_hash: Name
    """Hex digest over weights, processors, configuration and code: all that changes outputs."""
    policy_type: Name
    """Family of the policy."""
    actions: Annotated[tuple[WireAction, ...], msgspec.Meta(max_length=MAX_FEATURES)]
    """What a chunk holds, in its order."""
    state: Annotated[tuple[WireState, ...], msgspec.Meta(max_length=MAX_FEATURES)]
    """What the policy was trained on, in its order."""
    cameras: Annotated[tuple[WireCamera, ...], msgspec.Meta(max_length=MAX_CAMERAS)] = ()
    """What the policy looks at."""
    horizon: int
    """Longest chunk, in actions."""
    model_dim: int
    """Width of an action in the policy's own space."""
    rate_hz: Amount
    """Policy steps per second it was trained at."""
    rtc: WireRtc | None = None
    """Real-time chunking, or nothing."""
    default_instruction: Instruction = ""
    """Used where a client gives none."""
    serving_mode: Word = "shared"
    """shared or exclusive."""
    serving_reason: Reason = ""
    """Why it is exclusive; completes "one robot at a time, because"."""
    phase: Word = READY
    """loading, warming, ready, draining or stopped."""
    failing: Reason = ""
    """Why the policy fails for everybody, found by a test of its own; empty while it does not."""
    load: Load = Load()
    """How busy the server is."""
    latency: Annotated[tuple[LatencyRow, ...], msgspec.Meta(max_length=MAX_LATENCY_ROWS)] = ()
    """Measured at warm-up, per batch size."""
    host_id: Name = ""
    """As in OpenMessage."""
    max_image_pixels: int = 0
    """Largest height · width of one frame; larger ones are refused."""
    schema_min: int = SCHEMA_VERSION
    """Oldest schema version the server speaks."""
    schema_max: int = SCHEMA_VERSION
    """Newest schema version the server speaks."""
    vagus_version: Name = ""
    """For logs."""


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: yes or no to a session open."""

    accepted: bool
    """Yes or no."""
    code: Word = ""
    """With a no: one of EventCode."""
    error: Reason = ""
    """With a no: the reason, for people."""
    warnings: Annotated[tuple[Caution, ...], msgspec.Meta(max_length=MAX_NOTES)] = ()
    """With a yes: what is odd but allowed."""
    session_id: Name = ""
    """Names the session in logs and audit."""
    epoch: int = 0
    """Goes into every header of this session; random, unsigned 32 bit."""
    image_codec: Word = "jpeg"
    """What the server would like frames in; the client may pin another."""
    capabilities: Capabilities | None = None
    """What the server serves; the client compares it before its robot moves."""


class ResetMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: a new episode begins."""

    epoch: int
    """The session."""
    episode: int
    """Number of the new episode."""


class ResetAck(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: the boundary has been applied by the policy thread."""

    applied: bool
    """False: the session is unknown, or the server is going."""
    code: Word = ""
    """With a no: one of EventCode."""
    error: Reason = ""
    """With a no: the reason, for people."""


class CloseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server on the session key, with `epoch`: the session is over."""

    epoch: int
    """The session to end."""


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What travels on the session key: exactly one of the two."""

    open: OpenMessage | None = None
    """Ask for a session; answered by an Ack."""
    close: CloseMessage | None = None
    """End one."""
