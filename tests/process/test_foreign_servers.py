"""One robot whose brain is a foreign server, through everything that can happen to that server."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from process.rig import Outcome, Rig, await_fresh, check_safe, outcome_of, rig_in
from vagus.cli.exit_code import ExitCode
from vagus.clock import NS_PER_S, monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

SERVER = Path(__file__).parents[1] / "foreign_server.py"
ADDRESSES = {"openpi": "openpi+ws", "gr00t": "gr00t+tcp"}
KEYS = {
    "openpi": ("observation/state", "actions", "prompt"),
    "gr00t": ("[state, joints]", "[action, joints]", "[language, annotation.human.task_description]"),
}
JOINTS = "[joint_1, joint_2, joint_3, joint_4, joint_5, joint_6]"
BUFFER = ("--buffer-time-s", "0.5", "--backoff-max-s", "2", "--max-offline-s", "12")
FAULT_S = 2.5
"""Longer than a plan of 2 s."""
SETTLED_S = 0.5
WISHES = ("nan", "shape", "garbage", "error", "slow", "twice")


def profile_in(folder: Path, protocol: str) -> Path:
    """Write the profile of the simulated arm."""
    state, actions, instruction = KEYS[protocol]
    path = folder / f"{protocol}.yaml"
    path.write_text(
        f"protocol: {protocol}\nrobot_type: sim\nrate_hz: 30\nhorizon: 60\ninstruction: {instruction}\n"
        f"state:\n  - {{key: {state}, names: {JOINTS}, unit: rad}}\n"
        f"actions:\n  - {{key: {actions}, names: {JOINTS}, unit: rad}}\n"
    )
    return path


class Foreign:
    """The foreign server's process."""

    def __init__(self, folder: Path, protocol: str) -> None:
        self.protocol = protocol
        self._wish = folder / "wish"
        self.wish()
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """Address for `--policy`."""
        return f"{ADDRESSES[self.protocol]}://127.0.0.1:{self.port}"

    def wish(self, word: str = "") -> None:
        """Say how requests are answered from now on."""
        self._wish.write_text(word)

    def start(self, metadata: str = "a") -> None:
        """Start it, and wait until it listens."""
        told = [self.protocol, "--port", str(self.port), "--wish", str(self._wish), "--metadata", metadata]
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), *told], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[-1])

    def stop(self) -> None:
        """Stop the process where it is."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


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
        options = ("profile", str(profile_in(folder, protocol)), "timeout_s", "1.0")
        rig.serve(protocol, "--service-name", protocol, policy=self.foreign.address, options=options)
        self.robot = rig.run(protocol, *BUFFER, "--service", f"wave/main/{protocol}")
        self.faults: list[Fault] = []

    def change(self) -> int:
        """Kill the server and start one with other metadata; return when the first was gone."""
        self.foreign.kill()
        gone_ns = monotonic_ns()
        self.foreign.start("b")
        return gone_ns

    def await_fresh(self) -> None:
        """Wait until the robot moves by an observation from after the last fault."""
        end_ns = self.faults[-1].end_ns if self.faults else monotonic_ns()
        await_fresh(self._rig.folder, self.robot, end_ns)


def during(drillers: Sequence[Driller], name: str, begin: Act, end: Act) -> None:
    """Do one thing to all servers, for a while, and wait until all robots go on."""
    begun_ns = monotonic_ns()
    for driller in drillers:
        begin(driller.foreign)
    time.sleep(FAULT_S)
    for driller in drillers:
        end(driller.foreign)
        driller.faults.append(Fault(name, begun_ns, monotonic_ns()))
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
            for word in WISHES:
                during(drillers, word, partial(Foreign.wish, word=word), Foreign.wish)
            changed_ns = [driller.change() for driller in drillers]
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


@pytest.mark.parametrize("name", ["kill", "hang", "nan", "shape", "garbage", "error"])
def test_without_an_answer_the_robot_plays_its_plan_and_holds(drill: Drill, name: str) -> None:
    (fault,) = [fault for fault in drill.faults if fault.name == name]
    late = [row for row in drill.outcome.rows if fault.begin_ns <= row.t_ns < fault.end_ns]
    assert late[-1].motion == "fallback", late[-1]
    assert not any(row.is_moving for row in late[-10:])


def test_a_server_with_other_metadata_gives_no_action_and_the_robot_is_stopped(drill: Drill) -> None:
    outcome = drill.outcome
    assert outcome.run.exit_code == ExitCode.DEAD, outcome.output
    assert not [row for row in outcome.plan_rows if row.captured_ns >= drill.changed_ns]
    assert "something else about itself" in " ".join(outcome.run.refusals)
    assert outcome.rows[-1].t_ns - drill.changed_ns < 60 * NS_PER_S
