"""Observations and chunks of the draft (pure); which request they belong to stands in the attachment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment
from vagus.integrations.lerobot_zenoh.draft.values import (
    DraftPicture,
    read_draft,
    write_draft,
)
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.types import FloatArray

__all__ = ["DraftChunk", "DraftObservation"]

_MAX_STEPS: Final = 1 << 16


@dataclass(frozen=True, eq=False, kw_only=True)
class DraftObservation:
    """One request for a chunk.

    Attributes:
        state: (state_dim,) float32.
        pictures: by name.
        task: instruction.
        inference_delay: rows that will have been executed when the answer comes, as the client guesses.
        prefix_model: rows not executed yet, in the model's units, (n, width) float32; None without.
        prefix_robot: the same rows in the robot's units.
        is_episode_start: whether it is the first of its episode.
    """

    state: FloatArray
    pictures: Mapping[str, DraftPicture]
    task: str = ""
    inference_delay: int = 0
    prefix_model: FloatArray | None = None
    prefix_robot: FloatArray | None = None
    is_episode_start: bool = False

    @classmethod
    def decode(cls, payload: bytes | memoryview, *, max_bytes: int | None = None) -> DraftObservation:
        """Return the observation in `payload`.

        Raises:
            ProtocolError: more than `max_bytes`, malformed, or prefixes of different length.
        """
        if max_bytes is not None and len(payload) > max_bytes:
            raise ProtocolError(f"observation: wanted at most {max_bytes} bytes, got {len(payload)}")
        entries = read_draft(payload)
        fields = BodyFields(entries, "observation")
        model, robot = _rows(fields, "prefix_model"), _rows(fields, "prefix_robot")
        if model is not None and robot is not None and len(model) != len(robot):
            raise fields.refusal("prefix_robot", f"{len(model)} rows, as prefix_model", str(len(robot)))
        return cls(
            state=_vector(entries.get("state")),
            pictures={str(name): DraftPicture.from_wire(one) for name, one in fields.map("images").items()},
            task=fields.text("task", "", least=0),
            inference_delay=fields.whole("inference_delay_steps", 0, most=_MAX_STEPS),
            prefix_model=model,
            prefix_robot=robot,
            is_episode_start=fields.flag("episode_start", default=False),
        )

    def encode(self) -> bytes:
        """Return the bytes."""
        return write_draft(
            {
                "state": self.state,
                "images": dict(self.pictures),
                "task": self.task,
                "inference_delay_steps": self.inference_delay,
                "prefix_model": self.prefix_model,
                "prefix_robot": self.prefix_robot,
                "episode_start": self.is_episode_start,
            }
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class DraftChunk:
    """The answer to an observation.

    Without rows it is a failure: a client takes it for its time-out, at once.

    Attributes:
        attachment: that of the chunk; the body repeats sequence, clock and episode.
        model: rows in the model's units, (n, width) float32; None: a failure.
        robot: the same rows in the robot's units; None: a failure.
        queue_wait_ms: time before the inference.
        inference_ms: time of the inference.
        superseded: requests of this client that were dropped for newer ones.
        server_load: 0 to 1.
    """

    attachment: DraftAttachment
    model: FloatArray | None = None
    robot: FloatArray | None = None
    queue_wait_ms: float = 0.0
    inference_ms: float = 0.0
    superseded: int = 0
    server_load: float = 0.0

    @classmethod
    def decode(cls, payload: bytes | memoryview, attachment: DraftAttachment) -> DraftChunk:
        """Return the chunk in `payload`.

        Raises:
            ProtocolError: malformed, rows in one of both only, or an echo that is not that of the attachment.
        """
        fields = BodyFields(read_draft(payload), "chunk")
        echo = (
            fields.whole("seq_id_echo", most=(1 << 64) - 1),
            fields.whole("client_mono_ns_echo", least=-(1 << 63)),
            fields.whole("episode_id_echo"),
        )
        if echo != (attachment.sequence, attachment.client_ns, attachment.episode):
            raise ProtocolError("chunk: wanted the sequence, clock and episode of its attachment, got others")
        model, robot = _rows(fields, "chunk_model"), _rows(fields, "chunk_robot")
        if _length(model) != _length(robot):
            raise fields.refusal("chunk_model, chunk_robot", "as many rows in both", "others")
        return cls(
            attachment=attachment,
            model=model,
            robot=robot,
            queue_wait_ms=fields.number("queue_wait_ms", 0.0),
            inference_ms=fields.number("inference_ms", 0.0),
            superseded=fields.whole("superseded_seqs", 0),
            server_load=fields.number("server_load", 0.0),
        )

    def encode(self) -> bytes:
        """Return the bytes of the body."""
        return write_draft(
            {
                "seq_id_echo": self.attachment.sequence,
                "client_mono_ns_echo": self.attachment.client_ns,
                "episode_id_echo": self.attachment.episode,
                "chunk_model": self.model,
                "chunk_robot": self.robot,
                "queue_wait_ms": self.queue_wait_ms,
                "inference_ms": self.inference_ms,
                "superseded_seqs": self.superseded,
                "server_load": self.server_load,
            }
        )


def _rows(fields: BodyFields, name: str) -> FloatArray | None:
    rows = fields.rows(name)
    return rows if rows is not None and rows.size else None


def _length(rows: FloatArray | None) -> int:
    return 0 if rows is None else len(rows)


def _vector(value: Value) -> FloatArray:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != np.float32 or not value.size:
        raise ProtocolError("observation: state: wanted float32 (state_dim,), got another value")
    return value.astype(np.float32, copy=False)
