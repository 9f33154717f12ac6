"""Robots of every protocol on one server: each gets its own answers, and none notices another's end."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from crowd.judge import LEAST_ANSWERS, counts, faults_of
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
from process.rig import START_S, rig_in, wait_until
from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary
from vagus.server.audit import AuditLine

PYTHON = os.environ.get("VAGUS_EDGE_PYTHON", "")
OPENPI_PYTHON = os.environ.get("VAGUS_OPENPI_PYTHON", "")
SEED = int(os.environ.get("VAGUS_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
TOGETHER_S = 60.0
MAX_BATCH = 3
"""Fewer than there are robots, so that they wait for each other."""
INFERENCE_MS = 150.0
"""Longer than anybody needs for what comes between its answer and its next request."""
ORDINARY_END = "Error in observation sender: Client not running"
"""What LeRobot's client says if it ends while it observes."""
SILENCE_S = 10.0
"""A LeRobot client that goes between two calls is noticed by its silence alone."""
OF_WAITING = {"superseded", "holds", "outages_bridged"}
"""What a gateway may count of robots that wait for each other."""
HARMLESS = {"requests", "merged", "sessions_opened"}
"""What a native robot may count."""
EVERYBODY = (
    Kind("native-1", 1),
    Kind("native-2", 2),
    Kind("openpi-1", 3, "openpi", "openpi_robot"),
    Kind("openpi-2", 4, "openpi", "openpi_robot", "broker"),
    Kind("groot-15", 5, "gr00t", "gr00t_robot", "N1.5"),
    Kind("groot-16", 6, "gr00t", "gr00t_robot", "N1.6"),
    Kind("groot-17", 7, "gr00t", "gr00t_robot", "N1.7"),
    Kind("pointact-1", 13, "pointact", "pointact_robot", "ZeroMQ"),
    Kind("pointact-2", 14, "pointact", "pointact_robot", "HTTP"),
    Kind("lerobot-1", 8, "lerobot_grpc", "lerobot_robot"),
    Kind("lerobot-2", 9, "lerobot_grpc", "lerobot_robot"),
    Kind("astribot-1", 15, "astribot", "astribot_robot", "chunk"),
    Kind("astribot-2", 16, "astribot", "astribot_robot", "stream"),
    Kind("remote-1", 10, "lerobot_zenoh", "remote_robot", "aligned peer so100"),
    Kind("remote-2", 11, "lerobot_zenoh", "remote_robot", "append client so100"),
    Kind("draft-1", 12, "lerobot_zenoh_draft", "own_robot", "lerobot_zenoh_draft"),
)
GATEWAYS: tuple[Mapping[str, object], ...] = (
    *({"protocol": protocol, "profile": profile} for protocol, profile in PROFILES.items()),
    {"protocol": "lerobot_zenoh", "profile": "so100"},
    DRAFT,
)
PROTOCOLS = [str(gateway["protocol"]) for gateway in GATEWAYS]


@dataclass
class Gathering:
    """All robots of the crowd, of which one is killed now and then and comes back."""

    crowd: Crowd
    rng: random.Random
    present: dict[str, Member] = field(default_factory=dict)
    spares: dict[str, Foreign] = field(default_factory=dict)

    def prepare(self, kind: Kind, life: int) -> None:
        """Load the program of a foreign robot; LeRobot's takes long, whenever it is wanted."""
        python = {"openpi": OPENPI_PYTHON, "lerobot_grpc": sys.executable}.get(kind.protocol, PYTHON)
        self.spares[kind.name] = self.crowd.prepare(kind, life, python=python)
        self.spares[kind.name].wait_ready()

    def begin(self, kind: Kind, life: int) -> None:
        member = self.spares.pop(kind.name) if kind.protocol else self.crowd.native(kind, life)
        self.present[kind.name] = member
        self.crowd.begin(member)

    def await_answers(self, kinds: Sequence[Kind]) -> None:
        """Wait until each of these has got as many answers as it must."""
        for kind in kinds:
            self.present[kind.name].await_answers(LEAST_ANSWERS)

    def victims(self) -> list[Kind]:
        """Return a robot of each protocol, in any order, and some more."""
        protocols = sorted({kind.protocol for kind in EVERYBODY})
        chosen = [self.rng.choice([k for k in EVERYBODY if k.protocol == one]) for one in protocols]
        rest = [kind for kind in EVERYBODY if kind not in chosen]
        chosen += self.rng.sample(rest, 2)
        self.rng.shuffle(chosen)
        return chosen

    def live_on(self, seconds: float) -> None:
        """Kill the victims at any moments within this time; each comes back soon."""
        end_s = time.monotonic() + seconds
        victims = self.victims()
        for left, kind in zip(range(len(victims), 0, -1), victims, strict=True):
            if kind.protocol:
                self.prepare(kind, 2)
            time.sleep(self.rng.uniform(0.2, 1.0) * max(end_s - time.monotonic() - 5.0, 0.0) / left)
            sys.stdout.write(f"{kind.name} is killed {end_s - time.monotonic():.2f} s before the end\n")
            self.present[kind.name].kill()
            time.sleep(self.rng.uniform(0.0, 2.0))
            self.begin(kind, 2)
        self.await_answers(victims)
        time.sleep(max(end_s - time.monotonic(), 0.0))


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(900)
@pytest.mark.skipif(not PYTHON, reason="VAGUS_EDGE_PYTHON names no Python with vagus and without LeRobot")
@pytest.mark.skipif(not OPENPI_PYTHON, reason="VAGUS_OPENPI_PYTHON names no Python with openpi's client")
def test_everybody_gets_their_own_answers_in_turn_and_nobody_notices_who_is_killed(tmp_path: Path) -> None:
    sys.stdout.write(f"VAGUS_SEED={SEED}\n")
    port = free_port()
    gateways: list[dict[str, object]] = [
        {**gateway, "listen": f"127.0.0.1:{free_port()}", "idle_timeout_s": SILENCE_S} for gateway in GATEWAYS
    ]
    with rig_in(tmp_path) as rig, crowd_in(rig, python=PYTHON) as crowd:
        options = {"diary": str(crowd.batches_file), "inference_ms": INFERENCE_MS}
        server = crowd.serve(gateways, max_batch=MAX_BATCH, health_port=port, options=options)
        gathering = Gathering(crowd, random.Random(SEED))
        for kind in EVERYBODY:
            if kind.protocol:
                gathering.prepare(kind, 1)
        for kind in EVERYBODY:
            gathering.begin(kind, 1)
        gathering.await_answers(EVERYBODY)
        gathering.live_on(TOGETHER_S)
        for member in gathering.present.values():
            member.end()
        lives = [member.judged for member in crowd.members]
        sys.stdout.write(f"asked, got: {dict(counts(lives))}\n")
        alive = [member for member in crowd.members if not member.was_killed]
        outputs = "".join(f"{member.kind.name}: {member.output}\n" for member in alive)
        faults = faults_of(lives, crowd.batches)
        assert not faults, "\n".join([*faults, server.output, outputs])
        for word in ("Traceback", "Error in observation sender", "Error sending observation"):
            assert word not in outputs.replace(ORDINARY_END, ""), outputs
        for member in alive:
            if isinstance(member, Native):
                check_summary(member.summary)
        check_free(port, server)
        check_counted(crowd, metrics_at(port))
        server.signal(signal.SIGTERM)
        assert server.wait(timeout_s=START_S) == 0, server.output
        check_log(server.output)
        check_audit(crowd)


