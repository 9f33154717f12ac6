"""What was recorded, again, with real processes: as a policy, as a robot, and against another build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from process.rig import Rig, call, check_one_line, outcome_of, rig_in, summary_of
from vagus.cli.exit_code import ExitCode
from vagus.replay.forecast import Forecast
from vagus.replay.resend import ResendReport
from vagus.replay.robot import ReplayReport
from vagus.transport.faults import FaultProxy, Faults

REPEATED_RAD = 1e-9
"""Largest difference of a command computed again from the same chunks at the same times."""
DELAY_MS = 450.0
"""Each way: who asks as soon as it is answered has no plan when two answers take longer than a chunk."""
SHARE_APART = 0.12
"""Largest difference of the shares of time without a plan, predicted and real: a hold more or less in ten."""

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

MEAN_RAD, LARGEST_RAD = 0.02, 0.1
"""Distances of commands played from those recorded; without chunks, these have passed the limits before."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("replay")) as running:
        yield running


@pytest.fixture(scope="module")
def recording(rig: Rig) -> Path:
    """Return a session of three seconds, whose requests were captured."""
    capture = ("--capture-dir", str(rig.folder / "captures"), "--capture-every", "1")
    server = rig.serve("first", *capture, policy="reach", options=())
    record = ("--record", str(rig.folder / "sessions"))
    run = summary_of(rig.start_robot("arm", "--duration-s", "3", *record))
    assert run.plan_actions > 100
    server.end()
    return Path(run.recording)


def test_a_recording_drives_a_robot_as_it_was_driven(rig: Rig, recording: Path) -> None:
    server = rig.serve("second", policy=f"replay:{recording}", options=())
    outcome = outcome_of(rig.start_robot("again", "--duration-s", "4"))
    server.end()
    assert outcome.report.audit.violations == 0
    assert not outcome.starved_between(outcome.plan_rows[0].t_ns, outcome.plan_rows[-1].t_ns)
    commands = [json.loads(line) for line in (recording / "steps.jsonl").read_text().splitlines()]
    ends = {row["step"]: row["action"] for row in commands if row["step"] is not None}
    played = {row.step: row.action for row in outcome.plan_rows if row.step is not None}
    apart = [
        max(abs(a - b) for a, b in zip(ends[step], played[step], strict=True))
        for step in ends
        if step in played
    ]
    assert len(apart) > 50
    assert sum(apart) / len(apart) < MEAN_RAD
    assert max(apart) < LARGEST_RAD


def test_a_recording_is_fed_to_a_policy_and_the_joints_are_compared(rig: Rig, recording: Path) -> None:
    server = rig.serve("third", policy="reach", options=())
    run = summary_of(rig.start_robot("fed", robot=f"replay:{recording}"))
    server.end()
    assert run.reason == "finished"
    assert run.episodes == 1
    report = msgspec.convert(run.robot, ReplayReport)
    assert (report.left, report.rows > 100) == (0, True)
    assert len(report.joints) == 6
    assert 0.0 < report.largest < 1.0


def test_captures_are_the_same_to_the_same_build_and_different_to_another(rig: Rig, recording: Path) -> None:
    del recording
    captures = str(rig.folder / "captures")
    server = rig.serve("fourth", policy="reach", options=())
    done = rig.call("replay", captures, "--service", "wave", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    report = msgspec.json.decode(done.stdout, type=ResendReport)
    assert report.same == report.requests > 0
    server.end()
    server = rig.serve("fifth", "--rtc-max-guidance", "1", policy="reach", options=())
    done = rig.call("replay", captures)
    assert done.returncode == ExitCode.DIFFERENT, done.stdout + done.stderr
    assert "another model than captured" in done.stdout
    server.end()


def test_the_recorded_network_gives_the_recorded_commands_and_a_worse_one_is_judged(recording: Path) -> None:
    same = forecast_of(call("replay", str(recording), "--json"), ExitCode.OK)
    assert same.simulated == same.recorded
    assert max(joint.max for joint in same.joints) < REPEATED_RAD
    assert all(request["is_recorded"] for request in same.requests)
    assert same.verdict.startswith("yes")
    slower = forecast_of(
        call("replay", str(recording), "--json", "--latency-ms", str(2 * DELAY_MS)), ExitCode.OK
    )
    assert len(slower.requests) > 0.6 * len(same.requests), "it asks ahead"
    cut = ("--cut-every-s", "0.5", "--cut-for-s", "2.2")  # longer than a chunk
    worse = forecast_of(call("replay", str(recording), "--json", *cut), ExitCode.DIFFERENT)
    assert worse.verdict.startswith("safe, but not smooth")
    assert worse.simulated.share > 0.05


@pytest.mark.slow
def test_a_real_delay_does_what_was_forecast(rig: Rig) -> None:
    server = rig.serve("sixth", policy="reach", options=())
    alone = ("--max-in-flight", "1")  # one that asks ahead does not hold at this delay
    record = ("--record", str(rig.folder / "long"), "--duration-s", "10")
    base = summary_of(rig.start_robot("base", *alone, *record))
    with FaultProxy("127.0.0.1", rig.port, faults=Faults(delay_ms=DELAY_MS)) as proxy:
        outcome = outcome_of(rig.start_robot("slow", *alone, "--duration-s", "15", port=proxy.port))
    server.end()
    done = call("replay", base.recording, "--json", "--latency-ms", str(2 * DELAY_MS))
    forecast = forecast_of(done, ExitCode.DIFFERENT)
    first, last = outcome.plan_rows[0].t_ns, outcome.plan_rows[-1].t_ns
    share = outcome.starved_between(first, last) / sum(first <= row.t_ns < last for row in outcome.rows)
    assert abs(forecast.simulated.share - share) < SHARE_APART, (forecast.simulated, share)


def forecast_of(done: subprocess.CompletedProcess[str], code: ExitCode) -> Forecast:
    assert done.returncode == code, done.stdout + done.stderr
    return msgspec.json.decode(done.stdout, type=Forecast)


def test_what_cannot_be_replayed_is_refused_in_one_line(rig: Rig, tmp_path: Path) -> None:
    check_one_line(rig.call("serve", "--policy", f"replay:{tmp_path}"), ExitCode.CONFIG, "none of these")
    check_one_line(call("run", "--robot", f"replay:{tmp_path}/absent"), ExitCode.CONFIG, "does not exist")
    check_one_line(call("replay", str(tmp_path)), ExitCode.CONFIG, "none of these")
