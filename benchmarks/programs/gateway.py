"""A gateway in a process of its own, as `vagus gateway` runs it: `PROTOCOL PROFILE ROUTER`."""

from __future__ import annotations

import re
import sys

from benchmarks.programs.driver import announce
from vagus.gateway_config import GatewayConfig
from vagus.gateways.host import GatewayHost
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

if __name__ == "__main__":
    protocol, profile, router = sys.argv[1:]
    config = GatewayConfig(protocol=protocol, profile=profile, listen="127.0.0.1:0")
    with ZenohLink(ZenohConfig(connect=(router,))) as link, GatewayHost([config], link) as host:
        (line,) = host.lines()
        found = re.search(r":(\d+), profile", line)
        if found is None:
            raise ValueError(f"no port in {line!r}")
        announce(port=int(found[1]))
        sys.stdin.read()
