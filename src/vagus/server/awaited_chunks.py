"""Chunks that are under way to a robot: its plan as it will be when the next chunk comes (pure).

A robot that asks again while a reply is under way sends the plan that it has. By the time of the next reply
it executes another one: the reply under way has replaced it. A chunk that continues the plan that was sent
would correct once more what the reply under way corrects, as a control loop does that does not know its dead
time. The server has that reply, and puts it in (a Smith predictor).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from vagus.policies.policy import Row
from vagus.types import ActionChunk, Prefix
from vagus.wire.schema import MAX_AWAITED

__all__ = ["UnderWay"]

SessionT = TypeVar("SessionT")


@dataclass(frozen=True, slots=True)
class _Answer:
    """A chunk, the number of its request, and the step from which on the robot expects to execute it."""

    seq: int
    acts_at: int
    chunk: ActionChunk


class UnderWay:
    """Newest chunks of one robot's episode, which it may not execute yet."""

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque(maxlen=MAX_AWAITED)

    def clear(self) -> None:
        """Forget all: another episode begins."""
        self._answers.clear()

    def note(self, seq: int, row: Row[SessionT], chunk: ActionChunk) -> None:
        """Note the answer to a request; one without a plan is waited for, and nothing is asked meanwhile.

        Args:
            seq: number of the request.
            row: what the policy was asked.
            chunk: the answer.
        """
        if row.prefix is not None:
            self._answers.append(_Answer(seq, row.step + row.inference_delay, chunk))

    def continued(self, row: Row[SessionT], seqs: Collection[int]) -> Row[SessionT]:
        """Return a row whose plan is what its robot will execute, by the chunks of these requests."""
        prefix = self.extend(row.prefix, row.step, seqs)
        delay = min(row.inference_delay, 0 if prefix is None else len(prefix))
        if prefix is row.prefix and delay == row.inference_delay:
            return row
        return replace(row, prefix=prefix, inference_delay=delay)

    def extend(self, prefix: Prefix | None, step: int, seqs: Collection[int]) -> Prefix | None:
        """Return what the robot will execute from `step` on, as far as it is planned.

        A chunk that would act only after the end of the plan ends it: nobody knows what the robot does in
        between.

        Args:
            prefix: the plan that it has, from `step` on; None: it has none, and gets none.
            step: s0 of its request.
            seqs: numbers of the requests whose chunks will replace the plan; those without an answer never
                will.
        """
        if prefix is None or not seqs:
            return prefix
        for answer in self._answers:
            kept = max(answer.acts_at - step, 0)
            first = step + kept - answer.chunk.step
            is_playable = answer.chunk.step <= step and first < len(answer.chunk)  # steps only go up
            if answer.seq not in seqs or not is_playable:
                continue
            if kept > len(prefix):
                break
            prefix = Prefix(
                model=np.concatenate([prefix.model[:kept], answer.chunk.model[first:]]),
                robot=np.concatenate([prefix.robot[:kept], answer.chunk.robot[first:]]),
            )
        return prefix
