"""All that touches the policy once it is loaded: per-robot state, episode boundaries, batches.

Called on the policy thread only, without a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from vagus.clock import Clock
from vagus.errors import PolicyError
from vagus.policies.policy import failure_of
from vagus.server.answer import Cost
from vagus.server.lane import Lane, Ready, Seat
from vagus.server.model import Model, infer_rows
from vagus.types import ActionChunk

__all__ = ["Batch", "Runner"]

SessionT = TypeVar("SessionT")

Batch = Sequence[tuple[Lane[SessionT], Ready]]


class Runner(Generic[SessionT]):
    """Runs one model."""

    def __init__(self, model: Model[SessionT], clock: Clock) -> None:
        self._model = model
        self._clock = clock

    def begin_episode(self, lane: Lane[SessionT], episode: int) -> PolicyError | None:
        """Apply the boundary of `episode`; return what the policy said if it failed."""
        try:
            self._seat(lane, episode, is_start=False)
        except Exception as error:  # noqa: BLE001 - a policy may raise anything; its robot is told
            return failure_of(error)
        return None

    def run(self, batch: Batch[SessionT]) -> tuple[list[ActionChunk | PolicyError], Cost]:
        """Return one result per row of `batch`, in order, and what they took. A bad row fails alone."""
        begin_ns = self._clock.now_ns()
        results: list[ActionChunk | PolicyError | None] = [
            self._prepare(lane, ready) for lane, ready in batch
        ]
        runnable = [index for index, failure in enumerate(results) if failure is None]
        rows = [
            ready.request.row(lane.seat.session)
            for lane, ready in (batch[index] for index in runnable)
            if lane.seat is not None
        ]
        answers = infer_rows(self._model.policy, self._model.spec, rows) if rows else []
        for index, answer in zip(runnable, answers, strict=True):
            results[index] = answer
        cost = Cost(begin_ns, self._clock.now_ns() - begin_ns, len(rows))
        return [result for result in results if result is not None], cost

    def _prepare(self, lane: Lane[SessionT], ready: Ready) -> PolicyError | None:
        try:
            seat = self._seat(lane, ready.header.episode, is_start=ready.request.is_episode_start)
        except Exception as error:  # noqa: BLE001 - as above; the other rows go on
            return failure_of(error)
        seat.is_fresh = False
        return None

    def _seat(self, lane: Lane[SessionT], episode: int, *, is_start: bool) -> Seat[SessionT]:
        """Return the policy's state for this robot, with the boundary of `episode` applied."""
        if lane.seat is None:
            lane.seat = Seat(self._model.policy.open_session())
        seat = lane.seat
        if seat.episode != episode or (is_start and not seat.is_fresh):
            self._model.policy.begin_episode(seat.session)
            seat.episode, seat.is_fresh = episode, True
        return seat
