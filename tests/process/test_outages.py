"""One robot through everything that can happen to server, router and network, judged by its own recording."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from process.rig import Outcome, Rig, await_fresh, check_safe, kill, rig_in, stop_robot
from vagus.cli.exit_code import ExitCode
from vagus.clock import monotonic_ns
from vagus.transport.faults import FaultProxy, Faults

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

HANG_S = 4.0
CUT_S = 2.0
HOLE_S = 5.0
"""Longer than the lease: the transport is lost."""
CALM_S = 1.5
BUFFER = ("--buffer-time-s", "0.5", "--backoff-max-s", "2")


@dataclass(frozen=True)
class Fault:
    """What was done, and when."""

    name: str
    begin_ns: int
    end_ns: int
    must_starve: bool = True
    """It lasts longer than any plan."""


@dataclass(frozen=True)
class Drill:
    """A run through all faults."""

    outcome: Outcome
    faults: list[Fault]


class Driller:
    """Does one thing after another to a running system, and waits for the robot's recovery each time."""

    def __init__(self, rig: Rig, proxy: FaultProxy) -> None:
        self.rig = rig
        self.proxy = proxy
        self.faults: list[Fault] = []
        self.server = rig.serve(options=("cameras", "True", "horizon", "30"))
        self.robot = rig.run("arm", *BUFFER, port=proxy.port)
        await_fresh(rig.folder, self.robot, monotonic_ns())

    def during(self, name: str, act: Callable[[], None], *, must_starve: bool = True) -> None:
        begin_ns = monotonic_ns()
        act()
        end_ns = monotonic_ns()
        self.faults.append(Fault(name, begin_ns, end_ns, must_starve))
        await_fresh(self.rig.folder, self.robot, end_ns)
        time.sleep(CALM_S)

    def kill_server(self) -> None:
        kill(self.server)
        time.sleep(1.0)
        self.server = self.rig.serve("b", options=("cameras", "True", "horizon", "30"))

    def hang_server(self) -> None:
        self.server.signal(signal.SIGSTOP)
        time.sleep(HANG_S)
        self.server.signal(signal.SIGCONT)

    def cut(self) -> None:
        self.proxy.cut()
        time.sleep(CUT_S)
        self.proxy.heal()

    def black_hole(self) -> None:
        self.proxy.set(Faults(black_hole=True))
        time.sleep(HOLE_S)
        self.proxy.heal()

    def stall(self) -> None:
        self.proxy.set(Faults(stall=True))
        time.sleep(CUT_S)
        self.proxy.heal()

    def slow(self) -> None:
        self.proxy.set(Faults(delay_ms=100, jitter_ms=50))
        time.sleep(CUT_S)
        self.proxy.heal()

    def kill_router(self) -> None:
        kill(self.rig.router)
        time.sleep(1.0)
        self.rig.restart_router()


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder: Path = tmp_path_factory.mktemp("drill")
    with rig_in(folder) as rig, FaultProxy("127.0.0.1", rig.port) as proxy:
        driller = Driller(rig, proxy)
        driller.during("kill -9 of the server", driller.kill_server)
        driller.during("a server that hangs", driller.hang_server)
        driller.during("a cut network", driller.cut)
        driller.during("a black hole", driller.black_hole)
        driller.during("a network that holds everything back", driller.stall)
        driller.during("a slow network", driller.slow, must_starve=False)
        driller.during("kill -9 of the router", driller.kill_router)
        yield Drill(stop_robot(driller.robot), driller.faults)


def test_through_all_of_it_the_robot_is_commanded_safely(drill: Drill) -> None:
    check_safe(drill.outcome)
    assert drill.outcome.run.error == ""
    assert drill.outcome.run.exit_code == ExitCode.INTERRUPTED


def test_it_recovers_from_each_by_itself(drill: Drill) -> None:
    for fault in drill.faults:
        assert drill.outcome.first_fresh_ns(fault.end_ns) is not None, fault


def test_each_really_took_the_plan_away(drill: Drill) -> None:
    ends = [fault.begin_ns for fault in drill.faults[1:]] + [drill.outcome.rows[-1].t_ns]
    for fault, end_ns in zip(drill.faults, ends, strict=True):
        starved = drill.outcome.starved_between(fault.begin_ns, end_ns)
        assert bool(starved) or not fault.must_starve, fault


def test_a_fallback_is_followed_only_by_what_was_seen_after_it(drill: Drill) -> None:
    moves = [row for row in drill.outcome.rows if row.is_moving and not row.is_plan_action]
    assert moves, "no fallback moved the robot, so this run shows nothing"


def test_sessions_were_opened_anew(drill: Drill) -> None:
    epochs = {row.epoch for row in drill.outcome.plan_rows}
    assert len(epochs) >= 4, epochs
