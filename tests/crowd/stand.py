"""A server with gateways of all protocols, and robots of every kind, each in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from crowd.diary import Batch, Entry, entries_of
from crowd.judge import Life
from crowd.robot_process import READY
from process.rig import PATIENCE_S, START_S, Rig, kill, summary_of, wait_until
from vagus.cli.child import Child
from vagus.cli.run_report import RunSummary

__all__ = [
    "DRAFT",
    "PROFILES",
    "Crowd",
    "Foreign",
    "Kind",
    "Member",
    "Native",
    "crowd_in",
    "free_port",
    "metrics_at",
    "sum_of",
]

HERE = Path(__file__).parent
TESTS = HERE.parent
POLICY = f"{HERE / 'policy.py'}:Telling"
NATIVE = f"{HERE / 'native_robot.py'}:Telling"
MODEL = "crowd"
PROFILES = {
    "openpi": str(HERE / "openpi_so100.yaml"),
    "gr00t": "so100",
    "pointact": str(HERE / "pointact_so100.yaml"),
    "lerobot_grpc": "so100",
    "astribot": str(HERE / "astribot_so100.yaml"),
}
DRAFT: Mapping[str, object] = {
    "protocol": "lerobot_zenoh_draft",
    "profile": "so101",
    "models": {f"{MODEL}/main/*": MODEL},
}
"""Settings of a gateway for robots of LeRobot's remote inference draft."""
IMPORT_S = 300.0
"""LeRobot imports torch, on whatever cores there are."""


@dataclass(frozen=True)
class Kind:
    """A robot of the crowd.

    Attributes:
        name: for messages.
        who: its number, 1 to 40.
        protocol: of its gateway; "": it speaks vagus.
        program: module of its client.
        variant: of the client.
    """

    name: str
    who: int
    protocol: str = ""
    program: str = ""
    variant: str = ""


class Member:
    """One process of a robot."""

    def __init__(self, kind: Kind, life: int, folder: Path) -> None:
        self.kind = kind
        self.life = life
        self.diary = folder / f"{kind.name}-{life}.jsonl"
        self.was_killed = False

    @property
    def judged(self) -> Life:
        """What it did so far."""
        entries = entries_of(self.diary, Entry)
        is_streaming = self.kind.protocol in ("", "lerobot_grpc")
        return Life(self.kind.name, self.kind.who, self.life, entries, self.was_killed, is_streaming)

    def count(self, what: str, since_ns: int = 0) -> int:
        """Return its entries of one kind since then; of answers those to requests since then."""
        entries = [entry for entry in entries_of(self.diary, Entry) if entry.at_ns >= since_ns]
        asked = min((entry.counter for entry in entries if entry.what == "ask"), default=0)
        return sum(1 for one in entries if one.what == what and (what != "got" or one.counter >= asked))

    def await_answers(self, count: int, since_ns: int = 0) -> None:
        """Wait until it has got so many answers to requests since then."""
        wait_until(
            lambda: self.count("got", since_ns) >= count,
            lambda: f"{self.kind.name} gets answers: {self.judged.entries[-5:]}\n{self.output}",
            timeout_s=START_S,
        )

    def begin(self) -> None:
        """Let it ask."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill it at once."""
        raise NotImplementedError

    def end(self) -> None:
        """Let it end in order; its answers are complete then."""
        raise NotImplementedError

    @property
    def output(self) -> str:
        """What it printed."""
        raise NotImplementedError


