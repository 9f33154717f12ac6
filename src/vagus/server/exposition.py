"""Metrics in the text format of Prometheus; needs the extra `metrics`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import TypeAlias

from vagus.errors import ConfigError
from vagus.server.metrics import Histogram

__all__ = ["Collect", "cumulative", "exposition", "metrics_answer"]

Collect: TypeAlias = Callable[[ModuleType], Iterable[object]]
"""Gives metric families, made with the module prometheus_client.core."""


def exposition(collects: Sequence[Collect]) -> bytes:
    """Return all metrics in the Prometheus text format.

    Raises:
        ConfigError: prometheus_client is not installed.
    """
    try:
        client = importlib.import_module("prometheus_client")
        core = importlib.import_module("prometheus_client.core")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "metrics",
            wanted="the package prometheus_client",
            got="an installation without it",
            fix='pip install "vagus[metrics]"',
        ) from error
    registry = client.CollectorRegistry()
    registry.register(_Collector(collects, core))
    text = client.generate_latest(registry)
    return bytes(text)


def metrics_answer(collects: Sequence[Collect]) -> tuple[int, bytes]:
    """Return HTTP status and body for a probe of /metrics."""
    try:
        return 200, exposition(collects)
    except ConfigError as error:
        return 501, f"{error}\n".encode()


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the cumulative counts of the Prometheus format, by upper bound."""
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


class _Collector:
    """Collector that gives the metrics to prometheus_client."""

    def __init__(self, collects: Sequence[Collect], core: ModuleType) -> None:
        self._collects = collects
        self._core = core

    def collect(self) -> Iterator[object]:
        """Yield every metric family."""
        for collect in self._collects:
            yield from collect(self._core)
