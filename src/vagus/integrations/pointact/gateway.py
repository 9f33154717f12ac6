"""The PointAct gateway: one port for its two wires, ZeroMQ (a ROUTER) and HTTP."""

from __future__ import annotations

from vagus.clock import Clock
from vagus.gateways.batch_listener import BatchListener
from vagus.gateways.gateway import Gateway
from vagus.integrations.pointact.either_end import EitherEnd
from vagus.integrations.pointact.wire_dialect import PointActDialect

__all__ = ["PointActListener"]


class PointActListener(BatchListener):
    """Address at which PointAct's clients connect.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, *, clock: Clock | None = None) -> None:
        super().__init__(
            gateway, PointActDialect(), lambda most: EitherEnd(max_bytes=most), may_return=True, clock=clock
        )
