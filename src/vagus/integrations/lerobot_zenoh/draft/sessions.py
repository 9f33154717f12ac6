"""Sessions of the draft: opened, closed and reset (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus.integrations.lerobot_zenoh.draft.attachment import SCHEMA_VERSION
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel
from vagus.integrations.lerobot_zenoh.draft.values import DraftMap, read_draft, write_draft
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields

__all__ = [
    "DraftAck",
    "DraftClose",
    "DraftOpen",
    "DraftOpened",
    "DraftReset",
    "decode_session_request",
]


@dataclass(frozen=True, kw_only=True)
class DraftOpen:
    """Request for a session.

    Attributes:
        client: uuid, the segment of the client's keys.
        robot_type: e.g. `so101_follower`.
        policy_type: e.g. `smolvla`.
        fps: rate of the robot.
        action_names: names of its actions, in order.
        camera_names: names of its pictures.
        state_dim: numbers of its state.
        schema_version: version of the attachment.
        is_rtc_enabled: whether it sends prefixes.
        task: instruction.
        tags: the operator's notes.
    """

    client: str
    robot_type: str
    policy_type: str
    fps: float
    action_names: tuple[str, ...]
    camera_names: tuple[str, ...]
    state_dim: int
    schema_version: int = SCHEMA_VERSION
    is_rtc_enabled: bool = False
    task: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, fields: BodyFields) -> DraftOpen:
        """Return the request of a body; ProtocolError otherwise."""
        tags = fields.inner("tags") if fields.has("tags") else None
        return cls(
            client=fields.text("client_uuid", most=255),
            robot_type=fields.text("robot_type", least=0),
            policy_type=fields.text("policy_type", least=0),
            fps=fields.number("fps", least=0.0),
            action_names=fields.texts("action_names"),
            camera_names=fields.texts("camera_names"),
            state_dim=fields.whole("state_dim"),
            schema_version=fields.whole("schema_version"),
            is_rtc_enabled=fields.flag("rtc_enabled", default=False),
            task=fields.text("task", "", least=0),
            tags={}
            if tags is None
            else {str(key): tags.text(str(key), least=0) for key in fields.map("tags")},
        )

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft(
            {
                "op": "open",
                "client_uuid": self.client,
                "robot_type": self.robot_type,
                "policy_type": self.policy_type,
                "fps": self.fps,
                "action_names": list(self.action_names),
                "camera_names": list(self.camera_names),
                "state_dim": self.state_dim,
                "schema_version": self.schema_version,
                "rtc_enabled": self.is_rtc_enabled,
                "task": self.task,
                "tags": dict(self.tags),
            }
        )


@dataclass(frozen=True)
class DraftClose:
    """Request to end a session."""

    client: str
    session_id: str

    @classmethod
    def from_wire(cls, fields: BodyFields) -> DraftClose:
        """Return the request of a body; ProtocolError otherwise."""
        return cls(fields.text("client_uuid", most=255), fields.text("session_id", most=255))

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft({"op": "close", "client_uuid": self.client, "session_id": self.session_id})


@dataclass(frozen=True, kw_only=True)
class DraftOpened:
    """Answer to an open.

    Attributes:
        model: what is served.
        session_id: token of the session; empty if refused.
        error: why it was refused; empty if it was not.
        warnings: what the client should know.
        schema_version: version of the attachment.
        server_load: 0 to 1.
    """

    model: DraftModel
    session_id: str
    error: str = ""
    warnings: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
    server_load: float = 0.0

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> DraftOpened:
        """Return the answer in `payload`; ProtocolError also for a refusal without a reason."""
        fields = BodyFields(read_draft(payload), "session ack")
        error = fields.text("error", "", least=0)
        if fields.flag("accepted") == bool(error):
            raise fields.refusal("error", "a reason exactly where nothing is accepted", repr(error[:80]))
        return cls(
            model=DraftModel.from_wire(fields),
            session_id=fields.text("session_id", least=0),
            error=error,
            warnings=fields.texts("warnings", ()),
            schema_version=fields.whole("schema_version"),
            server_load=fields.number("server_load", 0.0, least=0.0),
        )

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft(
            {
                "accepted": not self.error,
                "error": self.error,
                "warnings": list(self.warnings),
                "session_id": self.session_id,
                **self.model.to_wire(),
                "schema_version": self.schema_version,
                "server_load": self.server_load,
            }
        )


@dataclass(frozen=True)
class DraftReset:
    """Request for a new episode."""

    client: str
    episode: int

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> DraftReset:
        """Return the request in `payload`; ProtocolError otherwise."""
        fields = BodyFields(read_draft(payload), "reset")
        return cls(fields.text("client_uuid", most=255), fields.whole("episode_id", most=(1 << 32) - 1))

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft({"client_uuid": self.client, "episode_id": self.episode})


@dataclass(frozen=True)
class DraftAck:
    """Answer to a reset or a close; `error` is empty if it was done."""

    error: str = ""

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> DraftAck:
        """Return the answer in `payload`; ProtocolError also for a refusal without a reason."""
        fields = BodyFields(read_draft(payload), "ack")
        error = fields.text("error", "", least=0)
        if fields.flag("ok") == bool(error):
            raise fields.refusal("error", "a reason exactly where it was not done", repr(error[:80]))
        return cls(error)

    def encode(self) -> bytes:
        """Return the bytes."""
        entries: DraftMap = {"ok": not self.error, "error": self.error}
        return write_draft(entries)


def decode_session_request(payload: bytes | memoryview) -> DraftOpen | DraftClose:
    """Return what a client asks at the session's key.

    Raises:
        ProtocolError: neither open nor close, or malformed.
    """
    fields = BodyFields(read_draft(payload), "session")
    operation = fields.text("op")
    if operation == "open":
        return DraftOpen.from_wire(fields)
    if operation == "close":
        return DraftClose.from_wire(fields)
    raise fields.refusal("op", "open or close", repr(operation[:40]))
