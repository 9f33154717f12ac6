"""One access rule of a Zenoh router: who may send which kind of message in which direction (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["EGRESS", "INGRESS", "Rule", "allow"]

Rule: TypeAlias = Mapping[str, object]

INGRESS = "ingress"
"""Direction of messages to the router."""

EGRESS = "egress"
"""Direction of messages from the router."""


def allow(name: str, flow: str, messages: tuple[str, ...], *keys: str) -> Rule:
    """Return the rule that allows these kinds of messages under these key patterns."""
    return {
        "id": name,
        "permission": "allow",
        "flows": [flow],
        "messages": list(messages),
        "key_exprs": list(keys),
    }
