"""Command `vagus chaos`: a bad network between two TCP ports."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import tyro

from vagus.api.stop_signal import stop_event
from vagus.cli.console import say
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.needed import check_needed
from vagus.errors import ConfigError
from vagus.setting_ranges import check_seconds
from vagus.transport.endpoints import bracketed
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy

__all__ = ["ChaosCommand"]

POLL_S = 0.2
"""Period at which a change of the target's state is checked."""


@dataclass(frozen=True)
class ChaosCommand:
    """Forward a TCP port with network faults. Robots connect to LISTEN; TARGET is the router.

    Example: vagus chaos 127.0.0.1:7448 127.0.0.1:7447 --delay-ms 150
    """

    listen: Annotated[str, tyro.conf.Positional]
    """host:port to listen on; port 0 picks a free one."""
    target: Annotated[str, tyro.conf.Positional]
    """host:port to forward to."""
    faults: Annotated[Faults, tyro.conf.arg(name="")] = field(default_factory=Faults)
    cut_every_s: float = 0.0
    """Time between two cuts of all connections, in seconds; 0: no cuts."""
    cut_for_s: float = 1.0
    """Duration of each cut, in seconds."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)
    is_lasting: ClassVar[bool] = True
    """The command must not hang or fail because of its terminal."""

    def run(self) -> int:
        """Forward until Ctrl-C or another end signal."""
        check_seconds("cut_every_s", self.cut_every_s, or_zero=True)
        check_seconds("cut_for_s", self.cut_for_s)
        check_needed(self, ChaosCommand, ("cut_for_s",), "cut_every_s")
        check_needed(self.faults, Faults(), ("rare_ms",), "rare_share")
        check_needed(self.faults, Faults(), ("rare_share",), "rare_ms")
        stopping = stop_event()
        (host, port), target = parse_address(self.listen), parse_address(self.target)
        with FaultProxy(*target, host=host, port=port, faults=self.faults) as proxy:
            say(f"forwarding {bracketed(host)}:{proxy.port} to {self.target}: {in_words(self.faults)}")
            self._disturb(proxy, stopping)
        return ExitCode.OK

    def _disturb(self, proxy: FaultProxy, stopping: threading.Event) -> None:
        trouble, healed_s = "", time.monotonic()
        while not stopping.wait(POLL_S):
            if proxy.trouble != trouble:
                trouble = proxy.trouble
                say(trouble or f"{self.target} takes connections again")
            if self.cut_every_s and time.monotonic() - healed_s >= self.cut_every_s:
                say(f"cut for {self.cut_for_s:g} s")
                proxy.cut()
                stopping.wait(self.cut_for_s)
                proxy.set(self.faults)  # all of them hold again
                healed_s = time.monotonic()


def in_words(faults: Faults) -> str:
    """Return the faults of a path as text for people."""
    said = {
        f"{faults.delay_ms:g} ms more delay each way": faults.delay_ms > 0,
        f"up to {faults.jitter_ms:g} ms jitter": faults.jitter_ms > 0,
        f"{faults.rare_ms:g} ms more for {faults.rare_share:.1%} of the messages": faults.rare_share > 0,
        f"at most {faults.rate_mbit:g} Mbit/s each way": faults.rate_mbit > 0,
        "every byte held": faults.stall,
        "every byte swallowed": faults.black_hole,
        "all connections refused": faults.cut,
    }
    return ", ".join(text for text, is_so in said.items() if is_so) or "nothing added"


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of "host:port".

    Raises:
        ConfigError: the text is no such address.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError("address", wanted="host:port, e.g. 127.0.0.1:7448", got=repr(text))
    return host.strip("[]"), int(port)
