# ruff: noqa: T201 - a program that reports
"""What does Zenoh deliver wrongly after an outage, and what keeps it out?

    python tests/soak/misrouting.py --flaps 200 --seeds 1 2 3 --far gateway
    python tests/soak/misrouting.py --flaps 60 --far server --far-lease-ms 4000 --down-s 1.0 1.6

The first shows messages under wrong keys where sessions live on through a lost transport, the second
garbled messages where no checksum is kept. `accepted_wrong` counts what the check of the header lets pass
of messages under wrong keys: it must be 0 even where sessions live on. Each seed's outages run under each
rule at the same time. Exits 1 if anything wrong was delivered under `reopen`, or accepted under any rule.
Needs root and network namespaces; 200 outages take seven minutes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from netlab.flapping import Outages, Report, run_flapping
from netlab.lab import Lab, build, why_not

PROGRAM = Path(__file__).parents[1] / "netlab" / "misrouting.py"
RULES = ("reopen", "reopen-unchecked", "live-on", "live-on-unchecked")


def run(shaper: Path, rule: str, chosen: argparse.Namespace, outages: Outages) -> Report:
    """Run one laboratory through its outages."""
    far, robots = str(chosen.far), str(chosen.robots)
    near = "robots" if far == "server" else "server"
    near_side: list[str | Path] = [
        sys.executable,
        PROGRAM,
        "near",
        near,
        robots,
        rule,
        str(chosen.near_lease_ms),
    ]
    far_side: list[str | Path] = [sys.executable, PROGRAM, "far", far, robots, rule, str(chosen.far_lease_ms)]
    with Lab(shaper, seed=outages.seed) as lab:
        return run_flapping(lab, near_side, far_side, outages)


def accepted_wrong(report: Report) -> int:
    """Return how many messages of somebody else the header check let pass, on both sides."""
    return sum(int(str(side["accepted_wrong"])) for side in (report.robot, report.server))


def wrong(report: Report) -> int:
    """Return how many messages arrived under a wrong key or broken, on both sides."""
    sides = (report.robot, report.server)
    return sum(int(str(side[what])) for side in sides for what in ("misrouted", "garbled"))


def main() -> int:
    """Print one line per run; the exit code says whether the rule holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flaps", type=int, default=200)
    parser.add_argument("--robots", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--down-s", type=float, nargs=2, default=(0.5, 1.1))
    parser.add_argument("--near-lease-ms", type=int, default=1000)
    parser.add_argument("--far-lease-ms", type=int, default=1000)
    parser.add_argument("--far", choices=("server", "robots", "gateway"), default="gateway")
    parser.add_argument("--rules", choices=RULES, nargs="+", default=list(RULES))
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the laboratories are taken down
    reason = why_not()
    if reason is not None:
        print(f"cannot run here: {reason}")
        return 2
    total = dict.fromkeys(chosen.rules, 0)
    accepted = dict.fromkeys(chosen.rules, 0)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(chosen.rules)) as pool:
        shaper = build(Path(folder))
        for seed in chosen.seeds:
            outages = Outages(chosen.flaps, seed, down_s=tuple(chosen.down_s), up_s=(0.8, 1.4))
            runs = {rule: pool.submit(run, shaper, rule, chosen, outages) for rule in chosen.rules}
            for rule, report in runs.items():
                result = report.result()
                total[rule] += wrong(result)
                accepted[rule] += accepted_wrong(result)
                line = {
                    "far": chosen.far,
                    "rule": rule,
                    "seed": seed,
                    "flaps": chosen.flaps,
                    "wrong": wrong(result),
                    "accepted_wrong": accepted_wrong(result),
                }
                print(json.dumps(line | {"far_side": result.robot, "near_side": result.server}), flush=True)
    print(json.dumps({"wrong": total, "accepted_wrong": accepted}))
    return 1 if total.get("reopen") or any(accepted.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
