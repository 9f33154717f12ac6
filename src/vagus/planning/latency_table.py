"""Table of the inference time by batch size: as a person types it, or as a server measured it. Pure."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from vagus.errors import ConfigError
from vagus.wire.schema import MAX_LATENCY_ROWS, LatencyRow

__all__ = ["LEAST_MS", "check_table", "measured_table", "typed_table"]

ENTRY = re.compile(r"(\d{1,9}):(.+)")
LEAST_MS = 0.05
"""Shortest inference that is told from none: about the hand-over of a request between two threads."""
MAX_MS = 3_600_000.0
"""An hour."""
EXAMPLE = "1:25.3 2:34.4 4:53.4 8:94.1"


def typed_table(entries: Sequence[str], *, setting: str = "latency_ms") -> dict[int, float]:
    """Return batch size → inference time in ms, from entries like "4:53.4".

    Raises:
        ConfigError: an entry is no such pair, or the table is none that a device has.
    """
    pairs = [_pair(entry, setting) for entry in entries]
    sizes = [size for size, _ in pairs]
    twice = sorted({size for size in sizes if sizes.count(size) > 1})
    if twice:
        raise ConfigError(setting, wanted="each batch size once", got=f"size {twice[0]} twice")
    table = dict(sorted(pairs))
    check_table(table, setting=setting)
    return table


def measured_table(rows: Iterable[LatencyRow], *, server: str) -> dict[int, float]:
    """Return batch size → inference time in ms, as a server measured it.

    The median of a few runs may fall from one size to the next by chance; a device is never faster with more
    rows, so each size takes at least what the smaller ones take. A time below the resolution becomes
    `LEAST_MS`.

    Raises:
        ConfigError: the server has measured nothing, or not all sizes.
    """
    medians = {row.batch_size: max(row.p50_ms, LEAST_MS) for row in rows}
    sizes = sorted(medians)
    rising = itertools.accumulate((medians[size] for size in sizes), max)
    table = dict(zip(sizes, rising, strict=True))
    if not table:
        raise ConfigError(
            f"the profile of {server}",
            wanted="inference times",
            got="none",
            fix="it still loads, or was started without its warm-up; --latency-ms takes a table",
        )
    check_table(table, setting=f"the profile of {server}")
    return table


def check_table(table: Mapping[int, float], *, setting: str) -> None:
    """Raise ConfigError unless a device can have this table, and every size between can be told from it.

    Between two sizes the time is taken to rise evenly. So each size may be at most double the one before.
    """
    if 1 not in table:
        fix = f"for example {EXAMPLE}"
        got = f"sizes {_listed(table)}" if table else "no table"
        raise ConfigError(setting, wanted="the time of one row alone, 1:MS", got=got, fix=fix)
    for size, larger in itertools.pairwise(sorted(table)):
        if table[larger] < table[size]:
            raise ConfigError(
                setting,
                wanted="times that do not fall with the batch size",
                got=f"{table[size]:g} ms for {size}, {table[larger]:g} ms for {larger}",
                fix="measure again, with more runs and nothing else on the device",
            )
        if larger > 2 * size:
            raise ConfigError(
                setting,
                wanted=f"the next size after {size} to be at most {2 * size}",
                got=f"a gap from {size} to {larger}",
                fix=f"measure size {2 * size}, too",
            )


def _pair(entry: str, setting: str) -> tuple[int, float]:
    found = ENTRY.fullmatch(entry.strip())
    if found is None:
        raise ConfigError(setting, wanted=f"pairs SIZE:MS, for example {EXAMPLE}", got=repr(entry))
    size, time_ms = int(found[1]), _number(found[2])
    if not 1 <= size <= MAX_LATENCY_ROWS:
        raise ConfigError(setting, wanted=f"batch sizes from 1 to {MAX_LATENCY_ROWS}", got=repr(entry))
    if time_ms is None or not LEAST_MS <= time_ms <= MAX_MS:
        wanted = f"milliseconds from {LEAST_MS:g} to {MAX_MS:.0f}"
        raise ConfigError(setting, wanted=wanted, got=repr(entry))
    return size, time_ms


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _listed(table: Mapping[int, float]) -> str:
    return ", ".join(map(str, sorted(table)))
