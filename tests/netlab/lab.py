"""Two hosts with a bad network between them, on one machine: network namespaces and `shaper.c`."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

TESTS = Path(__file__).parents[1]
SOURCE = Path(__file__).with_name("shaper.c")
PREFIX = "vagus-lab-"
NETWORK = "10.77.0.0/24"
ROBOT_ADDRESS = "10.77.0.1"
SERVER_ADDRESS = "10.77.0.2"
"""Inside namespaces of their own, so that several labs may use the same."""

COMMAND_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Weather:
    """What the network does to packets, each way."""

    delay_ms: float = 0.0
    loss: float = 0.0
    """Share of packets, 0–1."""
    rate_mbit: float = 0.0
    """0: no limit."""
    queue_bytes: int = 250_000
    """What may wait for the rate limit."""
    up: bool = True
    """False: every packet vanishes."""


@dataclass(frozen=True)
class Traffic:
    """Packets so far in one direction."""

    carried: int
    lost: int
    overflowed: int


def why_not() -> str | None:
    """Return why no lab can be had here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    missing = [tool for tool in ("ip", "cc") if shutil.which(tool) is None]
    if missing:
        return f"no {' and no '.join(missing)}"
    name = f"{PREFIX}{os.getpid()}-try-{secrets.token_hex(3)}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no network namespaces: {tried.stderr.strip()}"


def build(folder: Path) -> Path:
    """Compile the shaper into `folder`."""
    program = folder / "shaper"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True)
    return program


class Lab:
    """Hosts `robot` and `server`: `with Lab(build(folder)) as lab:`."""

    def __init__(self, shaper: Path, *, congestion_control: str = "cubic", seed: int = 1) -> None:
        mark = secrets.token_hex(3)
        self.robot = f"{PREFIX}{os.getpid()}-robot-{mark}"
        self.server = f"{PREFIX}{os.getpid()}-server-{mark}"
        self._devices = {self.robot: f"vgr{mark}", self.server: f"vgs{mark}"}
        self._command: list[str | Path] = [shaper, *self._devices.values(), str(seed)]
        self._congestion_control = congestion_control
        self._shaper: subprocess.Popen[str] | None = None
        self._programs: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Lab:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every program that was started here and take the hosts away."""
        for program in self._programs:
            program.kill()
            program.communicate()
        if self._shaper is not None:
            self._shaper.kill()
            self._shaper.communicate()
            self._shaper = None
        for host in self._devices:
            subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)

    def set(self, weather: Weather) -> None:
        """Change the network; returns when it is so."""
        for field in fields(Weather):
            self._say(f"{field.name} {float(getattr(weather, field.name)):f}")

    def slots(self) -> tuple[Traffic, Traffic]:
        """Return the packets so far from robot to server, and back."""
        counts = [int(word) for word in self._say("stats").split()]
        return Traffic(*counts[:3]), Traffic(*counts[3:])

    def start(self, host: str, command: Sequence[str | Path]) -> subprocess.Popen[str]:
        """Start a program on a host, with pipes to its standard input and output."""
        program = subprocess.Popen(
            ["ip", "netns", "exec", host, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
        )
        self._programs.append(program)
        return program

    def _open(self) -> None:
        sweep()
        self._shaper = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._shaper.stdout is not None
        assert self._shaper.stdout.readline() == "ready\n"
        addresses = (ROBOT_ADDRESS, SERVER_ADDRESS)
        for (host, device), address in zip(self._devices.items(), addresses, strict=True):
            _ip("netns", "add", host)
            _ip("link", "set", device, "netns", host)
            _ip("-n", host, "addr", "add", f"{address}/24", "dev", device)
            _ip("-n", host, "link", "set", device, "mtu", "1500", "up")
            _ip("-n", host, "link", "set", "lo", "up")
            # on the route: the default of a namespace may only be what the machine allows to everybody
            route = ("dev", device, "src", address, "congctl", self._congestion_control)
            _ip("-n", host, "route", "replace", NETWORK, *route)

    def _say(self, line: str) -> str:
        shaper = self._shaper
        assert shaper is not None
        assert shaper.stdin is not None
        assert shaper.stdout is not None
        shaper.stdin.write(line + "\n")
        shaper.stdin.flush()
        return shaper.stdout.readline()


def sweep() -> None:
    """Take away the hosts of laboratories whose program was killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    for name in (line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)):
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=COMMAND_TIMEOUT_S)
