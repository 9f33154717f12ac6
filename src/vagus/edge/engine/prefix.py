"""Prefix of a request: the running plan, for real-time chunking (arXiv:2506.07339)."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.edge.engine.plan import Plan
from vagus.types import Prefix

__all__ = ["Conditioning", "condition"]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Prefix of one request.

    Attributes:
        prefix: the running plan from s0 on, real length, never padded; None: nothing to continue.
        inference_delay: steps that will be executed before the reply can act; 0 without a prefix.
        prefix_horizon: where guidance ends, in steps after s0; 0 without a prefix.
    """

    prefix: Prefix | None = None
    inference_delay: int = 0
    prefix_horizon: int = 0


def condition(plan: Plan, *, latency_ns: int, step_ns: int, prefix_horizon: int) -> Conditioning:
    """Return the conditioning of a request taken at the boundary of the plan's next step.

    The prefix holds planned actions, not limited commands: the policy continues its own intent.
    """
    expected_delay = -(-latency_ns // step_ns)
    prefix = plan.prefix(max(prefix_horizon, expected_delay))
    if prefix is None:
        return Conditioning()
    delay = min(expected_delay, len(prefix))
    return Conditioning(prefix, delay, max(prefix_horizon, delay))
