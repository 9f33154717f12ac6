# ruff: noqa: T201 - a program that reports
"""Does Zenoh deliver under wrong keys after an outage, and does replacing lost transports end that?

    python tests/soak/misrouting.py --flaps 200 --robots 8 --seeds 1 2 3 --far gateway

Runs the same outages twice at a time: with lost transports replaced, and with sessions that live on. Exits 1
if anything was misrouted with replacing. Needs root and network namespaces; 200 outages take eight minutes.
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

from netlab.flapping import Report, run_flapping
from netlab.lab import Lab, build, why_not

PROGRAM = Path(__file__).parents[1] / "netlab" / "misrouting.py"
RULES = ("reopen", "live-on")


def run(shaper: Path, rule: str, far: str, *, flaps: int, robots: int, seed: int) -> Report:
    """Run one laboratory through its outages."""
    near = "robots" if far == "server" else "server"
    near_side: list[str | Path] = [sys.executable, PROGRAM, "near", near, str(robots), rule]
    far_side: list[str | Path] = [sys.executable, PROGRAM, "far", far, str(robots), rule]
    with Lab(shaper, seed=seed) as lab:
        return run_flapping(lab, near_side, far_side, count=flaps, seed=seed)


def misrouted(report: Report) -> int:
    """Return how many messages arrived under a wrong key, on both sides."""
    return sum(int(str(side["misrouted"])) for side in (report.robot, report.server))


def main() -> int:
    """Print one line per run; the exit code says whether the rule holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flaps", type=int, default=200)
    parser.add_argument("--robots", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--far", choices=("server", "robots", "gateway"), default="gateway")
    parser.add_argument("--rules", choices=RULES, nargs="+", default=list(RULES))
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the laboratories are taken down
    reason = why_not()
    if reason is not None:
        print(f"cannot run here: {reason}")
        return 2
    total = dict.fromkeys(chosen.rules, 0)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(chosen.rules)) as pool:
        shaper = build(Path(folder))
        for seed in chosen.seeds:
            runs = {
                rule: pool.submit(
                    run, shaper, rule, chosen.far, flaps=chosen.flaps, robots=chosen.robots, seed=seed
                )
                for rule in chosen.rules
            }
            for rule, report in runs.items():
                result = report.result()
                total[rule] += misrouted(result)
                line = {
                    "far": chosen.far,
                    "rule": rule,
                    "seed": seed,
                    "flaps": chosen.flaps,
                    "misrouted": misrouted(result),
                }
                print(json.dumps(line | {"far_side": result.robot, "near_side": result.server}), flush=True)
    print(json.dumps({"misrouted": total}))
    return 1 if total.get("reopen") else 0


if __name__ == "__main__":
    sys.exit(main())
