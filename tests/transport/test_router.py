from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from transport.rig import eventually, is_served, settle
from vagus.errors import ConfigError, LinkError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy
from vagus.transport.link import Delivery
from vagus.transport.router import CLOSE_TIMEOUT_S, Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

ANY_PORT = ("tcp/127.0.0.1:0",)


def test_port_zero_becomes_a_real_port_that_is_kept_over_a_restart() -> None:
    router = Router(RouterConfig(listen=ANY_PORT))
    with router:
        first = router.endpoints
        assert int(first[0].rpartition(":")[2]) > 0
    with router:
        assert router.endpoints == first
    router.close()


def test_a_taken_port_says_so() -> None:
    with (
        Router(RouterConfig(listen=ANY_PORT)) as router,
        pytest.raises(LinkError, match="another program listens there"),
        Router(RouterConfig(listen=router.endpoints)),
    ):
        pass


def test_routers_that_are_linked_serve_each_others_clients() -> None:
    with (
        Router(RouterConfig(listen=ANY_PORT)) as first,
        Router(RouterConfig(listen=ANY_PORT, connect=first.endpoints)) as second,
        ZenohLink(ZenohConfig(connect=first.endpoints)) as server,
        ZenohLink(ZenohConfig(connect=second.endpoints)) as robot,
    ):
        server.serve("@vagus/x", lambda query: query.reply(b""))
        assert eventually(lambda: is_served(robot, "@vagus/x"))


def test_a_router_waits_for_another_that_starts_later() -> None:
    later = Router(RouterConfig(listen=ANY_PORT))
    with later:
        endpoints = later.endpoints
    with (
        Router(RouterConfig(listen=ANY_PORT, connect=endpoints)) as router,
        later,
        ZenohLink(ZenohConfig(connect=endpoints)) as server,
        ZenohLink(ZenohConfig(connect=router.endpoints)) as robot,
    ):
        server.serve("@vagus/x", lambda query: query.reply(b""))
        assert eventually(lambda: is_served(robot, "@vagus/x"))


def test_access_rules_come_from_a_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json5"
    rules.write_text("{ enabled: true, default_permission: 'deny', rules: [], subjects: [], policies: [] }")
    with (
        Router(RouterConfig(listen=ANY_PORT, access_control=rules)) as router,
        ZenohLink(ZenohConfig(connect=router.endpoints)) as server,
        ZenohLink(ZenohConfig(connect=router.endpoints)) as robot,
    ):
        server.serve("@vagus/x", lambda query: query.reply(b""))
        assert is_served(server, "@vagus/x")  # on its own side of the router
        assert not is_served(robot, "@vagus/x")


def test_access_rules_that_zenoh_does_not_know_are_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.json5"
    rules.write_text("{ enabeld: true }")
    with (
        pytest.raises(ConfigError, match="Zenoh settings"),
        Router(RouterConfig(listen=ANY_PORT, access_control=rules)),
    ):
        pass
    rules.write_bytes(b"\xff")
    with (
        pytest.raises(ConfigError, match="text file"),
        Router(RouterConfig(listen=ANY_PORT, access_control=rules)),
    ):
        pass


def test_a_goodbye_into_a_black_hole_delays_the_end_by_seconds_only() -> None:
    with Router(RouterConfig(listen=ANY_PORT, shared_memory=False)) as router:
        port = int(router.endpoints[0].rpartition(":")[2])
        near = ZenohConfig(connect=router.endpoints, shared_memory=False)
        with FaultProxy("127.0.0.1", port) as proxy:
            far = ZenohConfig(connect=(f"tcp/127.0.0.1:{proxy.port}",), shared_memory=False)
            with ZenohLink(near) as robot, ZenohLink(far) as server:
                server.subscribe("@vagus/x", lambda sample: None)
                settle(server, robot)
                proxy.set(Faults(stall=True))
                for _ in range(4):
                    robot.publish(
                        "@vagus/x", header=b"", payload=bytes(2_000_000), delivery=Delivery.OBSERVATION
                    )
                began_s = time.monotonic()
                router.close()
                assert time.monotonic() - began_s < 2 * CLOSE_TIMEOUT_S  # Zenoh alone: 10 s


def test_the_interpreter_exits_without_a_close() -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVE], capture_output=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


LEAVE = """
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig
Router(RouterConfig(listen=("tcp/127.0.0.1:0",))).open()
"""
