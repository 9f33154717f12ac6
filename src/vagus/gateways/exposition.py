"""Metric families of gateways, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType

from vagus.gateways.metrics import GatewayMetrics
from vagus.server.exposition import cumulative

__all__ = ["gateway_families"]


def gateway_families(gateways: Sequence[GatewayMetrics], core: ModuleType) -> Iterator[object]:
    """Yield the metric families of these gateways, each labelled with its protocol and name.

    Args:
        gateways: metrics of each gateway of the process.
        core: module prometheus_client.core.
    """
    labels = ["gateway", "protocol"]
    peers = core.GaugeMetricFamily("vagus_gateway_peers", "Foreign robots connected.", labels=labels)
    requests = core.CounterMetricFamily(
        "vagus_gateway_requests",
        "Requests of foreign robots by what became of them.",
        labels=[*labels, "outcome"],
    )
    events = core.CounterMetricFamily(
        "vagus_gateway_events", "Refusals and other events of a gateway.", labels=[*labels, "event"]
    )
    seconds = core.HistogramMetricFamily(
        "vagus_gateway_answer_seconds", "From a request to its answer.", labels=labels
    )
    for metrics in gateways:
        own = [metrics.name, metrics.protocol]
        peers.add_metric(own, metrics.peers)
        for outcome, amount in sorted(metrics.requests().items()):
            requests.add_metric([*own, outcome], amount)
        for event, amount in sorted(metrics.events().items()):
            events.add_metric([*own, event], amount)
        times = metrics.seconds()
        seconds.add_metric(own, buckets=cumulative(times), sum_value=times.total)
    yield from (peers, requests, events, seconds)
