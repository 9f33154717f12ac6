"""Messages of the native wire, schema version 1 (msgspec structs, msgpack maps).

Evolution is additive: new fields have defaults, types never change, unknown fields are ignored. An
incompatible change is a new schema version, and the range is agreed at session open.
"""

from __future__ import annotations

import enum

import msgspec

__all__ = [
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


class Header(msgspec.Struct, frozen=True):
    """The 27-byte attachment of every observation, chunk and event (`<HBQIqI`)."""

    kind: Kind
    seq: int
    """Request number within the session epoch, from 1; 0 in an event about the session itself."""
    episode: int
    client_mono_ns: int
    """The client's capture stamp; opaque to the server, which echoes it."""
    epoch: int
    """Random per session open, never reused; decides whether a message belongs to this session."""
    schema: int = SCHEMA_VERSION


class TensorMessage(msgspec.Struct, frozen=True):
    """An array: kinds b, i, u, f; raw little-endian bytes in C order."""

    dtype: str
    """numpy type string, little-endian, e.g. "<f4"."""
    shape: tuple[int, ...]
    data: memoryview


class ImageMessage(msgspec.Struct, frozen=True):
    """One camera frame; RGB uint8 (height, width, 3) once decoded."""

    codec: str
    """"raw", "jpeg" or "png"."""
    height: int
    width: int
    data: memoryview


class ObservationMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: one request for a chunk."""

    state: TensorMessage
    """(state_dim,) float32, in the policy's order."""
    images: dict[str, ImageMessage] = {}
    points: TensorMessage | None = None
    """(n, 3 or more) float32 point cloud, or nothing."""
    instruction: str = ""
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
    slack_ms: float = 0.0
    """Playback left in the robot's plan at capture."""
    traceparent: str | None = None
    """W3C trace context, passed through to logs."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How busy a server is."""

    sessions: int = 0
    max_sessions: int = 0
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
    queue_wait_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    batch_size: int = 1
    superseded: int = 0
    """Older requests of this session that this one replaced in the mailbox."""
    load: Load = Load()


class EventMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: why there is no chunk."""

    code: str
    """One of EventCode; an unknown code of a newer server is treated as a failed request."""
    message: str = ""
    seq: int = 0
    """Request answered; 0: about the session."""


class WireAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action feature as both sides name it."""

    name: str
    unit: str = ""
    kind: str = "position"


class WireState(msgspec.Struct, frozen=True, kw_only=True):
    """One state feature."""

    name: str
    unit: str = ""


class WireCamera(msgspec.Struct, frozen=True, kw_only=True):
    """One camera."""

    name: str
    height: int
    width: int
    is_required: bool = True


class WireRtc(msgspec.Struct, frozen=True, kw_only=True):
    """Real-time chunking that a server offers."""

    prefix_horizon: int
    schedule: str = "exp"
    max_guidance: float = 5.0


class OpenMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: ask for a session. Names are the policy's (after the client's rename map)."""

    instance: str
    """Random per client process; tells a restart from a second robot of the same name."""
    robot_type: str
    policy_type: str | None = None
    actions: tuple[WireAction, ...] = ()
    state: tuple[WireState, ...] = ()
    cameras: tuple[WireCamera, ...] = ()
    rate_hz: float = 0.0
    """Policy steps per second at which the client will execute."""
    wants_rtc: bool = False
    instruction: str = ""
    tags: dict[str, str] = {}
    model_hash: str | None = None
    """Given on failover: only a replica with equal weights may answer yes."""
    host_id: str = ""
    """Salted hash of the boot id: equal means same host, so raw frames in shared memory pay."""
    buffer_time_s: float = 0.0
    max_action_age_s: float = 0.0
    trust_units: bool = False
    """The operator vouches for units that one side does not state; logged and audited."""
    schema_min: int = SCHEMA_VERSION
    schema_max: int = SCHEMA_VERSION


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """Measured inference time of one batch size."""

    batch_size: int
    p50_ms: float
    max_ms: float


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a server serves; the reply of the status query and part of every ack."""

    server: str
    model: str
    revision: str
    service_name: str = "default"
    model_hash: str
    policy_type: str
    actions: tuple[WireAction, ...]
    state: tuple[WireState, ...]
    cameras: tuple[WireCamera, ...] = ()
    horizon: int
    model_dim: int
    rate_hz: float
    rtc: WireRtc | None = None
    default_instruction: str = ""
    serving_mode: str = "shared"
    phase: str = "ready"
    """loading, warming, ready, draining or stopped."""
    load: Load = Load()
    latency: tuple[LatencyRow, ...] = ()
    host_id: str = ""
    max_image_pixels: int = 0
    schema_min: int = SCHEMA_VERSION
    schema_max: int = SCHEMA_VERSION
    vagus_version: str = ""


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: yes or no to a session open."""

    accepted: bool
    code: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    session_id: str = ""
    epoch: int = 0
    image_codec: str = "jpeg"
    """What the server would like frames in; the client may pin another."""
    capabilities: Capabilities | None = None


class ResetMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server: a new episode begins."""

    epoch: int
    episode: int


class ResetAck(msgspec.Struct, frozen=True, kw_only=True):
    """Server → client: the boundary has been applied by the policy thread."""

    applied: bool
    code: str = ""
    error: str = ""


class CloseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Client → server on the session key, with `epoch`: the session is over."""

    epoch: int


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What travels on the session key: exactly one of the two."""

    open: OpenMessage | None = None
    close: CloseMessage | None = None
