"""What is told of a run: every change, and a bounded number of lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.control.narration import KEPT_CHANGES, MOST_LINES, WINDOW_NS, Change, Changes, Narrator
from vagus.types import LinkState, MotionState, Provenance

WAITING, PLAYING, FALLBACK = MotionState.WAITING, MotionState.PLAYING, MotionState.FALLBACK
PAUSED, STOPPED = MotionState.PAUSED, MotionState.STOPPED
STREAMING, DEGRADED, RECONNECTING = LinkState.STREAMING, LinkState.DEGRADED, LinkState.RECONNECTING


class Story:
    """A run that is told as it happens."""

    def __init__(self) -> None:
        self.narrator = Narrator()
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def at(
        self,
        second: float,
        motion: MotionState,
        link: LinkState = STREAMING,
        *,
        episode: int = 0,
        step: int = 0,
        cause: str = "",
    ) -> Story:
        now_ns = round(second * NS_PER_S)
        change = Change(now_ns, link, motion, episode, step)
        for line in [*self.narrator.tell(change, cause), *self.narrator.remind(now_ns, cause)]:
            self.lines.append(line.text)
            if line.is_warning:
                self.warnings.append(line.text)
        return self

    def look(self, second: float, cause: str = "") -> Story:
        said = self.narrator.remind(round(second * NS_PER_S), cause)
        self.lines += [line.text for line in said]
        return self


def test_a_run_is_told_change_by_change() -> None:
    story = Story().at(0, WAITING).at(0.3, PLAYING)
    story.at(5, PLAYING, DEGRADED, step=140, cause="link degraded: an answer is late")
    story.at(
        6, FALLBACK, RECONNECTING, step=180, cause="link reconnecting: 2 requests in a row without an answer"
    )
    story.at(7.2, PLAYING, step=180).at(9, PAUSED, step=190).at(12, WAITING, step=190)
    story.at(12.5, PLAYING, step=190).at(13, STOPPED, step=200)
    assert story.lines == [
        "waiting for a plan",
        "playing from step 0",
        "link degraded: an answer is late",
        "plan ran out at step 180: holding (link reconnecting: 2 requests in a row without an answer)",
        "playing again after 1.2 s",
        "paused",
        "resumed after 3.0 s",
        "playing from step 190",
        "stopped",
    ]
    assert [line for line in story.lines if line.startswith(("link", "plan"))] == story.warnings


def test_without_a_cause_the_link_is_named() -> None:
    story = Story().at(0, PLAYING).at(1, FALLBACK, DEGRADED, step=7)
    assert story.lines[-1] == "plan ran out at step 7: holding (link degraded)"


def test_a_link_that_is_well_again_says_after_how_long() -> None:
    story = Story().at(0, PLAYING).at(1, PLAYING, DEGRADED).at(2.5, PLAYING)
    assert story.lines[-2:] == ["link degraded", "link well again after 1.5 s"]


def test_an_episode_that_has_no_plan_yet_did_not_run_out_of_one() -> None:
    story = Story().at(0, PLAYING).at(3, FALLBACK, episode=1).at(3.2, PLAYING, episode=1)
    assert story.lines == ["playing from step 0", "episode 1 begins", "playing from step 0"]


def test_an_episode_that_begins_in_a_pause_is_told_once() -> None:
    story = Story().at(0, PLAYING).at(3, WAITING, episode=1).at(3.2, PLAYING, episode=1)
    assert story.lines == [
        "playing from step 0",
        "episode 1 begins",
        "waiting for a plan",
        "playing from step 0",
    ]


def test_a_robot_that_still_has_no_plan_says_so_again() -> None:
    story = Story().at(0, PLAYING).at(1, FALLBACK, step=30)
    for second in range(2, 32):
        story.look(second, "link reconnecting: gone")
    assert story.lines[2:] == [
        f"still without a plan after {seconds}.0 s (link reconnecting: gone)" for seconds in (10, 20, 30)
    ]


def test_a_first_plan_that_does_not_come_is_told_too() -> None:
    assert Story().at(0, WAITING).look(10.5).lines[-1] == "still without a plan after 10.5 s"


def test_a_robot_starved_a_quarter_of_the_time_says_so() -> None:
    story = Story()
    for tick in range(40 * 5):  # a second: three quarters of it played
        story.at(tick / 5, FALLBACK if tick % 5 == 4 else PLAYING, step=tick)
    counted = [line for line in story.warnings if "in all" in line]
    assert len(counted) == 3
    assert (
        counted[-1]
        == "in the last 10.0 s the plan ran out 10 times, the robot without one for 2.0 s in all (20%)"
    )
    assert len(story.lines) < 20


def test_what_has_calmed_down_is_told_one_by_one_again() -> None:
    story = Story()
    for tick in range(50):
        story.at(tick / 10, FALLBACK if tick % 2 else PLAYING, step=tick)
    story.at(5, PLAYING)
    for second in range(6, 40):
        story.look(second)
    before = len(story.lines)
    story.at(41, FALLBACK, step=99).at(42, PLAYING, step=99)
    assert story.lines[before:] == [
        "plan ran out at step 99: holding (the answer is late)",
        "playing again after 1.0 s",
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(1, NS_PER_S // 20),
            st.sampled_from(list(MotionState)),
            st.sampled_from(list(LinkState)),
            st.booleans(),
        ),
        min_size=1,
        max_size=400,
    )
)
def test_no_run_fills_the_log(ticks: list[tuple[int, MotionState, LinkState, bool]]) -> None:
    narrator, now_ns, episode, told = Narrator(), 0, 0, 0
    for passed_ns, motion, link, is_new in ticks:
        now_ns += passed_ns
        episode += is_new
        told += len(narrator.tell(Change(now_ns, link, motion, episode, 0))) + len(narrator.remind(now_ns))
    windows = now_ns // WINDOW_NS + 1
    assert told <= windows * MOST_LINES


def provenance(motion: MotionState, link: LinkState = STREAMING, episode: int = 0) -> Provenance:
    return Provenance(None, None, episode, None, None, None, link, motion)


def test_changes_are_kept_and_repetitions_are_not() -> None:
    changes = Changes()
    for tick in range(100):
        changes.note(tick, provenance(FALLBACK if tick == 50 else PLAYING), tick)
    taken = list(changes.take())
    assert [(change.now_ns, change.motion) for change in taken] == [
        (0, PLAYING),
        (50, FALLBACK),
        (51, PLAYING),
    ]
    assert list(changes.take()) == []


@pytest.mark.parametrize("changed", [provenance(PLAYING, DEGRADED), provenance(PLAYING, episode=1)])
def test_link_and_episode_are_changes_too(changed: Provenance) -> None:
    changes = Changes()
    changes.note(0, provenance(PLAYING), 0)
    changes.note(1, changed, 1)
    assert len(list(changes.take())) == 2


def test_changes_that_nobody_takes_are_bounded() -> None:
    changes = Changes()
    for tick in range(3 * KEPT_CHANGES):
        changes.note(tick, provenance(FALLBACK if tick % 2 else PLAYING), tick)
    taken = list(changes.take())
    assert len(taken) == KEPT_CHANGES
    assert taken[-1].now_ns == 3 * KEPT_CHANGES - 1


def test_the_step_of_a_change_is_the_one_that_is_commanded() -> None:
    changes = Changes()
    changes.note(0, Provenance(1, 1, 0, 41, 3, 7, STREAMING, PLAYING), 42)
    changes.note(1, provenance(FALLBACK), 42)
    assert [change.step for change in changes.take()] == [41, 42]
