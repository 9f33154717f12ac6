"""Robots, two servers, a router and a bad network, with random kills, hangs and cuts: `run_soak.py MINUTES`.

Every robot drives the simulated arm. At the end each robot's own recording is judged as in `tests/process`;
the program prints what was done, what was counted, every violation, and exits 1 if there is any.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from process.rig import (  # noqa: E402 - the tests are no package
    PATIENCE_S,
    ROBOT,
    Rig,
    await_fresh,
    check_safe,
    kill,
    rig_in,
    stop_robot,
)
from vagus.cli.child import Child  # noqa: E402
from vagus.clock import monotonic_ns  # noqa: E402
from vagus.transport.faults import FaultProxy, Faults  # noqa: E402

ROBOTS = 3
SETTINGS = ("--backoff-max-s", "2", "--max-offline-s", "60")


class Soak:
    """A running system, and what may happen to it."""

    def __init__(self, rig: Rig, proxy: FaultProxy, rng: random.Random) -> None:
        self.rig, self.proxy, self.rng = rig, proxy, rng
        self.servers = [self.serve(), self.serve()]
        self.robots = [rig.run(f"arm{i}", *SETTINGS, port=proxy.port) for i in range(ROBOTS)]
        self.done: Counter[str] = Counter()
        self.happenings: dict[str, Callable[[], None]] = {
            "kill a server": self.kill_server,
            "hang a server": self.hang_server,
            "drain a server": self.drain_server,
            "cut the network": self.cut,
            "black hole": self.black_hole,
            "hold everything back": self.stall,
            "slow network": self.slow,
            "kill the router": self.kill_router,
        }

    def serve(self) -> Child:
        options = ("cameras", "True", "horizon", "30")
        return self.rig.serve("soak", "--service-name", "soak", options=options)

    def run(self, minutes: float) -> list[str]:
        """Let things happen; return the violations."""
        ends_s = time.monotonic() + minutes * 60
        violations: list[str] = []
        while time.monotonic() < ends_s and not violations:
            name = self.rng.choice(sorted(self.happenings))
            self.done[name] += 1
            sys.stdout.write(f"{name}\n")
            self.happenings[name]()
            violations += self.await_all(name)
            time.sleep(self.rng.uniform(0.0, 3.0))
        return violations + [text for robot in self.robots for text in self.judge(robot)]

    def await_all(self, after: str) -> list[str]:
        """Wait for every robot to move again; return those that did not."""
        since_ns = monotonic_ns()
        lost = (self.await_one(robot, since_ns) for robot in self.robots)
        return [f"not recovered from: {after}: {text}" for text in lost if text]

    def await_one(self, robot: Child, since_ns: int) -> str:
        try:
            await_fresh(self.rig.folder, robot, since_ns, timeout_s=2 * PATIENCE_S)
        except AssertionError as error:
            return f"{robot.name}: {error}"
        return ""

    def judge(self, robot: Child) -> list[str]:
        """Stop a robot and return what was wrong with its run."""
        if robot.exit_code is not None:
            return [f"{robot.name} ended with {robot.exit_code}: {robot.output}"]
        outcome = stop_robot(robot)
        run = outcome.run
        sys.stdout.write(
            f"{robot.name.removeprefix(ROBOT)}: {run.ticks} ticks, {run.missed} missed, without a plan "
            f"{run.starved_s:.1f} of {run.duration_s:.1f} s, {run.counters}\n"
        )
        try:
            check_safe(outcome)
        except AssertionError as error:
            return [f"{robot.name}: {error}"]
        return []

    def kill_server(self) -> None:
        kill(self.servers.pop(0))
        self.servers.append(self.serve())

    def drain_server(self) -> None:
        self.servers[0].signal(signal.SIGTERM)
        self.servers.pop(0).wait(timeout_s=PATIENCE_S)
        self.servers.append(self.serve())

    def hang_server(self) -> None:
        server = self.rng.choice(self.servers)
        server.signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 6.0))
        server.signal(signal.SIGCONT)

    def cut(self) -> None:
        self.proxy.cut()
        time.sleep(self.rng.uniform(0.1, 4.0))
        self.proxy.heal()

    def black_hole(self) -> None:
        self.through(Faults(black_hole=True), self.rng.uniform(0.2, 6.0))

    def stall(self) -> None:
        self.through(Faults(stall=True), self.rng.uniform(0.2, 6.0))

    def slow(self) -> None:
        self.through(Faults(delay_ms=self.rng.uniform(10, 400), jitter_ms=50), 4.0)

    def through(self, faults: Faults, seconds: float) -> None:
        self.proxy.set(faults)
        time.sleep(seconds)
        self.proxy.heal()

    def kill_router(self) -> None:
        kill(self.rig.router)
        time.sleep(self.rng.uniform(0.0, 2.0))
        self.rig.restart_router()


def main() -> int:
    """Run for as long as told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    told = parser.parse_args()
    sys.stdout.write(f"seed {told.seed}\n")
    with (
        tempfile.TemporaryDirectory(prefix="vagus-soak-") as folder,
        rig_in(Path(folder)) as rig,
        FaultProxy("127.0.0.1", rig.port) as proxy,
    ):
        soak = Soak(rig, proxy, random.Random(told.seed))
        violations = soak.run(told.minutes)
    sys.stdout.write(f"done: {dict(soak.done)}\n")
    for text in violations:
        sys.stdout.write(f"VIOLATION {text}\n")
    sys.stdout.write(f"{len(violations)} violations\n")
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
