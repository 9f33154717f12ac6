"""Robots of LeRobot's remote inference in motion, while servers, gateways and others do what they can."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from crowd.flood import Flood
from crowd.judge import counts, wrongs_of
from crowd.stand import HERE, Crowd, Foreign, Kind, crowd_in, free_port
from process.rig import kill, rig_in, wait_until
from remote_client.admission import Wishes
from vagus.cli.child import Child
from vagus.clock import monotonic_ns
from vagus.gateways.profile_file import load_profile

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

PROTOCOL = "lerobot_zenoh"
PROFILE = str(HERE / "remote_so100.yaml")
OPTIONS = {"inference_ms": 60.0, "rate_hz": 20.0, "height": 48, "width": 64}
VARIANTS = ("aligned peer", "append client", "aligned_b client", "aligned client")
TOGETHER_S = 40.0
MAX_BATCH = 4
OUTAGE_S = 6.0
LONGEST_HOLD_S = 40.0
"""A server needs long to start on a busy machine."""
FEW = 3
FLOOD_S = 8.0
STOPPED_S = 3.0
"""Longer than the network takes to give a stopped process up."""


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with rig_in(tmp_path) as rig, crowd_in(rig) as running:
        yield running


def serve(crowd: Crowd, name: str) -> Child:
    return crowd.serve(
        [],
        name,
        max_batch=MAX_BATCH,
        options={**OPTIONS, "diary": str(crowd.batches_file)},
        audit_path=str(crowd.rig.folder / f"audit-{name}.jsonl"),
    )


def begin(crowd: Crowd, count: int, address: str) -> list[Foreign]:
    """Start robots, and wait until each gets answers."""
    robots = [
        crowd.prepare(
            Kind(f"remote-{who}", who, PROTOCOL, "remote_robot", f"{VARIANTS[who % 4]} {PROFILE}"),
            1,
            address=address,
        )
        for who in range(1, count + 1)
    ]
    for robot in robots:
        robot.wait_ready()
        crowd.begin(robot)
    all_go_on(robots)
    return robots


def all_go_on(robots: Sequence[Foreign]) -> None:
    """Wait until each gets answers of the policy to requests from now on."""
    since_ns = monotonic_ns()
    for robot in robots:
        robot.await_answers(FEW, since_ns)


def holds(robots: Sequence[Foreign]) -> list[int]:
    return [robot.count("hold") for robot in robots]


def check(crowd: Crowd) -> None:
    """End all robots; assert that no run ended by itself, and that each got its own answers alone."""
    for robot in crowd.members:
        robot.end()
    lives = [member.judged for member in crowd.members]
    said = [entry.text for life in lives for entry in life.of("counts")]
    sys.stdout.write(f"asked, got: {dict(counts(lives))}; {said}\n")
    wrong = wrongs_of(lives, crowd.batches)
    assert not wrong, "\n".join([*wrong, *said])
    assert [json.loads(text)["fault"] for text in said] == [""] * len(lives)


def test_eight_robots_on_one_server_notice_neither_its_end_nor_a_flood(crowd: Crowd) -> None:
    port, profile = free_port(), load_profile(PROFILE, PROTOCOL)
    first = serve(crowd, "a")
    settings = {"protocol": PROTOCOL, "profile": PROFILE, "listen": f"127.0.0.1:{port}"}
    gateway = crowd.start_gateways("gateway", [{**settings, "max_hold_s": LONGEST_HOLD_S}])
    begun_s = time.monotonic()
    robots = begin(crowd, 8, f"127.0.0.1:{port}")
    second = serve(crowd, "b")
    kill(first)
    all_go_on(robots)
    assert holds(robots) == [0] * 8, gateway.output

    wishes = Wishes(deployment=profile.name, semantics=profile.semantics)
    with Flood(f"tcp/127.0.0.1:{port}", wishes) as flood:
        time.sleep(FLOOD_S)
        all_go_on(robots)
    assert flood.sent > FEW
    assert "is told: incompatible" in gateway.output
    assert holds(robots) == [0] * 8, gateway.output

    kill(second)
    time.sleep(OUTAGE_S)
    serve(crowd, "c")
    all_go_on(robots)
    time.sleep(max(begun_s + TOGETHER_S - time.monotonic(), 0.0))
    check(crowd)
    sizes = Counter(len(batch.asked) for batch in crowd.batches)
    sys.stdout.write(f"batches by size: {dict(sizes)}; flood: {flood.sent} messages\n")
    assert max(sizes) > 1, sizes


def test_nobody_notices_that_the_active_gateway_of_two_is_stopped_or_killed(crowd: Crowd) -> None:
    serve(crowd, "a")
    settings = {"protocol": PROTOCOL, "profile": PROFILE, "router": crowd.rig.endpoint}
    first = crowd.start_gateways("first", [settings])
    wait_until(lambda: "is active" in first.output, lambda: first.output)
    second = crowd.start_gateways("second", [{**settings, "standby": True}])
    wait_until(lambda: "deployment" in second.output, lambda: second.output)
    robots = begin(crowd, 4, crowd.rig.endpoint.partition("/")[2])
    first.signal(signal.SIGSTOP)
    time.sleep(STOPPED_S)
    first.signal(signal.SIGCONT)
    all_go_on(robots)
    assert holds(robots) == [0] * 4, first.output + second.output

    wait_until(lambda: "this gateway waits" in first.output, lambda: first.output)
    kill(second)
    all_go_on(robots)
    assert holds(robots) == [0] * 4, first.output + second.output
    check(crowd)
