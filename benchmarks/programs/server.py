"""A vagus server with the echo policy: `ENDPOINT CAMERAS`; says its name when sessions are accepted."""

from __future__ import annotations

import json
import sys

from benchmarks.programs.driver import announce
from benchmarks.programs.policies import EchoPolicy
from vagus.server.config import ServeConfig
from vagus.server.server import Server
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

if __name__ == "__main__":
    zenoh = ZenohConfig(connect=(sys.argv[1],))
    config = ServeConfig(policy="echo", max_sessions=256, warm_up_runs=1, zenoh=zenoh)
    cameras = int(sys.argv[2])
    with ZenohLink(zenoh) as link, Server(link, lambda: EchoPolicy(cameras=cameras), config) as server:
        server.wait_ready(30.0)
        announce(server=server.key.server)
        for line in sys.stdin:
            announce(echo=json.loads(line))
