"""One robot whose brain is a foreign server, through everything that can happen to that server."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from process.foreign_rig import ADDRESSES, OPTIONS, Foreign, profile_in
from process.rig import (
    Outcome,
    Rig,
    await_fresh,
    check_safe,
    outcome_of,
    rig_in,
    rows_so_far,
    stop_robot,
    wait_until,
)
from vagus.cli.exit_code import ExitCode
from vagus.clock import NS_PER_S, monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(420), pytest.mark.slow]

BUFFER = ("--buffer-time-s", "0.5", "--backoff-max-s", "2", "--max-offline-s", "40")
SLOW_S = 2.0
SETTLED_S = 0.5
IN_FLIGHT_NS = NS_PER_S // 2
"""A question of the last moment before a fault may still be answered."""
SAYING = ("openpi", "gr00t", "astribot", "lerobot_zenoh", "lerobot_zenoh_draft")
"""Protocols whose servers say something about themselves."""
WISHES = ("nan", "shape", "garbage", "error", "busy")

Act = Callable[[Foreign], None]


@dataclass(frozen=True)
class Fault:
    """What was done, and when."""

    name: str
    begin_ns: int
    end_ns: int


@dataclass(frozen=True)
class Drill:
    """A run through all faults; the last is a server with other metadata."""

    outcome: Outcome
    faults: list[Fault]
    changed_ns: int


class Driller:
    """A foreign server, a served policy that asks it, and a robot."""

    def __init__(self, rig: Rig, protocol: str) -> None:
        self._rig = rig
        folder = rig.folder / protocol
        folder.mkdir()
        self.foreign = Foreign(folder, protocol)
        options = (
            "profile",
            str(profile_in(folder, protocol)),
            "timeout_s",
            "1.0",
            *OPTIONS.get(protocol, ()),
        )
        rig.serve(protocol, "--service-name", protocol, policy=self.foreign.address, options=options)
        self.robot = rig.run(protocol, *BUFFER, "--service", f"wave/main/{protocol}")
        self.faults: list[Fault] = []

    def change(self) -> int:
        """Kill the server and start one with other metadata; return when the first was gone."""
        self.foreign.kill()
        gone_ns = monotonic_ns()
        self.foreign.start("b")
        return gone_ns

    def await_hold(self, begun_ns: int) -> None:
        """Wait until the robot has played what it got before `begun_ns`, and stands."""

        def holds() -> bool:
            assert self.robot.exit_code is None, self.robot.output
            rows = rows_so_far(self._rig.folder, self.foreign.protocol, last=10)
            return bool(rows) and all(
                row.t_ns > begun_ns + IN_FLIGHT_NS and row.motion == "fallback" and not row.is_moving
                for row in rows
            )

        wait_until(holds, lambda: f"{self.foreign.protocol} holds")

    def await_fresh(self) -> None:
        """Wait until the robot moves by an observation from after the last fault."""
        end_ns = self.faults[-1].end_ns if self.faults else monotonic_ns()
        await_fresh(self._rig.folder, self.robot, end_ns)


def during(drillers: Sequence[Driller], name: str, begin: Act, end: Act) -> None:
    """Do one thing to all servers until their robots hold, and wait until all go on."""
    for driller in drillers:
        begin(driller.foreign)
    begun_ns = monotonic_ns()
    for driller in drillers:
        driller.await_hold(begun_ns)
    ended_ns = monotonic_ns()  # before: a robot may move again while this process is not scheduled
    with ThreadPoolExecutor(len(drillers)) as starters:  # one after the other, the last would be too late
        list(starters.map(end, [driller.foreign for driller in drillers]))
    for driller in drillers:
        driller.faults.append(Fault(name, begun_ns, ended_ns))
    for driller in drillers:
        driller.await_fresh()
    time.sleep(SETTLED_S)


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Drill]]:
    """Both protocols at once: most of the time is spent waiting."""
    drillers: list[Driller] = []
    with rig_in(tmp_path_factory.mktemp("foreign")) as rig:
        try:
            drillers += [Driller(rig, protocol) for protocol in ADDRESSES]
            for driller in drillers:
                driller.await_fresh()
            during(drillers, "kill", Foreign.kill, Foreign.start)
            during(drillers, "hang", Foreign.stop, Foreign.go_on)
            for driller in drillers:
                driller.foreign.wish("slow")  # not a fault: the robot goes on
            time.sleep(SLOW_S)
            for word in WISHES:
                during(drillers, word, partial(Foreign.wish, word=word), Foreign.wish)
            changed_ns = [driller.change() for driller in drillers]
            for driller in drillers:
                if driller.foreign.protocol not in SAYING:  # it has loaded what it was told to load, again
                    await_fresh(rig.folder, driller.robot, changed_ns[-1])
                    driller.robot.signal(signal.SIGINT)
            yield {
                driller.foreign.protocol: Drill(
                    outcome_of(driller.robot, timeout_s=60.0), driller.faults, at_ns
                )
                for driller, at_ns in zip(drillers, changed_ns, strict=True)
            }
        finally:
            for driller in drillers:
                driller.foreign.kill()


@pytest.fixture(params=ADDRESSES)
def drill(request: pytest.FixtureRequest, drills: Mapping[str, Drill]) -> Drill:
    """The run of one protocol."""
    return drills[request.param]


def test_nothing_unsafe_was_commanded(drill: Drill) -> None:
    check_safe(drill.outcome)


def test_in_each_fault_the_robot_has_held_and_nothing_of_it_was_commanded(drill: Drill) -> None:
    assert [fault.name for fault in drill.faults] == ["kill", "hang", *WISHES]
    for fault in drill.faults:
        rows = [row for row in drill.outcome.rows if fault.begin_ns <= row.t_ns < fault.end_ns]
        assert rows[-1].motion == "fallback", (fault, rows[-1])
        late = [row for row in rows if row.is_plan_action and row.captured_ns > fault.begin_ns + IN_FLIGHT_NS]
        assert not late, (fault, late)


@pytest.mark.parametrize("protocol", SAYING)
def test_a_server_with_other_metadata_gives_no_action_and_the_robot_is_stopped(
    drills: Mapping[str, Drill], protocol: str
) -> None:
    drill = drills[protocol]
    outcome = drill.outcome
    assert outcome.run.exit_code == ExitCode.DEAD, outcome.output
    assert not [row for row in outcome.plan_rows if row.captured_ns >= drill.changed_ns]
    assert "something else about itself" in " ".join(outcome.run.refusals)
    assert outcome.rows[-1].t_ns - drill.changed_ns < 60 * NS_PER_S


def test_a_robot_moves_to_another_server_of_the_same_identity_when_its_own_is_gone(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (Foreign(folder, "openpi") for folder in folders)
    options = ("profile", str(profile_in(tmp_path, "openpi")), "timeout_s", "1.0")
    try:
        with rig_in(tmp_path) as rig:
            rig.serve("one", policy=one.address, options=options)
            robot = rig.run("arm", "--buffer-time-s", "1.2")
            await_fresh(rig.folder, robot, monotonic_ns())
            rig.serve("two", policy=two.address, options=options)
            one.kill()
            gone_ns = monotonic_ns()
            await_fresh(rig.folder, robot, gone_ns)
            outcome = stop_robot(robot)
    finally:
        one.kill()
        two.kill()
    check_safe(outcome)
    assert outcome.run.counters["sessions_opened"] == 2
    assert "session with one-" in outcome.output


def test_a_robot_goes_on_with_another_server_of_its_deployment_when_its_own_is_killed(tmp_path: Path) -> None:
    servers: list[Foreign] = []
    with rig_in(tmp_path) as rig:
        try:
            for name in ("one", "two"):
                (tmp_path / name).mkdir()
                place = ("--router", rig.endpoint, "--instance", name)
                servers.append(Foreign(tmp_path / name, "lerobot_zenoh", *place))
            options = ("profile", str(profile_in(tmp_path, "lerobot_zenoh")), "timeout_s", "1.0")
            served = rig.serve(policy=servers[0].address, options=(*options, *OPTIONS["lerobot_zenoh"]))
            robot = rig.run("arm", "--buffer-time-s", "1.2")
            await_fresh(rig.folder, robot, monotonic_ns())
            servers[0].kill()
            gone_ns = monotonic_ns()
            await_fresh(rig.folder, robot, gone_ns)
            outcome = stop_robot(robot)
        finally:
            for server in servers:
                server.kill()
    check_safe(outcome)
    assert re.findall(r"session at server (\w+)", served.output) == ["one", "two"]
    assert not outcome.starved_between(gone_ns, outcome.rows[-1].t_ns)
    assert outcome.run.counters["sessions_opened"] == 1
