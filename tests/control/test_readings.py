"""One reading alone decides nothing; two bad ones in a row are not trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.clock import NS_PER_S
from vagus.control.config import SensesConfig
from vagus.control.readings import GOOD_PER_BAD, UNSETTLED_S, Reading, Readings
from vagus.errors import RobotError
from vagus.specs import ActionFeature, ActionKind, Limits

TICK_S = 0.02
ARM = (
    ActionFeature("a", "rad", feedback="a.pos", limits=Limits(-2.0, 2.0, velocity=1.0)),
    ActionFeature("b", "rad", feedback="b.pos", limits=Limits(velocity=1.0)),
    ActionFeature("c", "rad", feedback="c.pos"),
    ActionFeature("v", "rad/s", kind=ActionKind.VELOCITY, feedback="v"),
)
NAMES = ("v", "c.pos", "b.pos", "a.pos")  # another order than the actions'
STILL = (0.0, 0.0, 0.0, 0.0)


class Bench:
    """Reads once per tick."""

    def __init__(self, config: SensesConfig | None = None) -> None:
        self.readings = Readings(ARM, NAMES, config or SensesConfig())
        self.now_ns = NS_PER_S
        self.is_driven = True

    def take(self, value: object, ticks: float = 1.0) -> Reading:
        self.now_ns += round(ticks * TICK_S * NS_PER_S)
        return self.readings.take(value, self.now_ns, is_driven=self.is_driven)

    def begin(self, state: Sequence[float] = STILL) -> Bench:
        """Stand at `state`, trusted."""
        for _ in range(3):
            self.take(state)
        return self


def joint_a(value: float) -> tuple[float, ...]:
    return (0.0, 0.0, 0.0, value)


class Trap:
    """Raises when it is looked at."""

    def __array__(self, *_: object, **__: object) -> object:
        raise RuntimeError("the bus is closed")


BAD = {
    "nan": (0.0, 0.0, 0.0, np.nan),
    "inf": (np.inf, 0.0, 0.0, 0.0),
    "too large for float32": (0.0, 1e300, 0.0, 0.0),
    "short": (0.0,),
    "deep": [[0.0, 0.0, 0.0, 0.0]],
    "nothing": None,
    "words": ("a", "b", "c", "d"),
    "numbers as words": ("1", "2", "3", "4"),
    "ragged": ((0.0, 1.0), 2.0, 3.0, 4.0),
    "a joint that jumps": joint_a(1.0),
    "a joint without a range that jumps": (0.0, 0.0, 0.5, 0.0),
    "an encoder that wraps": joint_a(2 * np.pi),
    "degrees": joint_a(45.0),
    "a number without end": (10**400, 0.0, 0.0, 0.0),
    "masked": np.ma.masked_array(np.zeros(4), [False, False, False, True]),
    "an object that raises": Trap(),
}


@pytest.mark.parametrize("is_driven", [True, False])
@pytest.mark.parametrize("value", [14.1, -14.1, 1e30])
def test_where_no_joint_can_stand_nothing_is_started_from(value: float, is_driven: bool) -> None:
    bench = Bench()
    bench.is_driven = is_driven
    assert not bench.take(joint_a(value)).is_trusted
    with pytest.raises(
        RobotError, match=r"a says that it stands at .* outside its bounds by more than 3 times"
    ):
        bench.take(joint_a(value))


def test_a_joint_may_be_switched_on_outside_its_bounds() -> None:
    assert Bench().begin(joint_a(13.9)).take(joint_a(13.9)).is_trusted
    believing = Bench(SensesConfig(jump_factor=0.0))
    assert believing.begin(joint_a(1e6)).take(joint_a(1e6)).is_trusted


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_one_bad_reading_costs_its_tick_and_two_in_a_row_end_the_run(value: object) -> None:
    bench = Bench().begin(joint_a(0.1))
    reading = bench.take(value)
    assert not reading.is_trusted
    assert reading.state.tolist() == pytest.approx(joint_a(0.1))
    assert bench.readings.bad == 1
    assert bench.take(joint_a(0.1)).is_trusted
    bench.take(value)
    with pytest.raises(RobotError, match="in a row; max_bad_readings is 1"):
        bench.take(value)


def test_a_reading_that_is_not_to_be_had_counts_the_same() -> None:
    bench = Bench().begin(joint_a(0.1))
    assert bench.readings.missed("read_state: bus lost").state.tolist() == pytest.approx(joint_a(0.1))
    with pytest.raises(RobotError, match="bus lost"):
        bench.readings.missed("read_state: bus lost")


def test_a_setting_says_how_many_in_a_row() -> None:
    for max_bad in (0, 3):
        bench = Bench(SensesConfig(max_bad_readings=max_bad)).begin()
        for _ in range(max_bad):
            bench.take(None)
        with pytest.raises(RobotError):
            bench.take(None)


@pytest.mark.parametrize("value", [(0.0,), None, "text"])
def test_a_first_reading_of_a_wrong_shape_is_an_error_at_once(value: object) -> None:
    with pytest.raises(RobotError, match="wanted 4 finite numbers"):
        Bench().take(value)


def test_every_second_reading_bad_does_not_go_on_for_ever() -> None:
    bench = Bench().begin()

    def go_on() -> None:
        for _ in range(10 * GOOD_PER_BAD):
            bench.take(None)
            bench.take(STILL)

    with pytest.raises(RobotError, match="too many of the last"):
        go_on()


def test_one_bad_reading_in_a_hundred_goes_on_for_ever() -> None:
    bench = Bench().begin()
    for number in range(20_000):
        bench.take(None if number % 100 == 0 else STILL)
    assert bench.readings.bad == 200


def test_a_jump_that_lasts_ends_a_run_with_the_joint_and_both_values() -> None:
    bench = Bench().begin(joint_a(0.25))
    bench.take(joint_a(1.5))
    with pytest.raises(RobotError, match=r"a went from 0\.25 to 1\.5 within"):
        bench.take(joint_a(1.5))


def test_a_joint_may_lag_behind_its_command_and_catch_up_at_once() -> None:
    """A driver that gives news twice a second is asked fifty times a second."""
    bench = Bench().begin()
    for tick in range(100):
        goal = 0.015 * tick
        seen = 0.015 * (tick // 25) * 25
        assert bench.take(joint_a(seen)).is_trusted
        bench.readings.commanded(np.array([goal, 0.0, 0.0, 0.0]))
    assert bench.readings.bad == 0


def test_a_way_to_the_command_is_no_way_past_it() -> None:
    bench = Bench().begin()
    bench.readings.commanded(np.array([0.5, 0.0, 0.0, 0.0]))
    assert bench.take(joint_a(0.6)).is_trusted
    assert not bench.take(joint_a(1.4)).is_trusted


def test_a_gap_without_readings_is_time_to_move() -> None:
    bench = Bench(SensesConfig(max_bad_readings=30)).begin()
    assert not bench.take(joint_a(0.6)).is_trusted
    assert bench.take(joint_a(0.6), ticks=10).is_trusted


def test_what_has_no_velocity_limit_and_what_is_no_position_may_jump() -> None:
    bench = Bench().begin()
    assert bench.take((5.0, 9.0, 0.0, 0.0)).is_trusted


def test_an_angle_without_ends_may_go_round_and_jump_no_further_than_others() -> None:
    yaw = ActionFeature("yaw", "rad", feedback="yaw", limits=Limits(velocity=1.0), continuous=True)
    readings = Readings([yaw], ["yaw"], SensesConfig())
    for tick in range(1000):
        angle = (0.02 * tick + np.pi) % (2 * np.pi) - np.pi
        reading = readings.take([angle], tick * NS_PER_S // 50, is_driven=True)
        assert reading.is_trusted or tick == 0
        readings.commanded(np.array([angle]))
    assert not readings.take([angle + 1.5], 20 * NS_PER_S, is_driven=True).is_trusted


def test_jumps_are_believed_where_that_is_asked_for() -> None:
    bench = Bench(SensesConfig(jump_factor=0.0)).begin()
    assert bench.take(joint_a(100.0)).is_trusted


def test_while_nobody_drives_it_a_robot_may_be_anywhere_once_two_readings_agree() -> None:
    bench = Bench().begin()
    bench.is_driven = False
    moved = bench.take(joint_a(1.5))
    assert not moved.is_trusted
    again = bench.take(joint_a(1.5))
    assert again.is_trusted
    assert again.steady.tolist() == pytest.approx(joint_a(1.5))
    assert bench.readings.bad == 0


def test_a_robot_that_jumps_about_undriven_is_given_up() -> None:
    bench = Bench()
    bench.is_driven = False

    def go_on() -> None:
        for tick in range(round(3 * UNSETTLED_S / TICK_S)):
            bench.take(joint_a(float(tick % 2) * 1.9))

    with pytest.raises(RobotError, match="no two readings fit each other"):
        go_on()


def test_the_first_reading_counts_when_the_second_agrees() -> None:
    bench = Bench()
    assert not bench.take(STILL).is_trusted
    assert bench.take(STILL).is_trusted
    glitch = Bench()
    glitch.is_driven = False
    assert not glitch.take(joint_a(1.9)).is_trusted
    assert not glitch.take(STILL).is_trusted
    assert glitch.take(STILL).is_trusted
    assert glitch.readings.bad == 0


def test_put_elsewhere_a_robot_begins_anew() -> None:
    bench = Bench().begin()
    bench.readings.forget()
    assert not bench.take(joint_a(1.9)).is_trusted
    assert bench.take(joint_a(1.9)).is_trusted


def test_what_is_taken_belongs_to_the_taker() -> None:
    bench = Bench().begin()
    buffer = np.zeros(4, dtype=np.float32)
    reading = bench.take(buffer)
    buffer[:] = 7.0
    assert reading.state.tolist() == [0.0] * 4


@settings(max_examples=100, deadline=None)
@given(
    place=st.integers(3, 30),
    glitch=st.one_of(st.floats(-1e6, 1e6), st.floats(-0.3, 0.3)),
    pace=st.floats(-0.9, 0.9),
    is_driven=st.booleans(),
)
def test_never_is_one_wrong_reading_of_a_joint_held_or_started_from(
    place: int, glitch: float, pace: float, is_driven: bool
) -> None:
    """Whatever its size and whenever it comes, the pose to hold is one of the last three true ones."""
    bench = Bench()
    bench.is_driven = is_driven
    for tick in range(34):
        truth = pace * TICK_S * tick
        reading = bench.take(joint_a(glitch if tick == place else truth))
        if reading.is_trusted:
            assert abs(reading.steady[3] - truth) <= 2 * TICK_S * abs(pace) + 1e-5


@settings(max_examples=50, deadline=None)
@given(
    pace=st.floats(-1.0, 1.0),
    noise=st.lists(st.floats(-0.02, 0.02), min_size=200, max_size=200),
    gaps=st.lists(st.integers(1, 20), min_size=200, max_size=200),
)
def test_never_is_a_joint_doubted_that_keeps_its_velocity_limit(
    pace: float, noise: list[float], gaps: list[int]
) -> None:
    """However noisy its encoder and however late its ticks."""
    bench = Bench().begin()
    place = 0.0
    for shake, gap in zip(noise, gaps, strict=True):
        place = float(np.clip(place + pace * gap * TICK_S, -2.0, 2.0))
        assert bench.take(joint_a(place + shake), ticks=gap).is_trusted


def test_a_driver_that_does_not_know_at_first_where_the_robot_is_costs_a_tick() -> None:
    bench = Bench()
    unknown = bench.take((np.nan,) * 4)
    assert not unknown.is_trusted
    assert np.isnan(unknown.state).all()
    bench.take(STILL)
    assert bench.take(STILL).is_trusted
    assert bench.readings.bad == 1


def test_ten_good_readings_make_up_for_a_bad_one_and_nine_do_not() -> None:
    enough, short = Bench().begin(), Bench().begin()
    for _ in range(1000):
        enough.take(None)
        for _ in range(10):
            enough.take(STILL)

    def go_on() -> None:
        for _ in range(1000):
            short.take(None)
            for _ in range(9):
                short.take(STILL)

    with pytest.raises(RobotError, match="too many of the last"):
        go_on()


@pytest.mark.parametrize(("max_bad", "borne"), [(1, 11), (10, 22)])
def test_of_every_second_reading_so_many_may_be_bad(max_bad: int, borne: int) -> None:
    bench = Bench(SensesConfig(max_bad_readings=max_bad)).begin()
    for _ in range(borne):
        bench.take(None)
        bench.take(STILL)
    with pytest.raises(RobotError, match=f"one of {borne + 1} bad readings"):
        bench.take(None)


def test_a_robot_that_begins_with_a_bad_reading_has_as_many_left() -> None:
    bench = Bench()
    for _ in range(11):
        bench.take((np.nan,) * 4)
        bench.take(STILL)
    with pytest.raises(RobotError, match="one of 12 bad readings"):
        bench.take(None)


def test_while_nobody_drives_it_a_robot_is_not_on_its_way_to_where_it_was_sent() -> None:
    driven, let_go = Bench().begin(), Bench().begin()
    for bench in (driven, let_go):
        bench.readings.commanded(np.array([1.5, 0.0, 0.0, 0.0]))
        bench.take(STILL)
    let_go.is_driven = False
    for bench in (driven, let_go):
        bench.take(joint_a(0.01))
    assert driven.take(joint_a(1.2)).is_trusted
    assert not let_go.take(joint_a(1.2)).is_trusted


def test_put_elsewhere_nothing_from_before_is_held() -> None:
    bench = Bench().begin()
    bench.readings.forget()
    bench.take(joint_a(1.90))
    assert bench.take(joint_a(1.92)).steady.tolist() == pytest.approx(joint_a(1.92))
    assert bench.take(joint_a(1.91)).steady.tolist() == pytest.approx(joint_a(1.91))
    assert bench.take(joint_a(1.93)).steady.tolist() == pytest.approx(joint_a(1.92))


def jump_about(bench: Bench, seconds: float) -> None:
    for tick in range(round(seconds / TICK_S)):
        bench.take(joint_a(float(tick % 2) * 1.9))


def test_an_undriven_robot_may_jump_about_for_five_seconds() -> None:
    bench = Bench()
    bench.is_driven = False
    bench.now_ns = 1000 * NS_PER_S
    jump_about(bench, 4.92)
    with pytest.raises(RobotError, match="no two readings fit each other for 5 s"):
        jump_about(bench, 0.2)


def test_an_undriven_robot_that_was_at_rest_meanwhile_may_be_moved_again() -> None:
    bench = Bench()
    bench.is_driven = False
    for _ in range(3):
        jump_about(bench, 3.0)
        for _ in range(100):
            bench.take(STILL)
