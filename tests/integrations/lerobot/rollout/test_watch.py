"""Under LeRobot's loop a slow bus, late ticks and lasting limits are told while they last."""

from __future__ import annotations

import re
from collections.abc import Callable

from integrations.cockpit import TICK_NS, Cockpit
from vagus.clock import NS_PER_S
from vagus.specs import Limits


def told(cockpit: Cockpit) -> list[str]:
    return [line.text for line in cockpit.pilot.changes.take_warnings()]


def drive(
    cockpit: Cockpit, seconds: float, *, read_ns: int = 0, after: Callable[[], None] = lambda: None
) -> None:
    """Tick for so long, with a robot that takes `read_ns` to be read; do something `after` each tick."""
    end_ns = cockpit.clock.now + round(seconds * NS_PER_S)

    def read() -> dict[str, object]:
        cockpit.clock.now += read_ns
        return {"a.pos": 0.0, "x.vel": 0.0, "eye": cockpit.picture()}

    while cockpit.clock.now < end_ns:
        cockpit.pilot.note(cockpit.pilot.senses.observe(read))
        cockpit.pilot.act()
        cockpit.clock.now += max(TICK_NS - read_ns, 0)
        after()


def test_a_loop_that_keeps_its_rate_is_not_spoken_of() -> None:
    cockpit = Cockpit()
    cockpit.play()
    drive(cockpit, 10.0, read_ns=TICK_NS // 2)
    assert told(cockpit) == []


def test_a_slow_bus_is_told_with_the_time_that_it_takes_and_when_it_is_over() -> None:
    cockpit = Cockpit()
    cockpit.play()
    drive(cockpit, 5.0, read_ns=3 * TICK_NS)
    (said,) = told(cockpit)
    assert re.search(r"a rate of 10(\.\d)? instead of 30 Hz, .* read_state takes (9\d|100)(\.\d)? ms", said)
    drive(cockpit, 5.0)
    assert told(cockpit) == ["the robot keeps its rate of 30 Hz again"]


def test_a_slow_command_is_told_too() -> None:
    cockpit = Cockpit()
    cockpit.play()

    def send() -> None:
        cockpit.clock.now += 2 * TICK_NS
        cockpit.pilot.watch.sent(2 * TICK_NS)

    drive(cockpit, 5.0, after=send)
    (said,) = told(cockpit)
    assert re.search(r"command takes 6\d\.\d ms", said)


def test_a_loop_with_other_things_to_do_is_told_as_that() -> None:
    cockpit = Cockpit()
    cockpit.play()

    def dawdle() -> None:
        cockpit.clock.now += TICK_NS

    drive(cockpit, 5.0, after=dawdle)
    (said,) = told(cockpit)
    assert said.endswith("LeRobot's loop has other things to do, or this computer gives it too little time")


def test_a_pause_and_an_episode_between_are_no_slow_ticks() -> None:
    cockpit = Cockpit()
    cockpit.play()
    for _ in range(20):
        drive(cockpit, 0.3)
        cockpit.pilot.pause()
        cockpit.clock.now += 3 * TICK_NS
        cockpit.pilot.resume()
        drive(cockpit, 0.3)
        cockpit.clock.now += NS_PER_S  # a reset phase, a disk
    assert told(cockpit) == []


def test_a_limit_that_keeps_an_action_off_its_target_is_told_before_it_ends_the_rollout() -> None:
    cockpit = Cockpit(limits=Limits(upper=0.5))
    cockpit.play()
    drive(cockpit, 1.0)
    (said,) = told(cockpit)
    assert said.startswith("a.pos has been kept off its target by its position limit")
    assert "limited for longer" in cockpit.pilot.failure
