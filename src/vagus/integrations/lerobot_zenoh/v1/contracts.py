"""Contracts of LeRobot's remote inference on how chunks are joined, of the generations B and C (pure).

Both generations call themselves version 1. B (contract v1) tells the server how it blends; C (contract v2)
blends without telling.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap

__all__ = [
    "ALIGNMENTS",
    "APPEND",
    "CHUNK_ALIGNMENT_V1",
    "CHUNK_ALIGNMENT_V2",
    "CHUNK_BLENDING_V1",
    "RTC_MODEL_SPACE_V1",
    "ChunkBlend",
    "ChunkMerge",
    "ChunkSettings",
]

CHUNK_ALIGNMENT_V1: Final = "chunk_alignment_v1"
"""Generation B's aligned chunks."""
CHUNK_ALIGNMENT_V2: Final = "chunk_alignment_v2"
"""Generation C's aligned chunks."""
CHUNK_BLENDING_V1: Final = "chunk_blending_v1"
"""Generation B's blending, by names of components."""
RTC_MODEL_SPACE_V1: Final = "rtc_model_space_v1"
"""Real-time chunking on rows of the model's own width."""
ALIGNMENTS: Final = (CHUNK_ALIGNMENT_V1, CHUNK_ALIGNMENT_V2)


class ChunkMerge(enum.Enum):
    """How a chunk joins the rows that the robot still has."""

    ALIGNED = "aligned"
    """Row k is for the action k after the frame was taken; it replaces what was there."""
    APPEND = "append"
    """The rows come after all that are there."""


@dataclass(frozen=True)
class ChunkBlend:
    """How a client of generation B mixes old and new rows.

    Attributes:
        steps: rows that are mixed.
        weight: of the new row.
        components: names of the action's components that are mixed.
    """

    steps: int
    weight: float
    components: tuple[str, ...]


@dataclass(frozen=True)
class ChunkSettings:
    """How a client joins chunks; `blend` only in generation B."""

    merge: ChunkMerge
    blend: ChunkBlend | None = None

    @classmethod
    def from_wire(cls, entries: ValueMap) -> ChunkSettings:
        """Return the settings of a map: one key, or the four of generation B.

        Raises:
            RemoteMessageError: UNSUPPORTED for a key or a merge that is not known, else MALFORMED.
        """
        fields = BodyFields(entries, "chunk_settings")
        if unknown := set(entries) - set(_KEYS):  # to repeat what is not understood would be a promise
            raise fields.refusal("fields", ", ".join(_KEYS), f"{len(unknown)} others", ErrorCode.UNSUPPORTED)
        merge = fields.choice("chunk_merge", ChunkMerge, ErrorCode.UNSUPPORTED)
        if len(entries) == 1:
            return cls(merge)
        return cls(
            merge,
            ChunkBlend(
                fields.whole("blend_steps", most=16384),
                fields.number("blend_weight", least=0.0),
                fields.texts("blend_components"),
            ),
        )

    def to_wire(self) -> RemoteMap:
        """Return the map of the settings."""
        if self.blend is None:
            return {"chunk_merge": self.merge.value}
        return {
            "chunk_merge": self.merge.value,
            "blend_steps": self.blend.steps,
            "blend_weight": self.blend.weight,
            "blend_components": list(self.blend.components),
        }


_KEYS: Final = ("chunk_merge", "blend_steps", "blend_weight", "blend_components")
APPEND: Final = ChunkSettings(ChunkMerge.APPEND)
"""What is accepted where a client states nothing."""
