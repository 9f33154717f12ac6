"""How many large observations get through a lossy network, in our delivery class and in Zenoh's own."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.process import ROOT
from benchmarks.report import Aim, Report, Table, number

__all__ = ["run"]

TESTS = ROOT / "tests"
sys.path.append(str(TESTS))  # the network is the tests' own

from netlab.delivery import COUNT, SIZE_BYTES  # noqa: E402
from netlab.lab import Lab, Weather, build, why_not  # noqa: E402

PROGRAM = TESTS / "netlab" / "delivery.py"
WEATHER = Weather(delay_ms=25, loss=0.03)
SEEDS = (7, 11, 13)
PATIENCE_S = 5.0
"""What has not arrived when nothing came for this long is lost."""
TURN_TIMEOUT_S = 60.0


@dataclass(slots=True)
class Contestant:
    """A delivery class, what arrived of it, and how long its longest publish took."""

    name: str
    argument: str
    arrived: list[int] = field(default_factory=list)
    longest_s: float = 0.0

    def take_turn(self, shaper: Path, seed: int) -> None:
        """Send one series over a network of its own."""
        with Lab(shaper, congestion_control="cubic", seed=seed) as lab:
            receiving = lab.start(lab.server, [sys.executable, PROGRAM, "receive"])
            assert receiving.stdout is not None
            assert receiving.stdout.readline() == "ready\n"
            sending = lab.start(lab.robot, [sys.executable, PROGRAM, "send", self.argument])
            assert sending.stdout is not None
            assert sending.stdout.readline() == "ready\n"
            lab.set(WEATHER)
            numbers: set[int] = set()
            lines = receiving.stdout
            reader = threading.Thread(target=lambda: numbers.update(int(line) for line in lines), daemon=True)
            reader.start()
            self.longest_s = max(self.longest_s, float(sending.stdout.readline()))
            _wait_for_rest(lambda: len(numbers))
            receiving.kill()
            reader.join(TURN_TIMEOUT_S)
            self.arrived.append(len(numbers))


def run(*, quick: bool) -> Report:
    """Send three series in each class; say so where there is no network to be had."""
    report = Report(f"Delivery: {COUNT} observations of {SIZE_BYTES // 1000} kB, two a second")
    reason = why_not()
    if reason is not None:
        report.notes.append(f"not measured: {reason}")
        return report
    ours, default = Contestant("vagus", "ours"), Contestant("Zenoh's default", "default")
    with tempfile.TemporaryDirectory() as folder:
        shaper = build(Path(folder))
        for seed in SEEDS[: 1 if quick else None]:
            with ThreadPoolExecutor() as pool:  # each over a network of its own, at the same time
                list(pool.map(lambda c, seed=seed: c.take_turn(shaper, seed), (ours, default)))
    rows = [
        (
            contestant.name,
            " ".join(str(count) for count in contestant.arrived),
            number(sum(contestant.arrived) / max(sum(default.arrived), 1)),
            number(contestant.longest_s * 1000),
        )
        for contestant in (ours, default)
    ]
    columns = ("delivery class", f"arrived of {COUNT}, per series", "ratio", "longest publish ms")
    report.tables.append(Table("RTT 50 ms, 3 % loss each way, TCP cubic", columns, rows))
    lost = len(ours.arrived) * COUNT - sum(ours.arrived)
    report.aims.append(Aim("share of observations lost", lost / (len(ours.arrived) * COUNT), 0.0))
    return report


def _wait_for_rest(arrived: Callable[[], int]) -> None:
    seen, since_s = arrived(), time.monotonic()
    while arrived() < COUNT and time.monotonic() - since_s < PATIENCE_S:
        time.sleep(0.05)
        if arrived() != seen:
            seen, since_s = arrived(), time.monotonic()