class Foreign(Member):
    """A client of a gateway. Its process starts at once, and asks only when it is told to."""

    def __init__(self, kind: Kind, life: int, folder: Path, address: str, python: str) -> None:
        super().__init__(kind, life, folder)
        self._address = address
        self._errors = folder / f"{kind.name}-{life}.txt"
        command = [python, "-m", f"crowd.{kind.program}", "--kind", kind.variant, "--who", str(kind.who)]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--life", str(life), "--diary", str(self.diary)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,  # LeRobot writes its log there
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until its program is loaded."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == READY.encode(), self.output

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self._address}\n".encode())
        self.process.stdin.flush()

    def kill(self) -> None:
        self.was_killed = True
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(START_S) == 0, self.output

    def close(self) -> None:
        """Leave nothing of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def output(self) -> str:
        return self._errors.read_text(errors="replace")


class Native(Member):
    """A robot of `vagus run`."""

    def __init__(self, kind: Kind, life: int, rig: Rig, python: str) -> None:
        super().__init__(kind, life, rig.folder)
        self._rig = rig
        self._python = python
        self.process: Child | None = None
        self.summary: RunSummary | None = None

    def begin(self) -> None:
        options = ("who", str(self.kind.who), "life", str(self.life), "diary", str(self.diary))
        # it asks again as soon as it has an answer, as the foreign ones do
        plan = ("--buffer-time-s", "1.9", "--instruction", f"robot {self.kind.who}")
        self.process = self._rig.start_robot(
            self.kind.name, "--wait", *plan, "--options", *options, robot=NATIVE, python=self._python
        )

    def kill(self) -> None:
        assert self.process is not None
        self.was_killed = True
        kill(self.process)

    def end(self) -> None:
        assert self.process is not None
        self.process.signal(signal.SIGINT)
        self.summary = summary_of(self.process)

    @property
    def output(self) -> str:
        return "" if self.process is None else self.process.output


class Crowd:
    """A server with gateways on a router, and the robots that were started."""

    def __init__(self, rig: Rig, stack: ExitStack, python: str) -> None:
        self.rig = rig
        self.python = python
        self.batches_file = rig.folder / "batches.jsonl"
        self.audit_file = rig.folder / "audit.jsonl"
        self.members: list[Member] = []
        self.addresses: Mapping[str, str] = {}
        self._stack = stack

    def serve(self, gateways: Sequence[Mapping[str, object]], name: str = "a", **settings: object) -> Child:
        """Start a server with these gateways inside it, and wait until it is ready."""
        told = {
            "policy": POLICY,
            "model": MODEL,
            "options": {"diary": str(self.batches_file), "inference_ms": 100.0},
            "audit_path": str(self.audit_file),
            "health_port": 0,
            "gateways": list(gateways),
            **settings,
        }
        server = self.rig.start_manifest(told, name, python=self.python)
        addresses = {str(one["protocol"]): "" for one in gateways}
        wait_until(lambda: "server ready" in server.output, lambda: server.output, timeout_s=START_S)
        for protocol in addresses:
            line = server.output.partition(f"gateway {protocol} on ")[2].partition(",")[0]
            addresses[protocol] = line.rpartition("/")[2]
        self.addresses = {**self.addresses, **addresses}
        return server

    def start_gateways(self, name: str, gateways: Sequence[Mapping[str, object]]) -> Child:
        """Start gateways in a process of their own, and wait until they listen."""
        told = self.rig.folder / f"{name}.json"
        told.write_bytes(msgspec.json.encode({"gateways": list(gateways)}))
        gateway = self.rig.child(
            name, ["gateway", str(told), "--connect", self.rig.endpoint], python=self.python
        )
        gateway.wait_for_line("gateway ready", timeout_s=START_S)
        return gateway

    def prepare(self, kind: Kind, life: int, *, python: str = "", address: str = "") -> Foreign:
        """Start the process of a foreign robot, which then only waits."""
        address = address or self.addresses[kind.protocol]
        robot = Foreign(kind, life, self.rig.folder, address, python or self.python)
        self._stack.callback(robot.close)
        return robot

    def native(self, kind: Kind, life: int) -> Native:
        """Return a native robot, which is not started yet."""
        return Native(kind, life, self.rig, self.python)

    def begin(self, member: Member) -> None:
        """Let a robot ask."""
        self.members.append(member)
        member.begin()

    @property
    def batches(self) -> list[Batch]:
        """What the policy has served so far."""
        return entries_of(self.batches_file, Batch)


@contextmanager
def crowd_in(rig: Rig, *, python: str = sys.executable) -> Iterator[Crowd]:
    """Yield a crowd on the network of a rig; every process of it ends afterwards."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), *filter(None, [before])])
    try:
        with ExitStack() as stack:
            yield Crowd(rig, stack, python)
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def metrics_at(port: int) -> dict[str, float]:
    """Return all samples of a metrics endpoint, by name and labels as they are written there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as reply:
        lines = reply.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}


def sum_of(samples: Mapping[str, float], name: str, *labels: str) -> float:
    """Return the sum of the samples of one name that have these labels."""
    wanted = re.compile(rf"{re.escape(name)}(\{{.*)?$")
    return sum(v for key, v in samples.items() if wanted.match(key) and all(label in key for label in labels))
