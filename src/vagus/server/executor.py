"""All that touches the policy once it is loaded: per-robot state, episode boundaries, batches.

Called on the policy thread only, without a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from vagus.clock import Clock
from vagus.errors import PolicyError
from vagus.policies.policy import Row, failure_of
from vagus.server.replies import BatchTiming
from vagus.server.served_policy import ServedPolicy, infer_rows
from vagus.server.slot import EpisodeState, ReadyRequest, Slot
from vagus.types import ActionChunk

__all__ = ["Batch", "Executor"]

SessionT = TypeVar("SessionT")

Batch = Sequence[tuple[Slot[SessionT], ReadyRequest]]
SeatedRow = tuple[EpisodeState[SessionT], Row[SessionT]]


class Executor(Generic[SessionT]):
    """Runs one model."""

    def __init__(self, model: ServedPolicy[SessionT], clock: Clock) -> None:
        self._model = model
        self._clock = clock

    def begin_episode(self, lane: Slot[SessionT], episode: int) -> PolicyError | None:
        """Apply the boundary of `episode`; return what the policy said if it failed."""
        try:
            self._seat(lane, episode, is_start=False)
        except BaseException as error:  # noqa: BLE001 - a policy may raise anything; its robot is told
            return failure_of(error)
        return None

    def run(self, batch: Batch[SessionT]) -> tuple[list[ActionChunk | PolicyError], BatchTiming]:
        """Return one result per row of `batch`, in order, and what they took. A bad row fails alone."""
        begin_ns = self._clock.now_ns()
        prepared = [self._prepare(lane, ready) for lane, ready in batch]
        rows = [
            (seat, ready.request.row(seat.session))
            for seat, (_, ready) in zip(prepared, batch, strict=True)
            if not isinstance(seat, PolicyError)
        ]
        answers = iter(self._infer(rows))
        results = [seat if isinstance(seat, PolicyError) else next(answers) for seat in prepared]
        return results, BatchTiming(begin_ns, self._clock.now_ns() - begin_ns, len(rows))

    def _infer(self, rows: Sequence[SeatedRow[SessionT]]) -> list[ActionChunk | PolicyError]:
        """Return one result per row; those that a batch has failed with are inferred alone."""
        results: dict[int, ActionChunk | PolicyError] = {}
        together = [index for index, (seat, _) in enumerate(rows) if not seat.is_alone]
        if len(together) > 1:
            answers = infer_rows(self._model.policy, self._model.spec, [rows[index][1] for index in together])
            if not isinstance(answers, PolicyError):
                results.update(zip(together, answers, strict=True))
        for index, (seat, row) in enumerate(rows):
            if index not in results:
                answer = infer_rows(self._model.policy, self._model.spec, [row])
                seat.is_alone = isinstance(answer, PolicyError)
                results[index] = answer if isinstance(answer, PolicyError) else answer[0]
        return [results[index] for index in range(len(rows))]

    def _prepare(self, lane: Slot[SessionT], ready: ReadyRequest) -> EpisodeState[SessionT] | PolicyError:
        try:
            seat = self._seat(lane, ready.header.episode, is_start=ready.request.is_episode_start)
        except BaseException as error:  # noqa: BLE001 - as above; the other rows go on
            return failure_of(error)
        seat.is_fresh = False
        return seat

    def _seat(self, lane: Slot[SessionT], episode: int, *, is_start: bool) -> EpisodeState[SessionT]:
        """Return the policy's state for this robot, with the boundary of `episode` applied."""
        if lane.seat is None:
            lane.seat = EpisodeState(self._model.policy.open_session())
        seat = lane.seat
        if seat.episode != episode or (is_start and not seat.is_fresh):
            self._model.policy.begin_episode(seat.session)
            seat.episode, seat.is_fresh = episode, True
        return seat
