"""Robots of foreign protocols, through everything that can happen to gateway, server and router."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crowd.judge import counts, wrongs_of
from crowd.stand import (
    DRAFT,
    PROFILES,
    Crowd,
    Foreign,
    Kind,
    Member,
    Native,
    crowd_in,
    free_port,
    metrics_at,
    sum_of,
)
from process.rig import PATIENCE_S, START_S, kill, rig_in, wait_until
from vagus.cli.child import Child
from vagus.clock import monotonic_ns

pytestmark = [pytest.mark.process, pytest.mark.timeout(300), pytest.mark.slow]

ROBOTS = (
    Kind("openpi-robot", 1, "openpi", "own_robot", "openpi"),
    Kind("gr00t-robot", 2, "gr00t", "own_robot", "gr00t"),
    Kind("pointact-robot", 7, "pointact", "own_robot", "pointact"),
    Kind("lerobot-robot", 3, "lerobot_grpc", "own_robot", "lerobot_grpc"),
    Kind("astribot-robot", 8, "astribot", "own_robot", "astribot"),
    Kind("draft-robot", 6, "lerobot_zenoh_draft", "own_robot", "lerobot_zenoh_draft"),
)
NATIVE_ARM = Kind("native", 4)
NEIGHBOUR = Kind("neighbour", 5, "gr00t", "own_robot", "gr00t")
"""A robot at a gateway of another process."""
PATIENT_S = 30.0
"""`answer_timeout_s`: on a busy machine a failover takes its time, too."""
HASTY_S = 2.0
FEW = 3
"""Answers after which a robot is believed to go on."""
OPTIONS = {"inference_ms": 20.0}


@dataclass
class Foreigners:
    """Gateways in a process of their own, and a robot of each protocol at them."""

    crowd: Crowd
    settings: Mapping[str, object]
    ports: dict[str, int] = field(default_factory=lambda: {one.protocol: free_port() for one in ROBOTS})
    robots: list[Foreign] = field(default_factory=list)

    @property
    def gateways(self) -> list[dict[str, object]]:
        """Settings of the gateways, always at the same addresses."""
        told = [{"protocol": one, "profile": profile} for one, profile in PROFILES.items()]
        return [
            {**one, "listen": f"127.0.0.1:{port}", **self.settings}
            for one, port in zip([*told, DRAFT], self.ports.values(), strict=True)
        ]

    def start(self) -> Child:
        """Start the gateways' process."""
        return self.crowd.start_gateways("gateways", self.gateways)

    def begin(self) -> None:
        """Start the robots, and wait until each gets answers."""
        for kind in ROBOTS:
            address = f"127.0.0.1:{self.ports[kind.protocol]}"
            self.robots.append(self.crowd.prepare(kind, 1, address=address))
        for robot in self.robots:
            robot.wait_ready()
            self.crowd.begin(robot)
        self.all_go_on(self.robots)

    def lost_since(self, since_ns: int) -> list[int]:
        """Return how many requests each robot has lost since then."""
        return [robot.count("lost", since_ns) for robot in self.robots]

    @staticmethod
    def all_go_on(members: Sequence[Member]) -> None:
        """Wait until each gets answers to requests from now on."""
        since_ns = monotonic_ns()
        for member in members:
            member.await_answers(FEW, since_ns)


def check(crowd: Crowd, *undisturbed: Member) -> None:
    """End all robots, and assert that nobody got anything but its own answers; some have lost none."""
    for member in crowd.members:
        if not member.was_killed:
            member.end()
    lives = [member.judged for member in crowd.members]
    wrong = wrongs_of(lives, crowd.batches)
    assert not wrong, "\n".join([*wrong, str(counts(lives)), *(member.output for member in crowd.members)])
    for member in undisturbed:
        assert not member.judged.of("lost"), member.judged.of("lost")
        if isinstance(member, Native):
            assert member.summary is not None
            assert member.summary.motion_s["fallback"] == 0.0, member.output


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with rig_in(tmp_path) as rig, crowd_in(rig) as running:
        yield running


def serve(crowd: Crowd, name: str = "a", weights: str = "a", **settings: object) -> Child:
    options = {**OPTIONS, "diary": str(crowd.batches_file), "weights": weights}
    audit = crowd.rig.folder / f"audit-{name}.jsonl"
    return crowd.serve([], name, options=options, audit_path=str(audit), **settings)


