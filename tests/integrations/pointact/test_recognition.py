"""`vagus doctor --dialect` recognises both wires of our gateway at its one port, and takes no place there."""

from __future__ import annotations

import pytest

from integrations.pointact import rig
from vagus.gateways.recognition.address import parse_searched
from vagus.gateways.recognition.search import search
from vagus.transport.zenoh_config import ZenohConfig


@pytest.mark.parametrize("scheme", ["", "http://", "tcp://"])
def test_the_gateway_is_recognised_on_each_wire_and_keeps_every_rule(scheme: str) -> None:
    with rig.served() as stand, rig.listening(stand.link) as listener:
        found = search(parse_searched(f"{scheme}{listener.address}"), ZenohConfig())
        assert stand.sessions == 0
    told = [(one.protocol, one.version, one.is_kept) for one in found.recognised]
    assert told == [("PointAct", "HTTP and msgpack", True), ("PointAct", "ZeroMQ", True)]
