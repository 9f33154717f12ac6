"""Check of a reply, as strict as the original client's."""

from __future__ import annotations

import numpy as np

from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteActions, RemoteObservation

__all__ = ["wrong_in"]


def wrong_in(actions: RemoteActions, asked: RemoteObservation, terms: AcceptedSession) -> str:
    """Return what is wrong with a reply; "": nothing."""
    if actions.identity != asked.identity:
        return f"identity {actions.identity}, wanted {asked.identity}"
    cursors = actions.cursor, actions.observation_cursor
    is_chunk = terms.mode is InferenceMode.CHUNK
    is_aligned = is_chunk and terms.chunk_settings.merge is ChunkMerge.ALIGNED
    if is_aligned and cursors != (asked.cursor, asked.observation_cursor):
        return f"cursors {cursors}, wanted {asked.cursor}, {asked.observation_cursor}"
    capabilities = terms.deployment.capabilities
    shape = (terms.steps, capabilities.action_dim)
    if actions.canonical_actions.shape != shape or not np.isfinite(actions.canonical_actions).all():
        return f"{actions.canonical_actions.shape} rows, wanted finite {shape}"
    model = actions.model_actions
    if is_chunk:
        return "" if model is None else "rows of the model"
    wanted = (terms.steps, capabilities.model_dim)
    return "" if model is not None and model.shape == wanted else f"no rows {wanted} of the model"