def check_summary(run: RunSummary | None) -> None:
    """Assert that a native robot was only ever interrupted by the test."""
    assert run is not None
    assert (run.reason, run.error, run.camera_errors, run.state_errors) == ("interrupted", "", 0, 0), run
    assert not run.refusals, run
    assert run.counters.keys() <= HARMLESS, run


def check_free(port: int, server: Child) -> None:
    """Assert that each place becomes free."""

    def taken() -> dict[str, float]:
        samples = metrics_at(port)
        names = ("vagus_sessions", "vagus_gateway_peers")
        return {key: value for key, value in samples.items() if key.partition("{")[0] in names and value}

    wait_until(lambda: not taken(), lambda: f"places are free: {taken()}\n{server.output}", timeout_s=START_S)


def check_counted(crowd: Crowd, samples: dict[str, float]) -> None:
    """Assert that the metrics count what the robots did, per protocol."""
    for protocol in PROTOCOLS:
        lives = [member.judged for member in crowd.members if member.kind.protocol == protocol]
        got = sum(len(life.of("got")) for life in lives)
        killed = sum(1 for life in lives if life.was_killed)
        answered = sum_of(
            samples, "vagus_gateway_requests_total", f'protocol="{protocol}"', 'outcome="answered"'
        )
        streams = sum(1 for life in lives if life.is_streaming)
        lost = sum(len(life.of("lost")) for life in lives)  # answered when the robot was held already
        assert got <= answered <= got + killed + streams + lost, (protocol, got, samples)
        others = {
            key: value
            for key, value in samples.items()
            if key.startswith("vagus_gateway_requests_total") and protocol in key and "answered" not in key
        }
        assert set(others) <= {key for key in others if 'outcome="gone"' in key}, others
        assert sum(others.values()) <= killed, others
    assert sum_of(samples, "vagus_policy_failing") == 0
    events = {key for key in samples if key.startswith("vagus_gateway_events_total")}
    assert all(key.rpartition('event="')[2].split('"')[0] in OF_WAITING for key in events), samples


def check_log(output: str) -> None:
    """Assert that the whole log was kept, and tells of nothing that went wrong."""
    assert "server ready" in output
    for word in ("Traceback", "Error", "ERROR", "failed", "exception"):
        assert word not in output, output


def check_audit(crowd: Crowd) -> None:
    """Assert that the audit has each answer under the robot's name, and the end of each session."""
    lines = [json.loads(line) for line in crowd.audit_file.read_bytes().splitlines()]
    requests = [msgspec.convert(line, AuditLine) for line in lines if "event" not in line]
    sessions = Counter(line["event"] for line in lines if "event" in line)
    outcomes = Counter(line.outcome for line in requests)
    killed = sum(1 for member in crowd.members if member.was_killed)
    sys.stdout.write(f"audit: {dict(outcomes)}, {dict(sessions)}\n")
    staying = ("openpi", "pointact")  # their robots rest for the next connection
    left = sum(1 for member in crowd.members if member.was_killed and member.kind.protocol in staying)
    assert sessions["opened"] == sessions["closed"]
    assert len(crowd.members) - left <= sessions["opened"] <= len(crowd.members)  # one may have taken it over
    assert set(outcomes) <= {"chunk", "closed"}, outcomes
    assert outcomes["closed"] <= killed, outcomes
    served = Counter(who for batch in crowd.batches for who, _, _ in batch.asked)
    computed = [line.client for line in requests if line.batch_size]
    for protocol in ("", *PROTOCOLS):
        kinds = [kind for kind in EVERYBODY if kind.protocol == protocol]
        names = [kind.name for kind in kinds] if not protocol else [protocol]
        audited = sum(
            1
            for client in computed
            if client.startswith(tuple(f"{name}-" for name in names)) or client in names
        )
        assert audited == sum(served[kind.who] for kind in kinds), (protocol, audited, served)
