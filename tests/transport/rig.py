"""Networks to run link tests on: one in memory, one a real router behind a proxy per link."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

from vagus.errors import LinkError
from vagus.transport.faults import FaultProxy
from vagus.transport.link import Link
from vagus.transport.memory import MemoryLink, MemoryNetwork
from vagus.transport.router import Router
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

PATIENCE_S = 10.0
"""Nothing waited for takes as long on an idle machine; a busy one may."""

_barriers = itertools.count()


class Rig(Protocol):
    """A network with links that can be cut one by one."""

    def link(self) -> Link:
        """Return a new open link."""
        ...

    def cut(self, link: Link) -> None:
        """Take the network from `link`."""
        ...

    def heal(self, link: Link) -> None:
        """Give it back."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


class MemoryRig:
    def __init__(self) -> None:
        self._network = MemoryNetwork()
        self._links: list[MemoryLink] = []

    def link(self) -> Link:
        self._links.append(self._network.link())
        return self._links[-1]

    def cut(self, link: Link) -> None:
        assert isinstance(link, MemoryLink)
        link.cut()

    def heal(self, link: Link) -> None:
        assert isinstance(link, MemoryLink)
        link.heal()

    def close(self) -> None:
        for link in self._links:
            link.close()


class ZenohRig:
    def __init__(self) -> None:
        self._resources = ExitStack()
        self.router = Router(RouterConfig(listen=("tcp/127.0.0.1:0",)))
        self._resources.enter_context(self.router)
        self._proxies: dict[int, FaultProxy] = {}

    def link(self) -> Link:
        port = int(self.router.endpoints[0].rpartition(":")[2])
        proxy = self._resources.enter_context(FaultProxy("127.0.0.1", port))
        link = ZenohLink(ZenohConfig(connect=(f"tcp/127.0.0.1:{proxy.port}",)))
        self._resources.enter_context(link)
        self._proxies[id(link)] = proxy
        return link

    def cut(self, link: Link) -> None:
        self._proxies[id(link)].cut()
        assert eventually(lambda: not link.health().is_connected)

    def heal(self, link: Link) -> None:
        self._proxies[id(link)].heal()
        assert eventually(lambda: link.health().is_connected)

    def close(self) -> None:
        self._resources.close()


def eventually(is_true: Callable[[], bool], *, timeout_s: float = PATIENCE_S) -> bool:
    """Return whether `is_true` comes true."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.002)
    return True


def settle(*links: Link) -> None:
    """Return once everything that these links declared is known to the network.

    Declarations of one link arrive in order: when a later one is known, so are those before it.
    """
    for link, other in zip(links, (*links[1:], links[0]), strict=True):
        key = f"barrier/{next(_barriers)}"
        declared = link.serve(key, lambda query: query.reply(b""))
        assert eventually(lambda link=other, key=key: is_served(link, key))  # type: ignore[misc]
        declared.undeclare()


def is_served(link: Link, key: str) -> bool:
    """Return whether somebody answers under `key`."""
    try:
        return bool(link.query(key, b"", timeout_s=1.0))
    except LinkError:
        return False
