"""Command `vagus status`: the servers on the network, with their load and latency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import tyro
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from vagus.api.stop_signal import stop_event
from vagus.cli.console import console
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.survey import FoundServer, survey
from vagus.edge.client.session import parse_service
from vagus.errors import ConfigError, LinkError
from vagus.quoting import quoted
from vagus.setting_ranges import check_seconds
from vagus.transport.service_name import ServiceName
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["StatusCommand"]

COLUMNS = (
    "service",
    "server",
    "model",
    "phase",
    "sessions",
    "waiting",
    "busy",
    "needed",
    "starved",
    "inference, ms",
)

MAX_BATCHES = 8
"""Batch sizes whose inference time has room in a row."""


@dataclass(frozen=True)
class StatusCommand:
    """List the servers on the network side by side, with their load and inference time per batch size."""

    service: str = ""
    """model/revision/name, as `vagus serve` prints it; empty: all."""
    watch: bool = False
    """Repeat until Ctrl-C."""
    interval_s: float = 1.0
    """Pause between two lists, in seconds."""
    json: bool = False
    """Print JSON for a program."""
    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def run(self) -> int:
        """Print the list once, or until Ctrl-C."""
        check_seconds("interval_s", self.interval_s)
        if self.watch and self.json:
            raise ConfigError("status", wanted="either --watch or --json", got="both")
        check_needed(self, StatusCommand, ("interval_s",), "watch")
        service = parse_service(self.service)
        stopping = stop_event()
        screen = console()
        with ZenohLink(self.zenoh) as link:
            found = survey(link, service)
            if self.json:
                screen.print_json(as_json(found))
            elif not self.watch:
                screen.print(as_table(found))
            else:
                with Live(as_table(found), console=screen, refresh_per_second=4) as live:
                    while not stopping.wait(self.interval_s):
                        live.update(_look(link, service))
        return ExitCode.OK if found or self.watch else ExitCode.UNREACHABLE


def as_json(found: Iterable[FoundServer]) -> str:
    """Return one JSON array, an object per server."""
    rows = [
        {
            "service": server.service,
            "server": server.key.server,
            "answers": server.capabilities is not None,
            "trouble": server.trouble,
            "capabilities": None if server.capabilities is None else msgspec.to_builtins(server.capabilities),
        }
        for server in found
    ]
    return msgspec.json.encode(rows).decode()


def as_table(found: Iterable[FoundServer]) -> Table:
    """Return a table, a row per server."""
    table = Table(*COLUMNS)
    for server in found:
        table.add_row(*(escape(quoted(cell)) for cell in _row(server)))
    if not table.row_count:
        table.title = "no server on this network"
    return table


def _look(link: ZenohLink, service: ServiceName | None) -> Table:
    try:
        return as_table(survey(link, service))
    except LinkError as error:
        table = Table("network")
        table.add_row(escape(f"away: {error}"))
        return table


def _row(server: FoundServer) -> tuple[str, ...]:
    said = server.capabilities
    if said is None:
        return (
            server.service,
            server.key.server,
            "",
            f"no answer: {server.trouble}",
            *[""] * (len(COLUMNS) - 4),
        )
    load = said.load
    return (
        server.service,
        server.key.server,
        said.model_hash[:12],
        f"failing: {said.failing}" if said.failing else said.phase,
        f"{load.sessions}/{load.max_sessions}",
        str(load.waiting),
        f"{load.busy:.0%}",
        f"{load.demand:.0%}",
        f"{load.starved_share:.1%}",
        " · ".join(f"{row.batch_size}: {row.p50_ms:.0f}" for row in said.latency[:MAX_BATCHES]),
    )
