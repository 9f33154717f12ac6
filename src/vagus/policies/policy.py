"""The policy protocol: a batch of rows in, one result per row out."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from vagus.errors import PolicyError
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, Observation, Prefix

__all__ = ["Policy", "Row", "ServingMode", "SplitsBatches", "failure_of"]

SessionT = TypeVar("SessionT")


class ServingMode(enum.Enum):
    """How many robots one policy object can serve; a property of the family, never inferred.

    A policy may say why in an attribute `serving_reason`, which completes "…, because".
    """

    SHARED = "shared"
    """Any number: all state lives in the session."""
    EXCLUSIVE = "exclusive"
    """One robot: state lives in the policy object."""
    REFUSED = "refused"
    """Cannot be served in chunks."""


@dataclass(frozen=True, slots=True)
class Row(Generic[SessionT]):
    """One request in a batch.

    Attributes:
        session: this robot's state, made by `open_session`.
        observation: decoded; images RGB uint8 HWC.
        step: s0; `chunk[i]` is the action for step `step + i`.
        prefix: the robot's running plan from s0 on, or None.
        inference_delay: first steps of the prefix that will be executed whatever is answered.
        prefix_horizon: step at which guidance by the prefix ends.
        seed: the only source of noise for this row.
    """

    session: SessionT
    observation: Observation
    step: int
    prefix: Prefix | None
    inference_delay: int
    prefix_horizon: int
    seed: int


class Policy(Protocol[SessionT]):
    """A policy that maps observations to action chunks. All methods are called on one thread.

    A row depends on nothing but its own fields and its session: not on the other rows, not on history.
    """

    @property
    def spec(self) -> PolicySpec:
        """What it wants and gives."""
        ...

    @property
    def serving_mode(self) -> ServingMode:
        """How many robots it can serve."""
        ...

    @property
    def model_hash(self) -> str:
        """Hex digest over all that changes its outputs: weights, code, configuration."""
        ...

    def open_session(self) -> SessionT:
        """Return fresh per-robot state."""
        ...

    def begin_episode(self, session: SessionT) -> None:
        """Forget what this robot's last episode left in `session`."""
        ...

    def infer(self, batch: Sequence[Row[SessionT]]) -> Sequence[ActionChunk | PolicyError]:
        """Return one result per row, in order. A bad row gets a PolicyError and harms no other.

        Numbers of any kind become float32. Where it raises for a batch, it is called again for each row
        alone, and then alone for those rows that failed until they do not.
        """
        ...

    def close(self) -> None:
        """Free the device."""
        ...


@runtime_checkable
class SplitsBatches(Protocol):
    """A policy that cannot take all rows in one forward pass, such as rows with other cameras."""

    def batch_key(self, observation: Observation) -> Hashable:
        """Return what rows must share to go through the network together (any thread)."""
        ...


MAX_REASON = 1000
"""Characters of a policy's own words."""


def failure_of(error: BaseException) -> PolicyError:
    """Return what a policy raised or gave as the failure of its row: short enough to travel, its cause kept.

    Nothing of the error's own making is left in it: not its class, nor what its text is made of.
    """
    if isinstance(error, PolicyError):
        failure = PolicyError(quoted(error, MAX_REASON))
        failure.__cause__ = error.__cause__
        return failure
    failure = PolicyError(f"{type(error).__name__}: {quoted(error)}")
    failure.__cause__ = error
    return failure
