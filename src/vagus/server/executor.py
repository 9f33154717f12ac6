"""Runs the loaded policy: per-robot state, episode boundaries, batches.

Called on the policy thread only, without a lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from vagus.clock import Clock
from vagus.errors import PolicyError
from vagus.policies.policy import Row, failure_of
from vagus.server.replies import BatchTiming
from vagus.server.request_slots import EpisodeState, ReadyRequest, Slot
from vagus.server.served_policy import ServedPolicy, infer_rows
from vagus.types import ActionChunk

__all__ = ["BatchRows", "Executor"]

SessionT = TypeVar("SessionT")

BatchRows = Sequence[tuple[Slot[SessionT], ReadyRequest]]
SeatedRow = tuple[EpisodeState[SessionT], Row[SessionT]]


class Executor(Generic[SessionT]):
    """Runs one model."""

    def __init__(self, model: ServedPolicy[SessionT], clock: Clock) -> None:
        self._model = model
        self._clock = clock

    def begin_episode(self, slot: Slot[SessionT], episode: int) -> PolicyError | None:
        """Apply the boundary of `episode`; return what the policy said if it failed."""
        try:
            self._state_of(slot, episode, is_start=False)
        except BaseException as error:  # noqa: BLE001 - a policy may raise anything; its robot is told
            return failure_of(error)
        return None

    def run(self, batch: BatchRows[SessionT]) -> tuple[list[ActionChunk | PolicyError], BatchTiming]:
        """Return one result per row of `batch`, in order, and what they took. A bad row fails alone."""
        begin_ns = self._clock.now_ns()
        prepared = [self._prepare(slot, ready) for slot, ready in batch]
        rows = [
            (episode_state, ready.request.row(episode_state.session))
            for episode_state, (_, ready) in zip(prepared, batch, strict=True)
            if not isinstance(episode_state, PolicyError)
        ]
        replies = iter(self._infer(rows))
        results = [one if isinstance(one, PolicyError) else next(replies) for one in prepared]
        return results, BatchTiming(begin_ns, self._clock.now_ns() - begin_ns, len(rows))

    def _infer(self, rows: Sequence[SeatedRow[SessionT]]) -> list[ActionChunk | PolicyError]:
        """Return one result per row; those that a batch has failed with are inferred alone."""
        results: dict[int, ActionChunk | PolicyError] = {}
        together = [index for index, (episode_state, _) in enumerate(rows) if not episode_state.is_alone]
        if len(together) > 1:
            replies = infer_rows(self._model.policy, self._model.spec, [rows[index][1] for index in together])
            if not isinstance(replies, PolicyError):
                results.update(zip(together, replies, strict=True))
        for index, (episode_state, row) in enumerate(rows):
            if index not in results:
                answer = infer_rows(self._model.policy, self._model.spec, [row])
                episode_state.is_alone = isinstance(answer, PolicyError)
                results[index] = answer if isinstance(answer, PolicyError) else answer[0]
        return [results[index] for index in range(len(rows))]

    def _prepare(self, slot: Slot[SessionT], ready: ReadyRequest) -> EpisodeState[SessionT] | PolicyError:
        try:
            state = self._state_of(
                slot,
                ready.header.episode,
                is_start=ready.request.is_episode_start,
            )
        except BaseException as error:  # noqa: BLE001 - as above; the other rows go on
            return failure_of(error)
        state.is_fresh = False
        return state

    def _state_of(self, slot: Slot[SessionT], episode: int, *, is_start: bool) -> EpisodeState[SessionT]:
        """Return the policy's state for this robot, with the boundary of `episode` applied."""
        if slot.episode_state is None:
            slot.episode_state = EpisodeState(self._model.policy.open_session())
        state = slot.episode_state
        if state.episode != episode or (is_start and not state.is_fresh):
            self._model.policy.begin_episode(state.session)
            state.episode, state.is_fresh = episode, True
        return state
