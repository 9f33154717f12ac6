"""Robots of every protocol at gateways, while everything around them breaks: `run_gateways.py MINUTES`.

Clients, gateways, servers and the router are killed, stopped and flooded with garbage, in any order. After
each of it every robot must get answers again; at the end none may have got anything but its own. Prints what
was done and what the gateways' process needs, and exits 1 if something was wrong.
"""

from __future__ import annotations

import argparse
import random
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from crowd.judge import counts, wrongs_of  # noqa: E402 - the tests are no package
from crowd.stand import PROFILES, Crowd, Foreign, Kind, Member, crowd_in, free_port  # noqa: E402
from process.rig import PATIENCE_S, Rig, kill, rig_in  # noqa: E402
from vagus.cli.child import Child  # noqa: E402
from vagus.clock import monotonic_ns  # noqa: E402

PER_PROTOCOL = 2
FEW = 3
SETTINGS = {"answer_timeout_s": 5.0, "idle_timeout_s": 5.0, "max_peers": 8}
OPTIONS = {"inference_ms": 20.0}
MOST_MB, MOST_THREADS, MOST_FILES = 300.0, 300, 100
"""What the gateways' process may have more in the end; its pools of threads grow to their bounds."""

STARTS = {
    "openpi": (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    "gr00t": b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48),
    "lerobot_grpc": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
}
"""A right beginning for each protocol."""


