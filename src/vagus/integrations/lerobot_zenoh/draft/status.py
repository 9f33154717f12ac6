"""What a server of the draft says that it serves (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.integrations.lerobot_zenoh.draft.attachment import SCHEMA_VERSION
from vagus.integrations.lerobot_zenoh.draft.values import DraftValue, read_draft, write_draft
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields

__all__ = ["DraftModel", "DraftStatus"]


@dataclass(frozen=True, kw_only=True)
class DraftModel:
    """What a server serves.

    Attributes:
        model_repo: e.g. `lerobot/smolvla_base`.
        model_revision: e.g. `main`.
        policy_type: e.g. `smolvla`.
        action_names: names of the actions, in order; a client with another order is refused.
        expected_cameras: names of the pictures.
        state_dim: numbers of the state.
        chunk_size: rows of a chunk.
        trained_fps: rate that the model was trained at; None if it is not known.
        supports_rtc: whether prefixes are used.
        rtc_execution_horizon: rows at which guidance by the prefix ends; None without RTC.
        serving_mode: e.g. `shared`.
        is_warmed_up: whether the first answer is as fast as the next.
    """

    model_repo: str
    model_revision: str
    policy_type: str
    action_names: tuple[str, ...]
    expected_cameras: tuple[str, ...]
    state_dim: int
    chunk_size: int
    trained_fps: float | None
    supports_rtc: bool
    rtc_execution_horizon: int | None
    serving_mode: str = "shared"
    is_warmed_up: bool = True

    @classmethod
    def from_wire(cls, fields: BodyFields) -> DraftModel:
        """Return the model that a body describes; ProtocolError otherwise."""
        return cls(
            model_repo=fields.text("model_repo", least=0),
            model_revision=fields.text("model_revision", least=0),
            policy_type=fields.text("policy_type", least=0),
            action_names=fields.texts("action_names"),
            expected_cameras=fields.texts("expected_cameras"),
            state_dim=fields.whole("state_dim"),
            chunk_size=fields.whole("chunk_size"),
            trained_fps=fields.number("trained_fps", least=0.0) if fields.has("trained_fps") else None,
            supports_rtc=fields.flag("supports_rtc"),
            rtc_execution_horizon=fields.optional_whole("rtc_execution_horizon"),
            serving_mode=fields.text("serving_mode", "shared", least=0),
            is_warmed_up=fields.flag("warmed_up", default=True),
        )

    def to_wire(self) -> dict[str, DraftValue]:
        """Return its fields."""
        return {
            "model_repo": self.model_repo,
            "model_revision": self.model_revision,
            "policy_type": self.policy_type,
            "action_names": list(self.action_names),
            "expected_cameras": list(self.expected_cameras),
            "state_dim": self.state_dim,
            "chunk_size": self.chunk_size,
            "trained_fps": self.trained_fps,
            "supports_rtc": self.supports_rtc,
            "rtc_execution_horizon": self.rtc_execution_horizon,
            "serving_mode": self.serving_mode,
            "warmed_up": self.is_warmed_up,
        }


@dataclass(frozen=True, kw_only=True)
class DraftStatus:
    """Answer to the question for a server's status.

    Attributes:
        model: what is served.
        active_sessions: clients now.
        max_sessions: clients at most.
        min_schema_version: oldest version of the attachment.
        max_schema_version: newest one.
    """

    model: DraftModel
    active_sessions: int
    max_sessions: int
    min_schema_version: int = SCHEMA_VERSION
    max_schema_version: int = SCHEMA_VERSION

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> DraftStatus:
        """Return the status in `payload`; ProtocolError otherwise."""
        fields = BodyFields(read_draft(payload), "status")
        return cls(
            model=DraftModel.from_wire(fields),
            active_sessions=fields.whole("active_sessions"),
            max_sessions=fields.whole("max_sessions"),
            min_schema_version=fields.whole("min_schema_version"),
            max_schema_version=fields.whole("max_schema_version"),
        )

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft(
            {
                **self.model.to_wire(),
                "min_schema_version": self.min_schema_version,
                "max_schema_version": self.max_schema_version,
                "active_sessions": self.active_sessions,
                "max_sessions": self.max_sessions,
            }
        )
