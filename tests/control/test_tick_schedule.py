"""The beat is absolute, and no robot sees a burst, whenever within a call it gets its command."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from vagus.control.tick_schedule import WINDOW_TICKS, Tick, TickSchedule

PERIOD_NS = 1000

TICKS = st.lists(
    st.tuples(
        st.integers(0, 3 * PERIOD_NS),  # how late the thread wakes
        st.integers(0, 3 * PERIOD_NS),  # how long the driver's call takes
        st.floats(0.0, 1.0),  # where in it the robot gets the command
    ),
    min_size=30,
    max_size=80,
)


@given(TICKS)
@example([(0, 1200, 1.0)] + [(0, 0, 0.0)] * 30)
def test_no_robot_sees_more_commands_than_fit_and_one(ticks: list[tuple[int, int, float]]) -> None:
    beat = TickSchedule(PERIOD_NS)
    beat.begin(0)
    now_ns, seen_ns = 0, list[float]()
    for late_ns, takes_ns, share in ticks:
        deadline_ns, _ = beat.next_ns()
        now_ns = max(now_ns, deadline_ns) + late_ns
        beat.wake(now_ns)
        called_ns, now_ns = now_ns, now_ns + takes_ns
        seen_ns.append(called_ns + share * takes_ns)
        beat.commanded(called_ns, now_ns)
    for first, last in zip(seen_ns, seen_ns[WINDOW_TICKS + 1 :], strict=False):
        assert last - first >= WINDOW_TICKS * PERIOD_NS


@given(TICKS)
def test_every_tick_begins_at_or_after_a_deadline_of_its_own(ticks: list[tuple[int, int, float]]) -> None:
    beat = TickSchedule(PERIOD_NS)
    beat.begin(0)
    now_ns, counted, before_ns = 0, 0, -1
    for late_ns, takes_ns, _ in ticks:
        deadline_ns, skipped = beat.next_ns()
        now_ns = max(now_ns, deadline_ns) + late_ns
        tick = beat.wake(now_ns)
        counted += skipped + tick.missed + 1
        assert deadline_ns > before_ns
        assert deadline_ns % PERIOD_NS == 0
        assert (counted - 1) * PERIOD_NS <= now_ns < counted * PERIOD_NS
        before_ns = deadline_ns
        beat.commanded(now_ns, now_ns + takes_ns)
        now_ns += takes_ns


def test_a_driver_that_takes_nearly_all_of_every_tick_loses_none() -> None:
    beat = TickSchedule(PERIOD_NS)
    beat.begin(0)
    for number in range(100):
        assert beat.next_ns() == (number * PERIOD_NS, 0)
        assert beat.wake(number * PERIOD_NS).missed == 0
        beat.commanded(number * PERIOD_NS, number * PERIOD_NS + 950)


def test_the_first_tick_is_due_when_the_beat_begins() -> None:
    beat = TickSchedule(PERIOD_NS)
    beat.begin(5 * PERIOD_NS)
    assert beat.next_ns() == (5 * PERIOD_NS, 0)
    assert beat.wake(5 * PERIOD_NS - 1) == Tick(lateness_ns=0, missed=0)
    assert beat.next_ns() == (6 * PERIOD_NS, 0)


def test_after_a_command_just_before_a_deadline_the_next_one_is_taken() -> None:
    beat = TickSchedule(PERIOD_NS)
    beat.begin(0)
    beat.wake(0)
    beat.commanded(900, 900)
    assert beat.next_ns() == (2 * PERIOD_NS, 1)
