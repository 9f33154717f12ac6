"""`python -m benchmarks [name …] [--quick]`: run benchmarks and print their tables."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Protocol

from benchmarks.report import Report

__all__ = ["NAMES", "main"]

NAMES = (
    "control_isolation",
    "recording",
    "round_trip",
    "gateways",
    "delivery",
    "throughput",
    "batching",
    "gpu",
    "scheduling",
    "fleet",
    "load",
    "tick_cost",
    "delay",
    "success",
    "point_cloud",
    "depth_codecs",
)
"""Each is a module of this package; docs/benchmarks has their results."""


class Runner(Protocol):
    """What each of those modules has."""

    def __call__(self, *, quick: bool) -> Report: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks named, or all; a missed aim is reported and is no error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*NAMES, []], help="which; none given: all", metavar="name"
    )
    parser.add_argument("--quick", action="store_true", help="a few samples, to see that everything works")
    parsed = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n", flush=True)
    for name in parsed.names or NAMES:
        begin_s = time.monotonic()
        runner: Runner = importlib.import_module(f"benchmarks.{name}").run
        print(runner(quick=parsed.quick).to_markdown())
        print(f"\n({name}: {time.monotonic() - begin_s:.0f} s)\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
