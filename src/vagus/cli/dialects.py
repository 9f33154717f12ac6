"""Output of `vagus doctor --dialect`: the protocols that answer at an address, and whether they are kept."""

from __future__ import annotations

import msgspec
from rich.markup import escape

from vagus.cli.console import console
from vagus.cli.exit_code import ExitCode
from vagus.errors import LinkError
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.findings import Check, Recognised
from vagus.gateways.recognition.search import Search, search
from vagus.quoting import quoted
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["show_dialects"]

_MARKS = {True: "[green]kept[/]", False: "[red]broken[/]", None: "[yellow]open[/]"}
_MAX_LINE = 600


def show_dialects(address: str, zenoh: ZenohConfig, *, as_json: bool) -> int:
    """Print what answers at an address; return 0 if a protocol was recognised and each one is kept.

    Raises:
        ConfigError: it is no address.
        LinkError: nobody accepts connections there.
    """
    where = parse_searched(address)
    found = search(where, zenoh)
    if as_json:
        said = {"address": where.target, "there": found.there, "recognised": [*map(_built, found.recognised)]}
        print(msgspec.json.encode(said).decode())
    elif found.is_anybody:
        _print(where.target, found)
    if not found.is_anybody:
        raise LinkError(f"{where.target}: {found.there}")
    is_good = bool(found.recognised) and all(one.is_kept for one in found.recognised)
    return ExitCode.OK if is_good else ExitCode.REFUSED


def _built(one: Recognised) -> dict[str, object]:
    checks = [{"rule": check.rule, "kept": check.is_kept, "got": check.got} for check in one.checks]
    return {
        "protocol": one.protocol,
        "version": one.version,
        "kept": one.is_kept,
        "seen": one.seen,
        "checks": checks,
    }


def _print(target: str, found: Search) -> None:
    screen = console()
    screen.print(escape(quoted(f"{target}: {found.there}", _MAX_LINE)), highlight=False)
    for one in found.recognised:
        mark = "[green]ok[/]" if one.is_kept else "[red]problem[/]"
        name = escape(quoted(" ".join((one.protocol, one.version)).strip(), 120))
        screen.print(f"\n{mark} [bold]{name}[/]: {escape(quoted(one.seen, _MAX_LINE))}", highlight=False)
        for check in one.checks:
            screen.print(f"  {_MARKS[check.is_kept]} {escape(_told(check))}", highlight=False)
    if not found.recognised:
        screen.print("[red]problem[/] it speaks none of the protocols that vagus recognises", highlight=False)


def _told(check: Check) -> str:
    return quoted(f"{check.rule}: {check.got}" if check.got else check.rule, _MAX_LINE)
