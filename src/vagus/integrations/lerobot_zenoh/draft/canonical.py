"""Observations and chunks of the draft as neutral requests and replies, and back (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, ForeignRtc, Operation, WirePath
from vagus.gateways.profile import Profile, ResizeRule, WireImage
from vagus.integrations.lerobot_zenoh.draft.motion import DraftObservation
from vagus.integrations.lerobot_zenoh.draft.plan import DraftPlan
from vagus.integrations.lerobot_zenoh.draft.terms import camera_key
from vagus.integrations.lerobot_zenoh.draft.values import DraftPicture, draft_picture
from vagus.types import FloatArray

__all__ = [
    "ACTIONS",
    "PROTOCOL",
    "draft_observation",
    "foreign_request",
    "foreign_rtc",
    "rows_of_reply",
]

PROTOCOL: Final = "lerobot_zenoh_draft"
ACTIONS: Final = "action"
"""Name of the actions in a profile."""
STATE: Final = "observation.state"
TASK: Final = "task"
MAX_PIXELS: Final = 4096 * 4096
"""Largest picture that is scaled to the profile's size."""


def foreign_request(seen: DraftObservation, profile: Profile) -> ForeignRequest:
    """Return an observation by the names of the profile; only its cameras are decompressed.

    Raises:
        ProtocolError: a picture that is damaged or too large, or a camera twice.
    """
    values: dict[WirePath, Value] = {(STATE,): np.array(seen.state)}
    cameras = {image.key[0]: image for image in profile.images}
    for name, picture in seen.pictures.items():
        key = camera_key(name)
        if (key,) in values:
            raise ProtocolError(f"picture: wanted each camera once, got {key[:80]!r} twice")
        if key in cameras:
            values[(key,)] = picture.pixels(max_pixels=_most_pixels(cameras[key]))
    if seen.task:
        values[(TASK,)] = seen.task
    return ForeignRequest(Operation.INFER, Envelope(PROTOCOL), values)


def foreign_rtc(seen: DraftObservation) -> ForeignRtc | None:
    """Return what a client says of the plan that it executes; None: it has none, or does not say it.

    The delay is a guess of the client, and may be longer than what is left of its plan.
    """
    if seen.prefix_robot is None:
        return None
    delay = min(seen.inference_delay, len(seen.prefix_robot))
    return ForeignRtc(is_enabled=True, prefix=seen.prefix_robot.astype(np.float64), inference_delay=delay)


def rows_of_reply(reply: ForeignReply) -> FloatArray:
    """Return the rows of an answer, (n, action_dim) float32.

    Raises:
        PolicyError: there are none.
    """
    rows = reply.actions.get(ACTIONS)
    if rows is None or rows.ndim != 2 or not len(rows):
        raise PolicyError(f"actions: wanted {ACTIONS!r}, (horizon, action_dim), got none")
    return rows.astype(np.float32)


def draft_observation(
    request: ForeignRequest, plan: DraftPlan | None = None, *, is_episode_start: bool, codec: str
) -> DraftObservation:
    """Return a canonical request as an observation of the draft.

    Args:
        request: values by the names of a profile.
        plan: rows of the running plan that the server is told; None: none.
        is_episode_start: whether an episode begins with it.
        codec: raw or jpeg.

    Raises:
        ProtocolError: no state, or a value that the wire cannot carry.
    """
    state = request.observation.get((STATE,))
    if not isinstance(state, np.ndarray):
        raise ProtocolError(f"observation: wanted {STATE}, got none")
    task = request.observation.get((TASK,), "")
    return DraftObservation(
        state=state.astype(np.float32),
        pictures=_pictures(request.observation, codec),
        task=task if isinstance(task, str) else "",
        inference_delay=0 if plan is None else plan.inference_delay,
        prefix_model=None if plan is None else plan.model,
        prefix_robot=None if plan is None else plan.robot,
        is_episode_start=is_episode_start,
    )


def _pictures(values: Mapping[WirePath, Value], codec: str) -> dict[str, DraftPicture]:
    return {
        str(path[0]): draft_picture(value.astype(np.uint8, copy=False), codec)
        for path, value in values.items()
        if isinstance(value, np.ndarray) and value.dtype == np.uint8
    }


def _most_pixels(image: WireImage) -> int:
    return image.height * image.width if image.resize is ResizeRule.REFUSE else MAX_PIXELS
