"""What is wrong is said at once, then now and then, and once more when it is over."""

from __future__ import annotations

from vagus.clock import NS_PER_MS, NS_PER_S
from vagus.control.alarms import REPEAT_NS, WINDOW_NS, Alarm, Alarms, TickCosts

PERIOD_NS = 10 * NS_PER_MS


class Bench:
    """A loop of 100 Hz that makes the ticks it is told to."""

    def __init__(self) -> None:
        self.alarms = Alarms(PERIOD_NS, max_limited_s=5.0)
        self.now_ns = NS_PER_S

    def run(
        self, seconds: float, *, read_ms: float = 1.0, command_ms: float = 1.0, late_ms: float = 0.0
    ) -> list[str]:
        """Tick for so long, each tick as long as its calls and in time but for `late_ms`."""
        said: list[str] = []
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        busy_ns = round((read_ms + command_ms) * NS_PER_MS)
        while self.now_ns < end_ns:
            missed = max(-(-busy_ns // PERIOD_NS), 1) - 1
            costs = TickCosts(
                round(late_ms * NS_PER_MS),
                missed,
                round(read_ms * NS_PER_MS),
                round(command_ms * NS_PER_MS),
            )
            said += self.alarms.note_tick(self.now_ns, costs)
            self.now_ns += (missed + 1) * PERIOD_NS
        return said


def test_an_alarm_speaks_at_once_now_and_then_and_at_the_end() -> None:
    alarm = Alarm()
    assert alarm.well("over") == ""
    told = [alarm.wrong("wrong", second * NS_PER_S) for second in range(25)]
    assert [second for second, text in enumerate(told) if text] == [0, 10, 20]
    assert not alarm.is_due(29 * NS_PER_S)
    assert alarm.is_due(20 * NS_PER_S + REPEAT_NS)
    assert alarm.well("over") == "over"
    assert alarm.well("over") == ""
    assert alarm.wrong("wrong", 26 * NS_PER_S) == "wrong"


def test_a_robot_that_keeps_its_rate_is_not_spoken_of() -> None:
    assert Bench().run(60.0, read_ms=4.0, command_ms=4.0) == []


def test_a_slow_bus_is_named_with_both_rates_and_the_call_that_takes_the_time() -> None:
    bench = Bench()
    (text,) = bench.run(8.0, read_ms=25.0)
    assert text.startswith(
        "the robot keeps a rate of 33.3 instead of 100 Hz, and moves slower: read_state takes 25 ms"
    )
    (text,) = bench.run(6.0, read_ms=25.0)  # ten seconds later
    assert "33.3" in text
    assert bench.run(5.0) == ["the robot keeps its rate of 100 Hz again"]


def test_a_slow_command_is_named_too() -> None:
    (text,) = Bench().run(4.0, command_ms=15.0)
    assert "command takes 15 ms" in text


def test_one_long_call_is_named() -> None:
    bench = Bench()
    bench.run(0.5)
    bench.alarms.note_tick(bench.now_ns, TickCosts(0, 30, 300 * NS_PER_MS, 0))
    (text,) = bench.run(2.0)
    assert "a call into the driver took up to 300 ms" in text


def test_a_computer_that_is_too_busy_is_blamed_where_the_driver_is_quick() -> None:
    bench = Bench()
    said: list[str] = []
    for _ in range(100):
        said += bench.alarms.note_tick(bench.now_ns, TickCosts(3 * PERIOD_NS, 3, NS_PER_MS, NS_PER_MS))
        bench.now_ns += 4 * PERIOD_NS
    (text,) = said
    assert "this computer gives the control thread too little time" in text


def test_ticks_that_begin_late_are_told_though_none_is_missed() -> None:
    bench = Bench()
    (text,) = bench.run(3.0, late_ms=7.0)
    assert text.startswith("100% of the ticks begin late, up to 7 ms")
    assert bench.run(5.0) == ["ticks begin in time again"]


def test_a_limit_is_named_before_it_ends_the_run() -> None:
    alarms = Alarms(PERIOD_NS, max_limited_s=5.0)
    said = [alarms.note_limited(tick * PERIOD_NS, "elbow", "velocity", tick / 100) for tick in range(1, 400)]
    (text,) = [text for text in said if text]
    assert text == (
        "elbow has been kept off its target by its velocity limit for 1.0 s; the robot is stopped in 4.0 s"
    )
    assert alarms.note_limited(5 * NS_PER_S, "", "", 0.0) == "no action is limited for long any more"
    assert alarms.note_limited(6 * NS_PER_S, "", "", 0.0) == ""


def test_what_a_recorder_drops_is_told_while_it_does() -> None:
    alarms = Alarms(PERIOD_NS, max_limited_s=5.0)
    assert alarms.note_dropped(0, {"steps": 100}) == ""
    assert alarms.note_dropped(WINDOW_NS, {"steps_dropped": 3, "images_dropped": 4}) == (
        "the recorder does not keep up: 7 dropped so far"
    )
    assert alarms.note_dropped(2 * WINDOW_NS, {"steps_dropped": 9}) == ""
    assert alarms.note_dropped(3 * WINDOW_NS, {"steps_dropped": 9}) == "the recorder keeps up again"