class Chaos:
    """A running system, and what may happen to it."""

    def __init__(self, crowd: Crowd, rng: random.Random) -> None:
        self.crowd, self.rig, self.rng = crowd, crowd.rig, rng
        self.began_s = time.monotonic()
        self.ports = {protocol: free_port() for protocol in PROFILES}
        self.servers = [self.serve(), self.serve()]
        self.gateway = self.start_gateway()
        self.members: dict[str, Member] = {}
        self.lives: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.open: list[socket.socket] = []
        self.kinds = [
            Kind(f"{protocol}-{number}", who, protocol, "own_robot", protocol)
            for who, (protocol, number) in enumerate(
                [(protocol, number) for protocol in PROFILES for number in range(PER_PROTOCOL)], start=1
            )
        ]
        for robot in [self.prepare(kind) for kind in (*self.kinds, Kind("native", 20))]:
            self.begin(robot)
        self.happenings: dict[str, Callable[[], None]] = {
            "kill a robot": self.kill_robot,
            "stop a robot for a while": self.hang_robot,
            "kill the gateways": self.kill_gateway,
            "stop the gateways for a while": lambda: self.hang(self.gateway),
            "kill a server": self.kill_server,
            "drain a server": self.drain_server,
            "stop a server for a while": lambda: self.hang(self.rng.choice(self.servers)),
            "kill the router": self.kill_router,
            "garbage": self.send_garbage,
            "a right beginning, then garbage": self.send_begun_garbage,
            "connections that say nothing": self.connect_many,
            "half a beginning, and never read": self.never_read,
        }

    def serve(self) -> Child:
        name = f"s{self.rng.randrange(1 << 32):08x}"
        audit = str(self.rig.folder / f"audit-{name}.jsonl")
        options = {**OPTIONS, "diary": str(self.crowd.batches_file)}
        return self.crowd.serve([], name, options=options, audit_path=audit)

    def start_gateway(self) -> Child:
        gateways = [
            {"protocol": one, "profile": PROFILES[one], "listen": f"127.0.0.1:{port}", **SETTINGS}
            for one, port in self.ports.items()
        ]
        return self.crowd.start_gateways("gateways", gateways)

    def prepare(self, kind: Kind) -> Member:
        self.lives[kind.name] += 1
        if not kind.protocol:
            return self.crowd.native(kind, self.lives[kind.name])
        address = f"127.0.0.1:{self.ports[kind.protocol]}"
        return self.crowd.prepare(kind, self.lives[kind.name], address=address)

    def begin(self, robot: Member) -> None:
        if isinstance(robot, Foreign):
            robot.wait_ready()
        self.members[robot.kind.name] = robot
        self.crowd.begin(robot)

    def run(self, minutes: float) -> list[str]:
        """Let things happen; return the violations."""
        violations = self.await_all("the start")
        self.tell("at the start")
        ends_s, before = time.monotonic() + minutes * 60, self.needs()
        while time.monotonic() < ends_s and not violations:
            name = self.rng.choice(sorted(self.happenings))
            self.done[name] += 1
            self.happenings[name]()
            violations += self.await_all(name)
            self.tell(name)
            time.sleep(self.rng.uniform(0.0, 2.0))
        for connection in self.open:
            connection.close()
        time.sleep(2 * SETTINGS["idle_timeout_s"])
        after = self.needs()
        most = (MOST_MB, MOST_THREADS, MOST_FILES)
        if any(now > then + more for now, then, more in zip(after, before, most, strict=True)):
            violations.append(f"the gateways need {after} MB, threads, files; before {before}")
        return violations + self.judge()

    def await_all(self, after: str) -> list[str]:
        """Wait for every robot to get new answers; return those that did not."""
        since_ns = monotonic_ns()
        lost = (self.await_one(member, since_ns) for member in self.members.values())
        return [f"not recovered from: {after}: {text}" for text in lost if text]

    def await_one(self, member: Member, since_ns: int) -> str:
        try:
            member.await_answers(FEW, since_ns)
        except AssertionError as error:
            return str(error)
        return ""

    def judge(self) -> list[str]:
        for member in self.members.values():
            member.end()
        lives = [member.judged for member in self.crowd.members]
        sys.stdout.write(f"asked, got: {dict(counts(lives))}\n")
        # a native robot that holds is commanded where it stands, which reads like an answer to its last state
        held = "native (process 1): got an answer to"
        wrong = [text for text in wrongs_of(lives, self.crowd.batches) if not text.startswith(held)]
        return wrong + self.log_faults()

    def log_faults(self) -> list[str]:
        faults = [f"gateways:\n{self.gateway.output}"] if "Traceback" in self.gateway.output else []
        return faults + [f"{one.name}:\n{one.output}" for one in self.servers if "Traceback" in one.output]

    def needs(self) -> tuple[float, int, int]:
        """Return megabytes, threads and files of the gateways' process."""
        folder = Path(f"/proc/{self.gateway.pid}")
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
        )
        megabytes = int(status["VmRSS"].split()[0]) / 1024
        return megabytes, int(status["Threads"]), len(list((folder / "fd").iterdir()))

    def tell(self, what: str) -> None:
        megabytes, threads, files = self.needs()
        since_s = time.monotonic() - self.began_s
        told = f"{megabytes:.0f} MB, {threads} threads, {files} files"
        sys.stdout.write(f"{since_s:.1f} s, {what}: the gateways need {told}\n")
        sys.stdout.flush()

    def chosen(self) -> Kind:
        return self.rng.choice(self.kinds)

    def kill_robot(self) -> None:
        kind = self.chosen()
        self.members[kind.name].kill()
        time.sleep(self.rng.uniform(0.0, 1.0))
        self.begin(self.prepare(kind))

    def hang_robot(self) -> None:
        robot = self.members[self.chosen().name]
        assert isinstance(robot, Foreign)
        robot.process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 9.0))
        robot.process.send_signal(signal.SIGCONT)

    def kill_gateway(self) -> None:
        violations = self.log_faults()
        assert not violations, violations
        kill(self.gateway)
        time.sleep(self.rng.uniform(0.0, 3.0))
        self.gateway = self.start_gateway()

    def hang(self, process: Child) -> None:
        process.signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 6.0))
        process.signal(signal.SIGCONT)

    def kill_server(self) -> None:
        kill(self.servers.pop(0))
        self.servers.append(self.serve())

    def drain_server(self) -> None:
        server = self.servers.pop(0)
        server.signal(signal.SIGTERM)
        server.wait(timeout_s=PATIENCE_S)
        self.servers.append(self.serve())

    def kill_router(self) -> None:
        kill(self.rig.router)
        time.sleep(self.rng.uniform(0.1, 3.0))
        self.rig.restart_router()

    def connect(self) -> tuple[str, socket.socket]:
        protocol = self.rng.choice(sorted(self.ports))
        connection = socket.create_connection(("127.0.0.1", self.ports[protocol]), timeout=5.0)
        return protocol, connection

    def send_garbage(self) -> None:
        for _ in range(self.rng.randrange(1, 40)):
            with suppress(OSError):
                self.push(self.connect()[1], b"")

    def send_begun_garbage(self) -> None:
        for _ in range(self.rng.randrange(1, 40)):
            with suppress(OSError):
                protocol, connection = self.connect()
                self.push(connection, STARTS[protocol])

    def push(self, connection: socket.socket, start: bytes) -> None:
        """Send garbage for a moment, then close, now and then at once."""
        with connection:
            connection.settimeout(0.5)
            connection.sendall(start + self.rng.randbytes(self.rng.randrange(1, 200_000)))
            if self.rng.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.recv(100)

    def connect_many(self) -> None:
        for _ in range(self.rng.randrange(1, 60)):
            with suppress(OSError):
                self.open.append(self.connect()[1])
        self.forget()

    def never_read(self) -> None:
        for _ in range(self.rng.randrange(1, 20)):
            with suppress(OSError):
                protocol, connection = self.connect()
                connection.sendall(STARTS[protocol][: self.rng.randrange(1, len(STARTS[protocol]) + 1)])
                self.open.append(connection)
        self.forget()

    def forget(self) -> None:
        """Close the oldest connections, so that this process has files left."""
        while len(self.open) > 200:
            self.open.pop(0).close()


def main() -> int:
    """Run; the exit code says whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    told = parser.parse_args()
    sys.stdout.write(f"seed {told.seed}\n")
    with tempfile.TemporaryDirectory(prefix="vagus-gateways-") as folder, rig_in(Path(folder)) as rig:
        violations = run_chaos(rig, told.minutes, told.seed)
    sys.stdout.write("\n".join(violations or ["nothing was wrong"]) + "\n")
    return 1 if violations else 0


def run_chaos(rig: Rig, minutes: float, seed: int) -> list[str]:
    """Run the chaos on a network; return what was wrong."""
    with crowd_in(rig) as crowd:
        chaos = Chaos(crowd, random.Random(seed))
        violations = chaos.run(minutes)
        sys.stdout.write(f"done: {dict(chaos.done)}\n")
        return violations


if __name__ == "__main__":
    raise SystemExit(main())
