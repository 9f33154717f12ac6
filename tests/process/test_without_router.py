"""A server that listens and robots that connect to it: nobody in between."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from process.rig import HERE, PATIENCE_S, START_S, call, check_one_line
from vagus.cli.child import Child
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

POLICY = f"{HERE / 'slow_policy.py'}:stay"


def port_of(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as unused:
        unused.bind((host, 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(
    ("listen", "connect"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        pytest.param("[::1]", "[::1]", marks=pytest.mark.slow),
    ],
)
def test_robots_connect_to_a_server_that_listens(listen: str, connect: str) -> None:
    try:
        port = port_of(listen.strip("[]"))
    except OSError:
        pytest.skip(f"this machine has no {listen}")
    endpoint = f"tcp/{connect}:{port}"
    network = ["--mode", "peer", "--listen", f"tcp/{listen}:{port}"]
    with Child("server", ["serve", "--policy", POLICY, *network]) as server:
        server.wait_for_line("no certificates", timeout_s=START_S)
        server.wait_for_line("server ready", timeout_s=START_S)
        for mode in ("peer", "client"):
            done = call("run", "--connect", endpoint, "--mode", mode, "--name", mode, "--duration-s", "1")
            assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        for tool in ("status", "doctor"):
            assert "stay" in call(tool, "--connect", endpoint).stdout
        second = call("serve", "--policy", POLICY, *network)
        check_one_line(second, ExitCode.UNREACHABLE, "cannot listen on", "another program listens there")


def test_a_manifest_needs_no_more_than_the_flags(tmp_path: Path) -> None:
    endpoint = f"tcp/127.0.0.1:{port_of('127.0.0.1')}"
    manifest = tmp_path / "serve.json"
    manifest.write_text(f'{{"policy": "{POLICY}", "zenoh": {{"mode": "peer", "listen": ["{endpoint}"]}}}}')
    with Child("server", ["serve", str(manifest)]) as server:
        server.wait_for_line("server ready", timeout_s=START_S)
        done = call("run", "--connect", endpoint, "--duration-s", "0.5", timeout_s=PATIENCE_S)
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
