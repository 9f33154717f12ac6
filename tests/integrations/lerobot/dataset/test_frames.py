"""From ticks to frames, on a clock of their own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_MS
from vagus.integrations.lerobot.dataset.frames import DatasetFrame, FrameCutter
from vagus.types import ActionArray, Command, FloatArray, LinkState, MotionState, Provenance

PERIOD_NS = 40 * NS_PER_MS


def command(
    value: float | None, *, motion: MotionState = MotionState.PLAYING, episode: int = 0, seq: int = 1
) -> Command:
    provenance = Provenance(7, seq, episode, 0, 0, 1, LinkState.STREAMING, motion)
    return Command(None if value is None else np.array([value, value]), provenance)


def state(value: float) -> FloatArray:
    return np.array([value], dtype=np.float32)


def cutter(ticks_per_frame: int = 1, *, delta: bool = False) -> FrameCutter:
    return FrameCutter(period_s=0.04, tick_s=0.04 / ticks_per_frame, summed=np.array([False, delta]))


class Tape:
    """Feeds a cutter and keeps what came of it."""

    def __init__(self, under_test: FrameCutter) -> None:
        self.cutter = under_test
        self.done: list[DatasetFrame | None] = []

    def tick(self, now_ns: int, given: Command, seen: float = 0.0) -> bool:
        cut = self.cutter.step(now_ns, given, state(seen))
        self._keep(cut.done, is_end=cut.is_end)
        return cut.begun is not None

    def end(self) -> None:
        cut = self.cutter.end()
        self._keep(cut.done, is_end=cut.is_end)

    def _keep(self, frame: DatasetFrame | None, *, is_end: bool) -> None:
        if frame is not None:
            self.done.append(frame)
        if is_end:
            self.done.append(None)

    @property
    def pairs(self) -> list[tuple[float, float] | None]:
        return [None if f is None else (float(f.state[0]), float(f.action[0])) for f in self.done]


def test_at_the_policy_rate_every_tick_is_a_frame() -> None:
    tape = Tape(cutter())
    for at in range(4):
        assert tape.tick(at * PERIOD_NS, command(at + 10), seen=at)
    tape.end()
    assert tape.pairs == [(0, 10), (1, 11), (2, 12), (3, 13), None]
    assert tape.cutter.missed == 0


def test_a_frame_holds_the_state_at_its_beginning_and_the_last_command_before_the_next() -> None:
    tape = Tape(cutter(4))
    begun = [tape.tick(at * PERIOD_NS // 4, command(at), seen=at) for at in range(8)]
    tape.end()
    assert begun == [True, False, False, False] * 2
    assert tape.pairs == [(0, 3), (4, 7), None]


def test_of_a_delta_a_frame_holds_the_sum() -> None:
    tape = Tape(cutter(4, delta=True))
    for at in range(4):
        tape.tick(at * PERIOD_NS // 4, command(2.0))
    tape.end()
    frame = tape.done[0]
    assert frame is not None
    assert frame.action.tolist() == [2.0, 8.0]


def test_nothing_is_recorded_before_the_first_plan_or_without_a_command() -> None:
    tape = Tape(cutter())
    assert not tape.tick(0, command(1, motion=MotionState.WAITING))
    assert not tape.tick(PERIOD_NS, command(None))
    assert tape.tick(2 * PERIOD_NS, command(3))
    tape.end()
    assert tape.pairs == [(0, 3), None]


def test_no_episode_begins_with_standing_still() -> None:
    tape = Tape(cutter())
    motions = [MotionState.WAITING, MotionState.PLAYING, MotionState.FALLBACK]
    motions += [MotionState.FALLBACK, MotionState.FALLBACK, MotionState.PLAYING, MotionState.FALLBACK]
    for at, motion in enumerate(motions):
        tape.tick(at * PERIOD_NS, command(at, motion=motion, episode=int(at > 2)))
    tape.end()
    assert tape.pairs == [(0, 1), (0, 2), None, (0, 5), (0, 6), None]


def test_an_episode_ends_with_its_number_and_with_a_gap_in_time() -> None:
    tape = Tape(cutter())
    tape.tick(0, command(1))
    tape.tick(PERIOD_NS, command(2, episode=1))
    tape.tick(PERIOD_NS * 100, command(3, episode=1))
    tape.end()
    tape.end()
    assert tape.pairs == [(0, 1), None, (0, 2), None, (0, 3), None]


def test_an_episode_without_frames_is_none() -> None:
    tape = Tape(cutter())
    for episode in range(3):
        tape.tick(episode * PERIOD_NS, command(1, episode=episode, motion=MotionState.WAITING))
    tape.end()
    assert tape.pairs == []


def test_frames_that_no_tick_came_for_are_counted() -> None:
    tape = Tape(cutter())
    for at in (0, 1, 4, 5):
        tape.tick(at * PERIOD_NS, command(at))
    tape.end()
    assert tape.pairs == [(0, 0), (0, 1), (0, 4), (0, 5), None]
    assert tape.cutter.missed == 2


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.floats(0, 0.4), st.floats(-1, 1)), min_size=1, max_size=80),
)
def test_however_late_ticks_come_frames_are_a_period_apart_and_no_command_is_lost_from_between(
    ticks_per_frame: int, ticks: list[tuple[float, float]]
) -> None:
    tape = Tape(cutter(ticks_per_frame))
    tick_ns = PERIOD_NS // ticks_per_frame
    begun: list[int] = []
    last: list[float] = []
    for at, (lateness, value) in enumerate(ticks):
        if tape.tick(at * tick_ns + int(lateness * tick_ns), command(value)):
            begun.append(at)
        else:
            last[-1] = value
            continue
        last.append(value)
    tape.end()
    assert begun == list(range(0, len(ticks), ticks_per_frame))
    assert [pair[1] for pair in tape.pairs if pair] == [float(v) for v in last]
    assert tape.cutter.missed == 0


@given(st.floats(0, 0.49), st.lists(st.floats(0, 0.74), max_size=80))
def test_at_the_policy_rate_a_tick_that_was_not_skipped_is_a_frame(
    first: float, lateness: list[float]
) -> None:
    tape = Tape(cutter())
    for at, late in enumerate([first, *lateness]):
        assert tape.tick(at * PERIOD_NS + int(late * PERIOD_NS), command(at))
    tape.end()
    assert [pair[1] for pair in tape.pairs if pair] == list(range(len(lateness) + 1))
    assert tape.cutter.missed == 0


def test_actions_are_kept_as_they_were_given() -> None:
    given_action: ActionArray = np.array([1.0, 2.0])
    under_test = cutter()
    under_test.step(0, Command(given_action, command(1).provenance), state(0))
    done = under_test.end().done
    assert done is not None
    assert done.action.tolist() == [1.0, 2.0]
