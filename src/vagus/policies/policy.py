"""Policy protocol: a batch of rows in, one result per row out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from vagus.errors import ActionsRefusedError, PolicyError
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.types import ActionChunk, Observation, Prefix

__all__ = [
    "BoundsBatches",
    "BringsSample",
    "CountsEvents",
    "CountsForwards",
    "Policy",
    "Row",
    "ServingMode",
    "SplitsBatches",
    "failure_of",
]

SessionT = TypeVar("SessionT")


class ServingMode(enum.Enum):
    """Number of robots that one policy object can serve; stated by the policy's author, never inferred.

    A policy may give the reason in an attribute `serving_reason`, which completes "…, because".
    """

    SHARED = "shared"
    """Any number of robots: all state is in the session."""
    EXCLUSIVE = "exclusive"
    """One robot: the policy object holds state."""
    REFUSED = "refused"
    """No robot: the policy cannot be served in chunks."""


@dataclass(frozen=True, slots=True)
class Row(Generic[SessionT]):
    """One request in a batch.

    Attributes:
        session: session state of this robot, made by `open_session`.
        observation: the decoded observation; images RGB uint8 (height, width, 3).
        step: s0; `chunk[i]` is the action for step `step + i`.
        prefix: the robot's plan from s0 on, chunks that are under way to it included, or None.
        inference_delay: number of steps of the prefix that will be executed before the chunk can act.
        prefix_horizon: number of steps after which guidance by the prefix ends.
        seed: seed of all random numbers for this row.
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

    The result of a row depends only on its own fields and its session, not on other rows or earlier batches.
    """

    @property
    def spec(self) -> PolicySpec:
        """Inputs and outputs of the policy."""
        ...

    @property
    def serving_mode(self) -> ServingMode:
        """Number of robots that it can serve."""
        ...

    @property
    def model_hash(self) -> str:
        """Hex digest over everything that changes its outputs: weights, code, configuration."""
        ...

    def open_session(self) -> SessionT:
        """Return new session state for one robot."""
        ...

    def begin_episode(self, session: SessionT) -> None:
        """Reset the session state of a robot for a new episode."""
        ...

    def infer(self, batch: Sequence[Row[SessionT]]) -> Sequence[ActionChunk | PolicyError]:
        """Return one result per row, in order. A bad row gets a PolicyError and does not affect the others.

        Numbers of any type are converted to float32. If it raises for a batch, it is called again for each
        row alone. A row that fails alone is not batched again until it succeeds.
        """
        ...

    def close(self) -> None:
        """Release the device."""
        ...


@runtime_checkable
class SplitsBatches(Protocol):
    """Policy that cannot take all rows in one forward pass, for example rows with different cameras."""

    def batch_key(self, observation: Observation) -> Hashable:
        """Return a key that rows of one forward pass have in common. Called on any thread."""
        ...


@runtime_checkable
class BoundsBatches(Protocol):
    """Policy that takes only so many rows at once, for example one: in a larger batch they would wait."""

    @property
    def max_rows(self) -> int:
        """Largest number of rows in one call of `infer`."""
        ...


@runtime_checkable
class BringsSample(Protocol):
    """Policy that cannot answer the grey frames of a warm-up, and brings an observation that it can answer.

    An answer to it may be an ActionsRefusedError: the way there and back was gone.
    """

    def sample(self) -> Observation:
        """Return an observation that fits its spec, as a robot could send it."""
        ...


@runtime_checkable
class CountsEvents(Protocol):
    """Policy that counts events of its own, such as poses that it refuses."""

    def count_with(self, count: Callable[[str], None]) -> None:
        """Take what counts one event by its name: a few fixed words, which become labels of a metric."""
        ...


@runtime_checkable
class CountsForwards(Protocol):
    """Policy that may split the rows of one `infer` into several forward passes, and says how."""

    def forward_rows(self) -> Sequence[int]:
        """Return, for each row of the last `infer` in order, the number of rows in its forward pass.

        The row itself counts; 0: it was in none, for example because it was refused. Called after the last
        result was taken.
        """
        ...


MAX_REASON = 1000
"""Longest error text of a policy, in characters."""


def failure_of(error: BaseException) -> PolicyError:
    """Return the PolicyError of a row for an error that the policy raised or returned, with a short text.

    It keeps the cause, but no object of the original error: neither its class nor its arguments.
    """
    if isinstance(error, PolicyError):
        kind = ActionsRefusedError if isinstance(error, ActionsRefusedError) else PolicyError
        failure = kind(quoted(error, MAX_REASON))
        failure.__cause__ = error.__cause__
        return failure
    failure = PolicyError(f"{type(error).__name__}: {quoted(error)}")
    failure.__cause__ = error
    return failure
