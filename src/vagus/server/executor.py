"""Execution of the loaded policy: state per robot, episode boundaries, batches.

Used on the policy thread only, without a lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from vagus.clock import NS_PER_MS, Clock
from vagus.errors import PolicyError
from vagus.policies.policy import CountsForwards, Row, failure_of
from vagus.server.replies import RowCost
from vagus.server.served_policy import ServedPolicy, infer_rows
from vagus.server.slot import BatchRows, EpisodeState, ReadyRequest, Slot
from vagus.types import ActionChunk, Prefix

__all__ = ["BatchRun", "Executor", "PolicyCall"]

SessionT = TypeVar("SessionT")

SeatedRow = tuple[EpisodeState[SessionT], Row[SessionT]]
_Answer = tuple[ActionChunk | PolicyError, int]
"""Result of a row, and the number of rows in its forward pass."""


@dataclass(frozen=True, slots=True)
class PolicyCall:
    """One call of the policy's `infer`.

    Attributes:
        rows: number of rows.
        took_ms: its time in milliseconds.
        is_complete: every row got a chunk; otherwise the time says little about such a call.
    """

    rows: int
    took_ms: float
    is_complete: bool


@dataclass(frozen=True, slots=True)
class BatchRun:
    """What became of a batch.

    Attributes:
        results: one per row, in order.
        costs: what each row cost, in order.
        calls: the calls of the policy that it took.
    """

    results: tuple[ActionChunk | PolicyError, ...]
    costs: tuple[RowCost, ...]
    calls: tuple[PolicyCall, ...]

    @property
    def inference_ns(self) -> int:
        """Time of the whole batch in the policy."""
        return max((cost.inference_ns for cost in self.costs), default=0)

    def forwards(self) -> Iterator[int]:
        """Yield the number of rows of each forward pass."""
        for size, count in Counter(cost.batch_size for cost in self.costs if cost.batch_size).items():
            yield from (size,) * -(-count // size)


class Executor(Generic[SessionT]):
    """Executor of one policy."""

    def __init__(self, model: ServedPolicy[SessionT], clock: Clock) -> None:
        self._model = model
        self._clock = clock

    def begin_episode(self, slot: Slot[SessionT], episode: int, *, is_start: bool) -> PolicyError | None:
        """Make the policy's session, if there is none, and begin `episode` in it; return why it failed.

        An episode that has begun begins anew only if it `is_start`, and something was inferred in it.
        """
        try:
            self._state_of(slot, episode, is_start=is_start)
        except BaseException as error:  # noqa: BLE001 - a policy may raise anything; its robot is told
            return failure_of(error)
        return None

    def run(self, batch: BatchRows[SessionT]) -> BatchRun:
        """Run the rows of `batch`. A bad row fails alone."""
        begin_ns = self._clock.now_ns()
        prepared = [self._prepare(slot, ready) for slot, ready in batch]
        rows = [
            (state, state.under_way.continued(ready.request.row(state.session), ready.request.awaited))
            for state, (_, ready) in zip(prepared, batch, strict=True)
            if not isinstance(state, PolicyError)
        ]
        calls: list[PolicyCall] = []
        replies = iter(self._infer(rows, calls))
        answers = [(one, 0) if isinstance(one, PolicyError) else next(replies) for one in prepared]
        took_ns = self._clock.now_ns() - begin_ns
        results = tuple(result for result, _ in answers)
        extended = _note_under_way(batch, prepared, rows, results)
        costs = (
            RowCost(begin_ns, took_ns, batch_size, plan)
            for (_, batch_size), plan in zip(answers, extended, strict=True)
        )
        return BatchRun(results, tuple(costs), tuple(calls))

    def _infer(self, rows: Sequence[SeatedRow[SessionT]], calls: list[PolicyCall]) -> list[_Answer]:
        """Return one answer per row; after a failed batch, each row is inferred alone."""
        answers: dict[int, _Answer] = {}
        together = [index for index, (episode_state, _) in enumerate(rows) if not episode_state.is_alone]
        if len(together) > 1:
            replies = self._call([rows[index][1] for index in together], calls)
            if not isinstance(replies, PolicyError):
                answers.update(zip(together, replies, strict=True))
        for index, (episode_state, row) in enumerate(rows):
            if index not in answers:
                alone = self._call([row], calls)
                episode_state.is_alone = isinstance(alone, PolicyError)
                answers[index] = (alone, 1) if isinstance(alone, PolicyError) else alone[0]
        return [answers[index] for index in range(len(rows))]

    def _call(self, rows: Sequence[Row[SessionT]], calls: list[PolicyCall]) -> list[_Answer] | PolicyError:
        """Call the policy, note the call, and return its results with the sizes of their forward passes."""
        begin_ns = self._clock.now_ns()
        results = infer_rows(self._model.policy, self._model.spec, rows)
        took_ms = (self._clock.now_ns() - begin_ns) / NS_PER_MS
        if isinstance(results, PolicyError):
            calls.append(PolicyCall(len(rows), took_ms, is_complete=False))
            return results
        is_complete = not any(isinstance(result, PolicyError) for result in results)
        calls.append(PolicyCall(len(rows), took_ms, is_complete=is_complete))
        return list(zip(results, _forward_rows(self._model.policy, len(rows)), strict=True))

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
        """Return the policy's state for this robot, in which `episode` has begun."""
        if slot.episode_state is None:
            slot.episode_state = EpisodeState(self._model.policy.open_session())
        state = slot.episode_state
        if not state.has_begun(episode, is_start=is_start):
            self._model.policy.begin_episode(state.session)
            state.episode, state.is_fresh = episode, True
            state.under_way.clear()
        return state


def _note_under_way(
    batch: BatchRows[SessionT],
    prepared: Sequence[EpisodeState[SessionT] | PolicyError],
    rows: Sequence[SeatedRow[SessionT]],
    results: Sequence[ActionChunk | PolicyError],
) -> list[Prefix | None]:
    """Note what is under way to each robot from now on; return the plans that were extended by what was."""
    asked, extended = iter(rows), list[Prefix | None]()
    for one, (_, ready), result in zip(prepared, batch, results, strict=True):
        extended.append(None)
        if isinstance(one, PolicyError):
            continue
        _, row = next(asked)
        if ready.request.awaited:
            extended[-1] = row.prefix
        if isinstance(result, ActionChunk):
            one.under_way.note(ready.header.seq, row, result)
    return extended


def _forward_rows(policy: object, rows: int) -> list[int]:
    """Return for each row the rows of its forward pass: as the policy says, otherwise all of the call."""
    if not isinstance(policy, CountsForwards):
        return [rows] * rows
    try:
        told = [int(size) for size in policy.forward_rows()]
    except BaseException:  # noqa: BLE001 - it may raise anything; a count is worth no robot's answer
        return [rows] * rows
    is_possible = len(told) == rows and all(0 <= size <= rows for size in told)
    return told if is_possible else [rows] * rows
