"""Entities of a recording in Rerun: their paths, and the names of the timelines."""

from __future__ import annotations

import rerun as rr

from vagus.integrations.rerun.slots import CurveSlot

__all__ = [
    "ABOUT",
    "AGE",
    "CHUNKS",
    "CLOUD",
    "EPISODES",
    "EVENTS",
    "LATENCY",
    "POLICY_STEP",
    "SCENE",
    "SESSION_TIME",
    "STATES",
    "WALL_CLOCK",
    "camera_path",
    "joint_path",
    "lane_path",
    "slot_path",
]

SESSION_TIME = "session_time"
"""Timeline: time since the first command."""
WALL_CLOCK = "wall_clock"
"""Timeline: time of day; not there where a recording does not say it."""
POLICY_STEP = "policy_step"
"""Timeline: policy steps, counted on over episodes."""

ABOUT = "about"
AGE = "age_ms/action"
LATENCY = "age_ms/chunk"
CHUNKS = "events/chunks"
EPISODES = "events/episodes"
EVENTS = "events"
STATES = "states"
SCENE = "scene"
CLOUD = "cloud"


def joint_path(name: str) -> str:
    """Return the path of a joint; its curves are below it."""
    return rr.new_entity_path(["joints", name])


def slot_path(name: str, slot: CurveSlot) -> str:
    """Return the path of a joint's chunks in a slot."""
    kind = "chunks" if slot.is_merged else "refused"
    return rr.new_entity_path(["joints", name, kind, f"{slot.number:02d}"])


def lane_path(lane: str) -> str:
    """Return the path of a lane of states."""
    return rr.new_entity_path([STATES, lane.replace(" ", "_")])


def camera_path(camera: str) -> str:
    """Return the path of a camera's frames."""
    return rr.new_entity_path([SCENE, camera])
