"""Engine of a client of LeRobot's remote inference v1: when it asks, holds, starves and ends; time comes in.

Written from what the original was seen to do. It is strict where the original is: an error, a bad reply or a
second without rows ends the run for good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from remote_client.engine_parts import Control, Counts, Frame, Observed, Pending, Phase, Timing
from remote_client.reply_check import wrong_in
from remote_client.row_queue import Reply, RowQueue, RowsError, Turnaround
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.control import ControlOperation
from vagus.integrations.lerobot_zenoh.v1.descriptor import AcceptedSession
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.language import LanguageKind, LanguageRequest
from vagus.integrations.lerobot_zenoh.v1.motion import (
    FrameFeatures,
    FrameIdentity,
    RemoteActions,
    RemoteObservation,
)
from vagus.types import FloatArray

__all__ = ["Engine"]

S = 1_000_000_000


@dataclass
class Engine:
    """State of one run. `tick` once per interval; what is to be sent is taken from `controls` and `asked`.

    Attributes:
        terms: what was agreed.
        timing: times of the client.
        task: instruction.
        begun_ns: when the session was opened.
    """

    terms: AcceptedSession
    timing: Timing
    task: str
    begun_ns: int
    phase: Phase = Phase.WAITING
    generation: int = 0
    counts: Counts = field(default_factory=Counts)
    controls: list[Control] = field(default_factory=list)
    asked: list[Observed] = field(default_factory=list)
    is_served: bool = True
    """Whether the server's token was never gone."""

    def __post_init__(self) -> None:
        capabilities = self.terms.deployment.capabilities
        self.queue = RowQueue(
            capabilities.action_interval_s,
            self.terms.mode,
            is_aligned=self.is_aligned,
            training_max_delay=capabilities.training_max_delay,
        )
        self.controls.append(Control(ControlOperation.RESET, 0))
        self._turnaround = Turnaround()
        self._pending: Pending | None = None
        self._frame: Frame | None = None
        self._frames = self._sequence = self._task_version = 0
        self._asked_version = 0
        self._asked_at: int | None = None
        self._starved_ns: int | None = None
        self._planned_ns: int | None = None
        self._played_ns: int | None = None
        self._is_pausing = False

    @property
    def is_aligned(self) -> bool:
        """Whether row k of a reply is for the action k after the frame."""
        return self.terms.chunk_settings.merge is ChunkMerge.ALIGNED and self._is_chunk

    @property
    def is_over(self) -> bool:
        """Whether the run ended by a fault."""
        return self.phase is Phase.FAULTED

    @property
    def request_id(self) -> str:
        """Id of the request without an answer; "": none."""
        return "" if self._pending is None else self._pending.request_id

    def tick(self, now_ns: int, features: FrameFeatures) -> FloatArray | None:
        """Take a frame, and return the row to execute, (action_dim,), or None: hold."""
        self._frames += 1
        self._frame = Frame(self._frames, features, now_ns, self.queue.cursor)
        self._check_times(now_ns)
        row = self._popped(now_ns) if self.phase is Phase.PLAYING else None
        if self.phase in (Phase.READY, Phase.PLAYING) and self._is_due(now_ns):
            self._ask(now_ns)
        return row

    def sent(self, request_id: str) -> None:
        """Note the id under which the newest request was sent."""
        if self._pending is not None:
            self._pending = replace(self._pending, request_id=request_id)

    def receive(self, actions: RemoteActions, now_ns: int) -> None:
        """Take the reply to the request; ids and generation are checked by the caller."""
        pending, self._pending = self._pending, None
        if pending is None or self.phase not in (Phase.READY, Phase.PLAYING):
            return
        if wrong := wrong_in(actions, pending.asked.observation, self.terms):
            self.fail(f"bad reply: {wrong}")
            return
        self._turnaround.note((now_ns - pending.asked_ns) / S)
        if now_ns - pending.frame.captured_ns > self.timing.source_age_s * S:
            self.fail("a reply to a frame that is too old")
            return
        if pending.asked.observation.identity.task_version != self._task_version:
            return
        self._join(actions, pending, now_ns)

    def acked(self, control: Control, now_ns: int) -> None:
        """Take the answer to a control: go on, if it was the newest one."""
        if control.generation == self.generation and self.phase is Phase.WAITING:
            self.phase = Phase.PAUSED if self._is_pausing else Phase.READY

    def reset(self, now_ns: int) -> None:
        """Begin an episode."""
        self._interrupt(ControlOperation.RESET, now_ns)

    def pause(self, now_ns: int) -> None:
        """Stop until `resume`."""
        self._is_pausing = True
        self._interrupt(ControlOperation.INVALIDATE, now_ns)

    def resume(self, now_ns: int) -> None:
        """Go on after a pause."""
        self._is_pausing = False
        if self.phase is Phase.PAUSED:
            self.phase, self._planned_ns = Phase.READY, now_ns

    def question(self, text: str) -> LanguageRequest:
        """Return a question about the newest frame; the robot must be paused."""
        assert self._frame is not None
        self._sequence += 1
        return LanguageRequest(
            sequence=self._sequence,
            identity=self._identity(self._frame),
            features=self._frame.features,
            kind=LanguageKind.VQA,
            text=text,
            intent_generation=0,
        )

    def set_task(self, task: str, now_ns: int) -> None:
        """Change the instruction."""
        self.task = task
        self._task_version += 1
        if self._pending is not None:
            self._interrupt(ControlOperation.INVALIDATE, now_ns)

    def fail(self, why: str) -> None:
        """End the run."""
        if not self.is_over:
            self.phase, self.counts.fault = Phase.FAULTED, why
            self.queue.clear()

    @property
    def _is_chunk(self) -> bool:
        return self.terms.mode is InferenceMode.CHUNK

    def _popped(self, now_ns: int) -> FloatArray | None:
        row = self.queue.pop()
        if row is None:
            self._starve(now_ns)
            return None
        if now_ns - row.captured_ns > self.timing.source_age_s * S:
            self.fail("an action of a frame that is too old")
            return None
        if self._starved_ns is not None:
            held_s = (now_ns - self._starved_ns) / S
            self.counts.longest_hold_s = max(self.counts.longest_hold_s, held_s)
        self._starved_ns, self._planned_ns, self._played_ns = None, None, now_ns
        self.counts.actions += 1
        return row.canonical

    def _starve(self, now_ns: int) -> None:
        self.counts.holds += 1
        self._begin_control(ControlOperation.INVALIDATE)
        if self._starved_ns is None:
            self._starved_ns = now_ns

    def _interrupt(self, operation: ControlOperation, now_ns: int) -> None:
        """Hold by a wish of the operator."""
        if not self.is_over:
            self._begin_control(operation)
            self._planned_ns, self._starved_ns = now_ns, None

    def _begin_control(self, operation: ControlOperation) -> None:
        self.queue.clear()
        self._pending, self._asked_at = None, None
        if not self.is_served:
            self.fail("the server is gone")
            return
        self.generation += 1
        self.phase = Phase.WAITING
        self.controls.append(Control(operation, self.generation))

    def _check_times(self, now_ns: int) -> None:
        timing = self.timing
        pending = self._pending
        limits = (
            (None if pending is None else pending.asked_ns, timing.action_s, "no answer to a request"),
            (self._starved_ns, timing.starvation_s, "no rows"),
            (
                None if self._is_pausing else self._planned_ns,
                timing.action_s + timing.handshake_s,
                "no rows after a planned hold",
            ),
            (self.begun_ns if self._played_ns is None else None, timing.startup_s, "no first action"),
        )
        for since_ns, limit_s, what in limits:
            if since_ns is not None and now_ns - since_ns > limit_s * S:
                self.fail(f"{what} for {limit_s:g} s")

    def _is_due(self, now_ns: int) -> bool:
        """Return whether a request is sent now."""
        if self._pending is not None or self._frame is None or self.queue.has_successor:
            return False
        if not self.is_served:
            if self.phase is Phase.READY:
                self.fail("the server is gone")
            return False
        is_new_task = self.is_aligned and self._asked_version != self._task_version
        if self.is_aligned and self._asked_at is not None and self._frame.cursor <= self._asked_at:
            return False
        interval_s = self.terms.deployment.capabilities.action_interval_s
        least_s = max(self.timing.refill_s, self._turnaround.longest_s + interval_s)
        return is_new_task or self.queue.seconds <= least_s

    def _ask(self, now_ns: int) -> None:
        frame, deployment = self._frame, self.terms.deployment
        assert frame is not None
        self._sequence += 1
        rows = self.queue.continuation(deployment.capabilities.prediction_steps)
        observation = RemoteObservation(
            sequence=self._sequence,
            identity=self._identity(frame),
            features=frame.features,
            delay=self._delay(0 if rows is None else len(rows[0])),
            canonical_continuation=None if rows is None else rows[0],
            model_continuation=None if rows is None else rows[1],
            cursor=self.queue.cursor,
            observation_cursor=frame.cursor if self.is_aligned else None,
        )
        asked = Observed(self.generation, frame.number, observation)
        self._asked_at, self._asked_version = frame.cursor, self._task_version
        self._pending = Pending(asked, frame, now_ns)
        self.counts.requests += 1
        self.asked.append(asked)

    def _identity(self, frame: Frame) -> FrameIdentity:
        return FrameIdentity(
            self.terms.deployment.artifact_identity,
            f"{frame.number}-{self._sequence}",
            frame.captured_ns / S,
            self.task,
            self._task_version,
        )

    def _delay(self, rows: int) -> int:
        if not rows:
            return 0
        capabilities = self.terms.deployment.capabilities
        delay = math.ceil(self._turnaround.longest_s / capabilities.action_interval_s)
        if self.terms.mode is InferenceMode.RTC_TRAINED:
            return min(delay, capabilities.training_max_delay, rows)
        return min(delay, capabilities.prediction_steps)

    def _join(self, actions: RemoteActions, pending: Pending, now_ns: int) -> None:
        asked, canonical = pending.asked.observation, actions.canonical_actions
        reply = Reply(
            canonical=canonical,
            model=canonical if actions.model_actions is None else actions.model_actions,
            captured_ns=pending.frame.captured_ns,
            cursor=asked.cursor,
            observation_cursor=pending.frame.cursor,
            delay=asked.delay,
            elapsed_ns=now_ns - pending.asked_ns,
        )
        try:
            is_taken = self.queue.accept(reply)
        except RowsError as error:
            self.fail(str(error))
            return
        self.counts.replies += is_taken
        self.counts.useless += not is_taken
        if is_taken:
            self.phase = Phase.PLAYING
