"""A slow path to a port of this machine: `PORT RATE_MBIT`; says its own port."""

from __future__ import annotations

import sys

from benchmarks.programs.driver import announce
from vagus.transport.faults import FaultProxy, Faults

if __name__ == "__main__":
    with FaultProxy("127.0.0.1", int(sys.argv[1]), faults=Faults(rate_mbit=float(sys.argv[2]))) as proxy:
        announce(port=proxy.port)
        sys.stdin.read()
