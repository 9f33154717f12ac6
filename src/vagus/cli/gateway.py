"""Command `vagus gateway`: robots of foreign protocols use a vagus server."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import tyro
from rich.markup import escape

from vagus.api.stop_signal import stop_event
from vagus.cli.console import console
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import TOLD, LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.serve_arguments import SUFFIXES
from vagus.cli.waiting import keep_trying
from vagus.errors import ConfigError
from vagus.gateway_config import GatewayConfig
from vagus.gateways.host import GatewayHost
from vagus.gateways.registry import PROTOCOLS
from vagus.server.exposition import metrics_answer
from vagus.server.health import HealthServer
from vagus.server.manifest import load_gateways
from vagus.setting_ranges import check_port
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["GatewayCommand"]

WHAT = f"a protocol ({', '.join(PROTOCOLS)}), or a file (.yaml, .toml or .json) with a list `gateways`"


@dataclass(frozen=True, kw_only=True)
class GatewayFlags(GatewayConfig):
    """The settings as flags; the protocol is given before them."""

    protocol: tyro.conf.Suppress[tyro.conf.Fixed[str]] = ""

    def of_protocol(self, protocol: str) -> GatewayConfig:
        """Return the settings of a gateway of this protocol."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(GatewayConfig)}
        return replace(GatewayConfig(**given), protocol=protocol)


@dataclass(frozen=True, slots=True)
class GatewayLinkFlags(ZenohConfig):
    """Network settings as flags; `--listen` is the address for the robots."""

    listen: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()


@dataclass(frozen=True)
class GatewayCommand:
    """Let robots of a foreign protocol use a vagus server.

    Each robot gets a session of its own, as a native one. Several gateways of one process stand in a file.
    Example: vagus gateway openpi --profile droid --listen 0.0.0.0:8000
    """

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PROTOCOL|FILE")]
    """Protocol: openpi, gr00t, pointact, lerobot_grpc, astribot, lerobot_zenoh or lerobot_zenoh_draft. Or a
    .yaml, .toml or .json file with a list `gateways`."""
    config: Annotated[GatewayFlags, tyro.conf.arg(name="")] = field(default_factory=GatewayFlags)
    zenoh: Annotated[GatewayLinkFlags, tyro.conf.arg(name="")] = field(default_factory=GatewayLinkFlags)
    health_host: str = "127.0.0.1"
    """Address of the health endpoint; 0.0.0.0, or :: for IPv6, if probes come from other hosts."""
    health_port: int = 0
    """Port of /healthz, /readyz and /metrics; 0: off."""
    wait: bool = False
    """Wait for a router, instead of an error after --open-timeout-s."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)
    is_lasting: ClassVar[bool] = True
    """The command must not hang or fail because of its terminal."""
    told: ClassVar[tuple[str, ...]] = (*TOLD, "vagus")
    """Loggers that are shown: robots that come and leave, and what is wrong with requests."""

    def run(self) -> int:
        """Run the gateways until an end signal."""
        check_port("health_port", self.health_port)
        check_needed(self, GatewayCommand, ("health_host",), "health_port")
        link = ZenohLink(self.zenoh)
        host = GatewayHost(self.configs(), link)
        stopping = stop_event()
        try:
            if self.wait:
                keep_trying(link.open, console(), stopping)
            else:
                link.open()
            self._serve(host, link, stopping)
        finally:
            link.close()
        return ExitCode.OK

    def _serve(self, host: GatewayHost, link: ZenohLink, stopping: threading.Event) -> None:
        screen = console()
        with host, ExitStack() as stack:
            if self.health_port:
                probes = HealthServer(self.health_host, self.health_port, partial(_answer, link, host))
                probes.start()
                stack.callback(probes.stop)
            for line in host.lines():
                screen.print(escape(line), highlight=False, soft_wrap=True)
            screen.print("gateway ready", highlight=False)
            for line in host.troubles():
                screen.print(f"[yellow]warning[/] {escape(line)}", highlight=False, soft_wrap=True)
            stopping.wait()

    def configs(self) -> Sequence[GatewayConfig]:
        """Return the settings of each gateway.

        Raises:
            ConfigError: neither a protocol nor a file, a file that is wrong, or a flag beside a file.
        """
        if Path(self.what).suffix.lower() not in SUFFIXES:
            if self.what not in PROTOCOLS:
                raise ConfigError("gateway", wanted=WHAT, got=repr(self.what))
            return [self.config.of_protocol(self.what)]
        if self.config != GatewayFlags():
            raise ConfigError("gateway", wanted=f"all settings in {self.what}", got="flags beside it, too")
        return load_gateways(Path(self.what))


def _answer(link: ZenohLink, host: GatewayHost, path: str) -> tuple[int, bytes]:
    """Return HTTP status and body for a probe of `path`."""
    if path == "/healthz":
        return 200, b"ok\n"
    if path == "/readyz":
        return (200, b"ready\n") if link.health().is_connected else (503, b"the network is away\n")
    if path == "/metrics":
        return metrics_answer([host.families])
    return 404, b"/healthz, /readyz or /metrics\n"
