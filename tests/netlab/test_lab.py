"""The laboratory does to packets what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netlab.lab import SERVER_ADDRESS, Lab, Weather

pytestmark = pytest.mark.netns

ECHO = f"""
import socket
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("{SERVER_ADDRESS}", 9))
print("ready", flush=True)
while True:
    end.sendto(*end.recvfrom(2000))
"""

ASK = f"""
import socket, sys, time
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.connect(("{SERVER_ADDRESS}", 9))
end.settimeout(0.5)
count = int(sys.argv[1])
began_s = time.monotonic()
for _ in range(count):
    end.send(bytes(100))
came = 0
try:
    while came < count:
        end.recv(2000)
        came += 1
except TimeoutError:
    pass
print(came, time.monotonic() - began_s)
"""


def ask(lab: Lab, count: int) -> tuple[int, float]:
    """Return how many of `count` datagrams came back and how long the last one took."""
    asking = lab.start(lab.robot, [sys.executable, "-c", ASK, str(count)])
    out, _ = asking.communicate(timeout=30)
    came, took_s = out.split()
    return int(came), float(took_s)


def echo(lab: Lab) -> None:
    echoing = lab.start(lab.server, [sys.executable, "-c", ECHO])
    assert echoing.stdout is not None
    assert echoing.stdout.readline() == "ready\n"


def test_packets_are_delayed_lost_and_swallowed_as_asked(shaper: Path) -> None:
    with Lab(shaper) as lab:
        echo(lab)
        assert ask(lab, 50)[0] == 50
        lab.set(Weather(delay_ms=60))
        came, took_s = ask(lab, 1)
        assert came == 1
        assert took_s >= 0.12
        lab.set(Weather(up=False))
        assert ask(lab, 5)[0] == 0
        lab.set(Weather(loss=0.5))
        came, _ = ask(lab, 400)
        assert 20 < came < 200  # a quarter survives both ways; ±8 standard deviations
        there, back = lab.slots()
        assert there.lost > 100
        assert back.carried >= came


def test_two_labs_run_at_once_and_leave_nothing_behind(shaper: Path) -> None:
    with Lab(shaper) as one, Lab(shaper) as other:
        for lab in (one, other):
            echo(lab)
        one.set(Weather(up=False))
        assert ask(one, 5)[0] == 0
        assert ask(other, 5)[0] == 5
        hosts = {one.robot, one.server, other.robot, other.server}
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not {line.split()[0] for line in listed.splitlines() if line} & hosts


ACCEPT = f"""
import socket
listener = socket.create_server(("{SERVER_ADDRESS}", 5))
print("ready", flush=True)
end, _ = listener.accept()
print(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\\0").decode())
"""

CONNECT = f"""
import socket
end = socket.create_connection(("{SERVER_ADDRESS}", 5))
print(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\\0").decode())
"""


@pytest.mark.parametrize("algorithm", ["cubic", "reno"])
def test_both_ends_use_the_congestion_control_asked_for(shaper: Path, algorithm: str) -> None:
    with Lab(shaper, congestion_control=algorithm) as lab:
        accepting = lab.start(lab.server, [sys.executable, "-c", ACCEPT])
        assert accepting.stdout is not None
        assert accepting.stdout.readline() == "ready\n"
        connecting = lab.start(lab.robot, [sys.executable, "-c", CONNECT])
        assert connecting.communicate(timeout=30)[0] == f"{algorithm}\n"
        assert accepting.communicate(timeout=30)[0] == f"{algorithm}\n"
