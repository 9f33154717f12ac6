from __future__ import annotations

import pytest

from vagus.errors import ConfigError
from vagus.transport.endpoints import check_endpoints


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "router",
        "tcp/router",
        "/router:7447",
        "tcp/:7447",
        "tcp/router:99999",
        "tcp/router:-1",
        "tcp/router:port",
        "tcp/router:" + "9" * 5000,
        "tcp/::1:7447",
        "tcp/[::1:7447",
        "tcp/[router]:7447",
        "http://router:7447",
        "ws://router:7447",
    ],
)
def test_an_endpoint_needs_protocol_host_and_port(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="protocol/host:port"):
        check_endpoints([endpoint], is_secured=False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp/router:0",
        "tcp/[::1]:7447",
        "udp/10.0.0.5:65535",
        "tcp/r.lab:7447#bind=eth0",
        "unixpipe/robot.pipe",
    ],
)
def test_an_endpoint_that_zenoh_knows_is_taken(endpoint: str) -> None:
    check_endpoints([endpoint], is_secured=False)


def test_certificates_and_protocol_go_together() -> None:
    check_endpoints(["tls/router:7447", "quic/router:7447"], is_secured=True)
    for endpoint, is_secured in (("tls/router:7447", False), ("tcp/router:7447", True)):
        with pytest.raises(ConfigError, match="certificates"):
            check_endpoints([endpoint], is_secured=is_secured)
