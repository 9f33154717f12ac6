"""A network in one process, and a link on it that leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edge.stand import wait_until
from vagus.transport.memory import MemoryLink, MemoryNetwork


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def link(network: MemoryNetwork) -> Iterator[MemoryLink]:
    before = set(threading.enumerate())
    link = network.link("robot")
    yield link
    link.close()
    wait_until(lambda: set(threading.enumerate()) <= before)  # no thread is left behind