def test_a_killed_gateway_costs_its_own_robots_a_pause_and_nobody_else_anything(crowd: Crowd) -> None:
    port = free_port()
    serve(crowd, health_port=port)
    foreigners = Foreigners(crowd, {"answer_timeout_s": PATIENT_S})
    gateway = foreigners.start()
    other = {**foreigners.gateways[1], "name": "other", "listen": f"127.0.0.1:{free_port()}"}
    crowd.start_gateways("other", [other])
    neighbour, native = crowd.prepare(NEIGHBOUR, 1, address=str(other["listen"])), crowd.native(NATIVE_ARM, 1)
    neighbour.wait_ready()
    for member in (neighbour, native):
        crowd.begin(member)
    foreigners.begin()
    foreigners.all_go_on([neighbour, native])
    kill(gateway)
    foreigners.all_go_on([neighbour, native])
    wait_until(lambda: all(foreigners.lost_since(0)), lambda: "each robot of it has lost its gateway")
    wait_until(
        lambda: sum_of(metrics_at(port), "vagus_sessions") == 2,
        lambda: f"only the places of the others are taken: {metrics_at(port)}",
    )
    foreigners.start()
    foreigners.all_go_on([*foreigners.robots, neighbour, native])
    check(crowd, neighbour, native)


def test_a_request_outlives_its_server_where_a_replica_is(crowd: Crowd) -> None:
    first = serve(crowd, "first")
    foreigners = Foreigners(crowd, {"answer_timeout_s": PATIENT_S})
    foreigners.start()
    foreigners.begin()
    serve(crowd, "second")
    foreigners.all_go_on(foreigners.robots)
    kill(first)
    foreigners.all_go_on(foreigners.robots)
    third = serve(crowd, "third")
    third.signal(signal.SIGTERM)
    assert third.wait(timeout_s=PATIENCE_S) == 0, third.output
    foreigners.all_go_on(foreigners.robots)
    check(
        crowd, *foreigners.robots[:-1]
    )  # one of the draft waits 5 s for an answer, whatever the gateway does


def test_robots_are_told_what_is_gone_and_go_on_when_it_is_back(crowd: Crowd) -> None:
    server = serve(crowd)
    foreigners = Foreigners(crowd, {"answer_timeout_s": HASTY_S})
    gateway = foreigners.start()
    foreigners.begin()

    def everybody_is_told(*, of: str, after: Callable[[], None]) -> None:
        since_ns = monotonic_ns()
        after()
        wait_until(lambda: all(foreigners.lost_since(since_ns)), lambda: f"each robot is told of {of}")

    everybody_is_told(of="the killed server", after=lambda: kill(server))
    server = serve(crowd, "again")
    foreigners.all_go_on(foreigners.robots)
    everybody_is_told(of="the killed router", after=lambda: kill(crowd.rig.router))
    crowd.rig.restart_router()
    foreigners.all_go_on(foreigners.robots)
    before_ns = monotonic_ns()
    kill(server)
    serve(crowd, "another", weights="b")
    foreigners.all_go_on(foreigners.robots)  # each has begun anew, so no plan of two models
    assert all(foreigners.lost_since(before_ns))
    assert gateway.exit_code is None
    assert "Traceback" not in gateway.output, gateway.output
    check(crowd)


def test_a_server_killed_with_its_gateways_comes_back_and_its_robots_too(crowd: Crowd) -> None:
    foreigners = Foreigners(crowd, {"answer_timeout_s": PATIENT_S})
    options = {**OPTIONS, "diary": str(crowd.batches_file)}
    server = crowd.serve(foreigners.gateways, options=options)
    foreigners.begin()
    kill(server)
    wait_until(lambda: all(foreigners.lost_since(0)), lambda: "each robot has lost its gateway")
    crowd.serve(foreigners.gateways, options=options)
    foreigners.all_go_on(foreigners.robots)
    check(crowd)


def test_a_robot_that_hangs_loses_its_place_and_has_one_again_when_it_goes_on(crowd: Crowd) -> None:
    port = free_port()
    serve(crowd, health_port=port)
    foreigners = Foreigners(crowd, {"idle_timeout_s": 2.0})
    foreigners.start()
    foreigners.begin()
    openpi, *hanging = foreigners.robots  # openpi's pings take 40 s, see the test of its gateway
    for robot in hanging:
        robot.process.send_signal(signal.SIGSTOP)
    wait_until(
        lambda: sum_of(metrics_at(port), "vagus_sessions") == 1,
        lambda: f"only one place is taken: {metrics_at(port)}",
        timeout_s=START_S,
    )
    foreigners.all_go_on([openpi])
    for robot in hanging:
        robot.process.send_signal(signal.SIGCONT)
    foreigners.all_go_on(foreigners.robots)
    check(crowd, openpi)
