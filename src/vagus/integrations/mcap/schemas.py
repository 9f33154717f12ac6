"""JSON Schemas of the messages of a recording, without references, which Foxglove does not follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

__all__ = ["CHUNK", "COMMAND", "IMAGE", "JOINTS", "LOG", "SESSION", "schema_bytes"]

SchemaTree: TypeAlias = "dict[str, object]"


def _object(title: str, properties: Mapping[str, object], *, optional: tuple[str, ...] = ()) -> SchemaTree:
    required = [name for name in properties if name not in optional]
    return {"title": title, "type": "object", "properties": dict(properties), "required": required}


def _said(kind: str | list[str], text: str) -> SchemaTree:
    return {"type": kind, "description": text}


def _list(items: object, text: str) -> SchemaTree:
    return {"type": "array", "items": items, "description": text}


TIME: SchemaTree = {
    "title": "time",
    "type": "object",
    "properties": {
        "sec": {"type": "integer", "minimum": 0},
        "nsec": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    },
}
NUMBER = {"type": "number"}
NUMBER_OR_NULL = {"type": ["number", "null"]}
COUNT: list[str] = ["integer", "null"]

IMAGE = _object(
    "foxglove.CompressedImage",
    {
        "timestamp": TIME,
        "frame_id": _said("string", "name of the camera"),
        "data": {"type": "string", "contentEncoding": "base64"},
        "format": _said("string", "jpeg: colour; png: depth, 16 bits, 0 for no measurement"),
        "episode": _said("integer", "episode number"),
        "step": _said("integer", "policy step of the request that the frame went with"),
        "ticket": _said("integer", "number of this request's draft"),
        "captured_ns": _said("integer", "monotonic time of the request's state"),
    },
)
JOINTS = _object(
    "foxglove.JointStates",
    {
        "timestamp": TIME,
        "joints": _list(
            _object(
                "foxglove.JointState",
                {"name": {"type": "string"}, "position": NUMBER, "velocity": NUMBER, "effort": NUMBER},
                optional=("position", "velocity", "effort"),
            ),
            "one per joint; units are in the metadata of the channel",
        ),
    },
)
LOG = _object(
    "foxglove.Log",
    {
        "timestamp": TIME,
        "level": {"type": "integer", "minimum": 0, "maximum": 5},
        "message": {"type": "string"},
        "name": {"type": "string"},
        "file": {"type": "string"},
        "line": {"type": "integer", "minimum": 0},
    },
)
COMMAND = _object(
    "vagus.Command",
    {
        "t_ns": _said("integer", "monotonic time of the tick"),
        "episode": _said("integer", "episode number"),
        "link": _said("string", "link state"),
        "motion": _said("string", "motion state"),
        "action": _list(NUMBER_OR_NULL, "command after limits, in the policy's order; empty: none"),
        "state": _list(NUMBER_OR_NULL, "measured state, in the robot's order"),
        "epoch": _said(COUNT, "server session that produced the chunk"),
        "seq": _said(COUNT, "number of the request that the chunk answered"),
        "step": _said(COUNT, "policy step of the action"),
        "index": _said(COUNT, "index of the action in its chunk"),
        "age_ms": _said(["number", "null"], "time since the capture of the observation behind it"),
        "limited": _list({"type": "string"}, "limits that changed the command"),
        "is_moving": _said("boolean", "a fallback command that differs from the one before it"),
    },
)
CHUNK = _object(
    "vagus.Chunk",
    {
        "t_ns": _said("integer", "monotonic time of the tick that merged it or kept it out"),
        "epoch": _said("integer", "server session"),
        "seq": _said("integer", "number of its request"),
        "ticket": _said("integer", "number of the request's frames"),
        "captured_ns": _said("integer", "monotonic time of the observation"),
        "episode": _said("integer", "episode number"),
        "step": _said("integer", "policy step of row 0"),
        "next_step": _said("integer", "policy step that was to be commanded next"),
        "outcome": _said("string", "merged, or the counter of the rule that kept it out"),
        "robot": _list(_list(NUMBER_OR_NULL, "action in the robot's units"), "rows of the chunk"),
        "model": _list(_list(NUMBER_OR_NULL, "action in the policy's own space"), "rows of the chunk"),
        "state": _list(NUMBER_OR_NULL, "state in the request, in the policy's order"),
        "inference_delay": _said("integer", "steps that the policy was told would pass"),
        "prefix_horizon": _said("integer", "step at which the guidance by the prefix ends"),
        "prefix_length": _said("integer", "actions of the running plan in the request"),
    },
)
SESSION = {
    **_object("vagus.Session", {"format": _said("integer", "version of the form of the recording")}),
    "description": "description of the run: robot, policy, cameras, terms and every setting",
}


def schema_bytes(schema: Mapping[str, object]) -> bytes:
    """Return a schema as a file has it."""
    return msgspec.json.encode(schema)
