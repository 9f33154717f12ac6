"""Holds: what a client gets while the policy is late, when it gets it, and for how long at most (pure).

A reply has exactly the rows that were agreed, so a hold is as long as a chunk: after a short outage the
client asks again only when that is nearly over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vagus.errors import PolicyError
from vagus.integrations.lerobot_zenoh.v1.alignment import ReplyPlan
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.motion import RemoteObservation
from vagus.types import FloatArray

__all__ = ["HoldRules", "hold_due_ns", "hold_of", "policy_rows", "state_as_action"]

_STATE = "observation.state"


@dataclass(frozen=True, kw_only=True)
class HoldRules:
    """When holds are sent.

    Attributes:
        max_hold_ns: longest time of holds, one after the other, without an answer of the policy.
        margin_ns: how long before the client's last row a hold is sent; the time that it needs to arrive.
        patience_ns: how long an answer is waited for at least.
        is_holdable: whether the last row again and again keeps a robot where it is: true of positions, and
            not of speeds, differences, efforts, or rows that count from a state. Otherwise no hold is ever
            sent, and a client whose rows run out stops by its own rule.
        is_state_position: whether the state is a position in the unit of the actions, and the actions are
            absolute positions; then a client without rows is held where it is.
    """

    max_hold_ns: int = 8_000_000_000
    margin_ns: int = 150_000_000
    patience_ns: int = 100_000_000
    is_holdable: bool = True
    is_state_position: bool = False


def hold_due_ns(
    observation: RemoteObservation, terms: AcceptedSession, rules: HoldRules, now_ns: int
) -> int | None:
    """Return when a hold is sent if the policy has not answered; None if there is nothing to hold by.

    It must arrive while the client has rows, and before those of the hold are past. A client that was trained
    for a delay ignores what comes later than it said.

    Args:
        observation: the request.
        terms: what was agreed.
        rules: of the gateway.
        now_ns: when the observation came.
    """
    if not rules.is_holdable:
        return None
    capabilities = terms.deployment.capabilities
    rows = observation.continuation_rows
    if not rows:
        has_state = state_as_action(observation, terms, rules) is not None
        return now_ns + rules.patience_ns + rules.margin_ns if has_state else None
    least_ns = rules.patience_ns
    if observation.observation_cursor is not None:
        rows = min(rows, terms.steps - (observation.cursor - observation.observation_cursor))
    if terms.mode is InferenceMode.RTC_TRAINED:
        rows = min(rows, observation.delay, capabilities.training_max_delay)
        least_ns = 0
    left_ns = round(rows * capabilities.action_interval_s * 1e9)
    return now_ns + max(left_ns - rules.margin_ns, least_ns)


def hold_of(
    observation: RemoteObservation, plan: ReplyPlan, terms: AcceptedSession, rules: HoldRules
) -> tuple[FloatArray, FloatArray | None]:
    """Return the rows of a hold, and the same in the model's units in RTC.

    Raises:
        PolicyError: there is nothing to hold by; `hold_due_ns` was None.
    """
    rows = plan.hold_rows(terms.steps, state_as_action(observation, terms, rules))
    if rows is None:
        raise PolicyError("hold: wanted rows or a position of the robot, got neither")
    return rows, plan.model_hold_rows(terms.steps) if _is_rtc(terms) else None


def policy_rows(
    chunk: FloatArray, model_chunk: FloatArray | None, terms: AcceptedSession
) -> tuple[FloatArray, FloatArray | None]:
    """Return what a policy answered, checked; without the model's rows where the mode has none.

    Raises:
        PolicyError: rows of another width, none, not finite, or none for the model in RTC.
    """
    capabilities = terms.deployment.capabilities
    rows = _checked(chunk, capabilities.action_dim)
    if not _is_rtc(terms):
        return rows, None
    if model_chunk is None or len(model_chunk) != len(rows):
        raise PolicyError(f"policy: wanted {len(rows)} rows in the model's units too, got others or none")
    return rows, _checked(model_chunk, capabilities.model_dim)


def state_as_action(
    observation: RemoteObservation, terms: AcceptedSession, rules: HoldRules
) -> FloatArray | None:
    """Return where the robot is as an action that keeps it there, (action_dim,) float32.

    None where the rules do not say that a state is one, in RTC (which needs rows of the model too), or if a
    name or the semantics differ.
    """
    capabilities = terms.deployment.capabilities
    action = capabilities.action_feature
    spec = next((feature for feature in capabilities.features if feature.name == _STATE), None)
    state = observation.features.get(_STATE)
    if not rules.is_state_position or _is_rtc(terms) or spec is None or not isinstance(state, np.ndarray):
        return None
    if spec.semantics != action.semantics or not set(action.names) <= set(spec.names):
        return None
    return state[[spec.names.index(name) for name in action.names]].astype(np.float32)


def _is_rtc(terms: AcceptedSession) -> bool:
    return terms.mode is not InferenceMode.CHUNK


def _checked(rows: FloatArray, width: int) -> FloatArray:
    is_chunk = rows.ndim == 2 and len(rows) > 0 and rows.shape[1] == width
    if not is_chunk or not np.isfinite(rows).all():
        raise PolicyError(f"policy: wanted finite rows of {width}, got {rows.shape} of {rows.dtype}")
    return rows.astype(np.float32)
