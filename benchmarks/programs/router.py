"""A Zenoh router in a process of its own: no arguments; says its endpoint."""

from __future__ import annotations

import sys

from benchmarks.programs.driver import announce
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig

if __name__ == "__main__":
    listen = sys.argv[1] if len(sys.argv) > 1 else "tcp/127.0.0.1:0"
    with Router(RouterConfig(listen=(listen,))) as router:
        announce(endpoint=router.endpoints[0], port=int(router.endpoints[0].rpartition(":")[2]))
        sys.stdin.read()
