"""Names in LeRobot and in vagus: who this process is to a server, and what its keys are called."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from vagus.edge.client.handshake import Identity
from vagus.transport.host import host_id

__all__ = ["identity_of", "policy_names"]


def identity_of(name: str, tags: Mapping[str, str]) -> Identity:
    """Return the identity of this process for a server."""
    return Identity(name, secrets.token_hex(8), host_id(), {"program": "lerobot", **tags})


def policy_names(rename_map: Mapping[str, str]) -> dict[str, str]:
    """Return LeRobot's map of observation keys as a map of names: robot name → policy name.

    "observation.images.front" is the camera "front" to us.
    """
    return {_name(own): _name(policy) for own, policy in rename_map.items()}


def _name(key: str) -> str:
    for prefix in ("observation.images.", "observation.state."):
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key
