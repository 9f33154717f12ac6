"""Addresses of foreign policy servers."""

from __future__ import annotations

import pytest

from vagus.errors import ConfigError
from vagus.gateways.foreign_address import ForeignAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("openpi+ws://gpu:8000", ForeignAddress("openpi", "ws", "gpu", 8000), "ws://gpu:8000"),
        ("openpi+wss://a.b:1/v1/x", ForeignAddress("openpi", "wss", "a.b", 1, "/v1/x"), "wss://a.b:1/v1/x"),
        ("gr00t+tcp://[::1]:5555", ForeignAddress("gr00t", "tcp", "::1", 5555), "tcp://[::1]:5555"),
        (
            "lerobot+grpc://10.0.0.2:8080",
            ForeignAddress("lerobot", "grpc", "10.0.0.2", 8080),
            "grpc://10.0.0.2:8080",
        ),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: ForeignAddress, url: str) -> None:
    assert parse_address(text) == address
    assert str(address) == text
    assert address.url == url


@pytest.mark.parametrize(
    "text",
    ["openpi+ws://gpu", "openpi+ws://gpu:0", "openpi+ws://gpu:65536", "ws://gpu:8000", "openpi+ws://:8000",
     "openpi+ws://gpu:8000 ", "openpi+ws://a@gpu:8000", "openpi+ws://gpu:8000/\n", "",
     f"openpi+ws://{'a' * 64}:8000", "openpi+ws://a..b:8000", "openpi+ws://.:8000"],
)  # fmt: skip
def test_another_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"openpi\+ws://gpu-server:8000"):
        parse_address(text)
