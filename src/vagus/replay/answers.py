"""Answers to requests that were never made: what the recorded policy said about the same steps. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vagus.recording.session import RecordedChunk
from vagus.types import FloatArray

__all__ = ["RecordedAnswer", "RecordedAnswers"]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """Answer to a request for one step.

    Attributes:
        robot: actions in the robot's units, (n, action_dim), float32.
        model: actions in the policy's own space, (n, model_dim), float32.
        latency_ns: recorded time from the observation to the tick that took the chunk in.
        is_recorded: this very request was recorded; False: it is put together from chunks about these steps.
    """

    robot: FloatArray
    model: FloatArray
    latency_ns: int
    is_recorded: bool


class RecordedAnswers:
    """Answers by episode and step, from the chunks of a session.

    A request that was recorded has its own chunk. Another one is answered by the last chunk that was asked
    for before its step, from this step on; where it ends, the chunks after it go on.

    Args:
        chunks: chunks of a session, in any order.
        horizon: most actions in an answer.
    """

    def __init__(self, chunks: Iterable[RecordedChunk], horizon: int) -> None:
        self._horizon = horizon
        found: dict[int, dict[int, RecordedChunk]] = defaultdict(dict)
        for chunk in chunks:
            before = found[chunk.episode].get(chunk.step)
            if before is None or (chunk.is_merged and not before.is_merged):
                found[chunk.episode][chunk.step] = chunk
        self._chunks = {episode: [by[step] for step in sorted(by)] for episode, by in found.items()}
        self._steps = {episode: [c.step for c in chunks] for episode, chunks in self._chunks.items()}

    def answer(self, episode: int, step: int) -> RecordedAnswer | None:
        """Return the answer to a request for a step; None: nothing was recorded about it."""
        chunks = self._chunks.get(episode, [])
        at = bisect_right(self._steps.get(episode, []), step) - 1
        if at < 0:
            return None
        first = chunks[at]
        latency_ns = max(first.t_ns - first.captured_ns, 0)
        if first.step == step:
            return RecordedAnswer(first.robot, first.model, latency_ns, is_recorded=True)
        robot, model = [first.robot[step - first.step :]], [first.model[step - first.step :]]
        for chunk in chunks[at + 1 :]:
            reached = step + sum(map(len, robot))
            if not chunk.step <= reached < chunk.step + len(chunk):
                continue
            robot.append(chunk.robot[reached - chunk.step :])
            model.append(chunk.model[reached - chunk.step :])
        rows = slice(0, self._horizon)
        joined = np.concatenate(robot)[rows], np.concatenate(model)[rows]
        if not len(joined[0]):
            return None
        return RecordedAnswer(*joined, latency_ns, is_recorded=False)
