"""Recorded depth, again: a policy that is shown a recording sees the numbers that were recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import vagus
from process.rig import call, check_one_line
from vagus.api.serve import PolicyServer
from vagus.cli.exit_code import ExitCode
from vagus.cli.run_report import RunSummary
from vagus.demo.depth import DEPTH_SPEC
from vagus.demo.reach import ReachPolicy
from vagus.demo.vision import TargetMemory
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.recording import read
from vagus.recording.session import FrameKind
from vagus.replay.forecast import Forecast
from vagus.replay.robot import ReplayReport
from vagus.types import ActionChunk

HERE = "tcp/127.0.0.1:0"
FORMATS = ("folder", "mcap")
FRAMES = 2
"""Fewest different frames of a recording: a slow machine asks seldom."""

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


class DeepReach(ReachPolicy):
    """Reaches as ever, needs depth, and keeps the depth that it was asked with."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, depth_cameras=(DEPTH_SPEC,))
        self.seen: set[bytes] = set()

    def infer(self, batch: Sequence[Row[TargetMemory]]) -> list[ActionChunk | PolicyError]:
        for row in batch:
            self.seen.add(row.observation.depth[DEPTH_SPEC.name].tobytes())
        return super().infer(batch)


@pytest.fixture(scope="module")
def deep() -> DeepReach:
    return DeepReach()


@pytest.fixture(scope="module")
def server(deep: DeepReach) -> Iterator[PolicyServer]:
    with vagus.serve(deep, listen=HERE, wait=False, warm_up=False) as server:
        yield server


@pytest.fixture(scope="module", params=FORMATS)
def recording(
    request: pytest.FixtureRequest, server: PolicyServer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a session of three seconds of the simulated arm with its depth camera."""
    if request.param == "mcap":
        pytest.importorskip("mcap")
    folder = tmp_path_factory.mktemp(request.param)
    record = ("--record", str(folder), "--record.format", request.param, "--duration-s", "3")
    return Path(run(server, "sim", "--options", "depth", "true", *record).recording)


def run(server: PolicyServer, robot: str, *arguments: str) -> RunSummary:
    done = call("run", "--robot", robot, "--json", "--connect", server.endpoint, *arguments)
    assert done.returncode == ExitCode.OK, done.stderr
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=RunSummary)


def test_a_policy_sees_the_recorded_numbers(server: PolicyServer, deep: DeepReach, recording: Path) -> None:
    frames = [frame.load() for frame in read(recording).frames if frame.kind is FrameKind.DEPTH]
    recorded = {frame.tobytes() for frame in frames}
    assert len(recorded) >= FRAMES
    assert recorded <= deep.seen
    deep.seen.clear()
    shown = run(server, f"replay:{recording}")
    assert shown.reason == "finished"
    report = msgspec.convert(shown.robot, ReplayReport)
    assert (report.left, report.rows > 100) == (0, True)
    assert len(deep.seen) >= FRAMES
    assert deep.seen <= recorded


def test_a_recording_is_a_policy_and_is_forecast_whatever_its_format(recording: Path) -> None:
    with vagus.serve(f"replay:{recording}", listen=HERE, wait=False, warm_up=False) as playing:
        assert run(playing, "sim", "--duration-s", "1").plan_actions > 20
    done = call("replay", str(recording), "--latency-ms", "150", "--json")
    assert done.returncode in (ExitCode.OK, ExitCode.DIFFERENT), done.stderr
    found = msgspec.json.decode(done.stdout, type=Forecast)
    assert found.outcomes["merged"] >= FRAMES
    assert found.requests[0]["is_recorded"]


def test_a_recording_without_depth_is_refused_by_a_policy_that_needs_it(
    server: PolicyServer, tmp_path: Path
) -> None:
    with vagus.serve("reach", listen=HERE, wait=False, warm_up=False) as flat:
        options = ("--options", "depth", "true", "--record", str(tmp_path), "--duration-s", "1")
        recording = run(flat, "sim", *options).recording
    refused = call("run", "--robot", f"replay:{recording}", "--connect", server.endpoint)
    check_one_line(refused, ExitCode.REFUSED, f"depth cameras: wanted ['{DEPTH_SPEC.name}'], got []")
