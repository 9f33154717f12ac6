"""`vagus chaos`: a bad network between two TCP ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from vagus.cli.exit_code import ExitCode
from vagus.cli.signals import stop_event
from vagus.errors import ConfigError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy

__all__ = ["ChaosCommand"]

LINE_S = 2.0
"""Seconds between two lines on how many connections there are."""


@dataclass(frozen=True)
class ChaosCommand:
    """Forward a TCP port with faults: point robots at LISTEN, and TARGET at the router.

    Example: vagus chaos 127.0.0.1:7448 127.0.0.1:7447 --delay-ms 150
    """

    listen: Annotated[str, tyro.conf.Positional]
    """host:port to listen on; port 0 picks a free one."""
    target: Annotated[str, tyro.conf.Positional]
    """host:port to forward to."""
    faults: Annotated[Faults, tyro.conf.arg(name="")] = field(default_factory=Faults)
    cut_every_s: float = 0.0
    """Cut all connections this often; 0: never."""
    cut_for_s: float = 1.0
    """How long each cut lasts."""

    def run(self) -> int:
        """Forward until Ctrl-C or SIGTERM."""
        if self.cut_every_s < 0 or self.cut_for_s <= 0:
            raise ConfigError(
                "cut",
                wanted="cut_every_s of 0 or more, cut_for_s above 0",
                got=f"{self.cut_every_s}, {self.cut_for_s}",
            )
        stopping = stop_event()
        console = Console()
        (host, port), target = parse_address(self.listen), parse_address(self.target)
        with FaultProxy(*target, host=host, port=port, faults=self.faults) as proxy:
            console.print(
                f"forwarding port {proxy.port} to {self.target} with {self.faults}", highlight=False
            )
            while not stopping.wait(self.cut_every_s or LINE_S):
                if self.cut_every_s:
                    console.print(f"cut for {self.cut_for_s:g} s", highlight=False)
                    proxy.cut()
                    stopping.wait(self.cut_for_s)
                    proxy.heal()
        return ExitCode.OK


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of "host:port".

    Raises:
        ConfigError: it is no such address.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError("address", wanted="host:port, e.g. 127.0.0.1:7448", got=repr(text))
    return host.strip("[]"), int(port)
