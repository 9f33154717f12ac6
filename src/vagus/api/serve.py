"""`vagus.serve`: a policy of a program's own is served to robots."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Literal, overload

from vagus.api.parts import network
from vagus.api.stop_signal import stopped_by_signals
from vagus.errors import ConfigError, LinkError
from vagus.gateways.host import GatewayHost
from vagus.planning.carried import carried_lines
from vagus.policies.callable import called
from vagus.policies.policy import Policy
from vagus.server.config import ServeConfig
from vagus.server.manifest import settings_from
from vagus.server.served_policy import load_model
from vagus.server.server import Server
from vagus.transport.keys import ServiceKey
from vagus.transport.router import FREE_PORT_TRIES, with_free_port
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig
from vagus.wire.schema import Capabilities

__all__ = ["PolicyServer", "describe", "serve"]

POLL_S = 0.2
"""Bounds how late a signal or a failed policy is noticed."""

logger = logging.getLogger(__name__)


@overload
def serve(
    policy: object,
    *,
    connect: str | tuple[str, ...] = "",
    listen: str = "",
    config: ServeConfig | None = None,
    wait: Literal[True] = True,
    **settings: object,
) -> bool: ...


@overload
def serve(
    policy: object,
    *,
    connect: str | tuple[str, ...] = "",
    listen: str = "",
    config: ServeConfig | None = None,
    wait: Literal[False],
    **settings: object,
) -> PolicyServer: ...


def serve(
    policy: object,
    *,
    connect: str | tuple[str, ...] = "",
    listen: str = "",
    config: ServeConfig | None = None,
    wait: bool = True,
    **settings: object,
) -> bool | PolicyServer:
    """Serve a policy to robots until a signal ends it, as `vagus serve` does; or in the background.

        vagus.serve(act, connect="tcp/router:7447")                       # returns after Ctrl-C or SIGTERM

        with vagus.serve(act, listen="tcp/127.0.0.1:0", wait=False) as server:
            remote = vagus.RemotePolicy(server.endpoint)

    A signal lets the requests finish that were accepted, and sends the robots to other servers. A second one
    raises KeyboardInterrupt.

    Args:
        policy: a function or a class with `@vagus.policy`, an object with `spec` and `infer`, a class of such
            (it is made with `options`), or what `vagus serve --policy` takes.
        connect: the router's endpoint; "": one on this host.
        listen: the endpoint to listen on instead, without a router; port 0 picks a free one.
        config: settings; None: the defaults.
        wait: False: return as soon as robots are accepted, and serve on threads of its own.
        settings: fields of `ServeConfig`, by name; they win over `config`.

    Returns:
        True if all accepted requests were answered before the end; with `wait=False` the running server.

    Raises:
        ConfigError: a setting is wrong, or the policy does not say what it wants.
        LinkError: no router answers, or nobody can listen there.
        PolicyError: the policy cannot be loaded, or fails its warm-up.
    """
    named, thing = ({"policy": policy}, None) if isinstance(policy, str) else ({"policy": ""}, policy)
    told = settings_from("serve", {**settings, **named}, config)
    if thing is not None:
        told = replace(told, policy=called(thing))
    told = replace(told, zenoh=_reached(told.zenoh, connect, listen))
    if not wait:
        return _in_background(told, thing)
    with stopped_by_signals() as stopping, _started(told, thing) as server:
        if not server.wait_ready(stopping):
            return True
        for line in (*describe(server.capabilities()), *server.gateways()):
            logger.info("%s", line)
        if server.wait_stopped(stopping):
            return False
        return server.drain()


class PolicyServer:
    """A served policy: its link and its server. A context manager; leaving the block drains it.

    Args:
        config: settings.
        load: returns the policy, loaded; called on the policy's thread.
    """

    def __init__(self, config: ServeConfig, load: Callable[[], Policy[object]]) -> None:
        self._config = config
        self._link = ZenohLink(config.zenoh)
        self._server = Server(self._link, load, config)
        self._is_started = False
        self._gateways = GatewayHost(config.gateways, self._link)
        if config.gateways:
            self._server.metrics.add_collect(self._gateways.families)
        self._has_gateways = False

    @property
    def endpoint(self) -> str:
        """Where a robot reaches it: the endpoint that it listens on, else that of the router."""
        zenoh = self._config.zenoh
        return (zenoh.listen or zenoh.reached)[0]

    @property
    def name(self) -> str:
        """Name of this process in keys, logs and status."""
        return self._server.key.server

    def capabilities(self) -> Capabilities:
        """Return what it says of itself: spec, model hash, latency, load."""
        return self._server.capabilities()

    def connect(self) -> None:
        """Join the network.

        Raises:
            LinkError: no router answers, or nobody can listen there.
        """
        self._link.open()

    def start(self) -> None:
        """Load the policy on a thread of its own, once the network is joined.

        Raises:
            ConfigError: the health port is taken, or a file that is wanted cannot be written.
        """
        self._is_started = True
        self._server.start()

    def wait_ready(self, stopping: threading.Event | None = None) -> bool:
        """Wait until robots are accepted; False: `stopping` was set before.

        Raises:
            VagusError: the policy could not be loaded, or failed its warm-up; or the address of a gateway is
                taken.
        """
        stopping = stopping or threading.Event()
        while not stopping.is_set():
            if self._server.wait_ready(POLL_S):
                self._start_gateways()
                return True
        return False

    def _start_gateways(self) -> None:
        if not self._has_gateways:
            self._has_gateways = True
            self._gateways.start()

    def gateways(self) -> list[str]:
        """Return one line about each gateway: protocol, address, profile, and who can reach it."""
        return self._gateways.lines()

    def wait_stopped(self, stopping: threading.Event | None = None) -> bool:
        """Wait until it has stopped by itself; False: `stopping` was set before.

        Raises:
            VagusError: what it stopped for.
        """
        stopping = stopping or threading.Event()
        while not stopping.is_set():
            if self._server.wait(POLL_S):
                return True
        return False

    def drain(self) -> bool:
        """Take no robot any more, send those that are there elsewhere, answer what was accepted, and end.

        Returns:
            True if everything was answered. Twice does nothing.
        """
        self._gateways.close()
        is_finished = not self._is_started or self._server.drain()
        self.close()
        return is_finished

    def close(self) -> None:
        """End at once: what is in flight is dropped. Twice does nothing."""
        self._gateways.close()
        if self._is_started:
            self._server.close()
        self._link.close()

    def __enter__(self) -> PolicyServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.drain()
        else:
            self.close()


def describe(said: Capabilities) -> list[str]:
    """Return what is served, and how many robots the measured inference times carry."""
    rtc = f"real-time chunking over {said.rtc.prefix_horizon} steps" if said.rtc else "no real-time chunking"
    service = ServiceKey.of(said.model, said.revision, said.service_name)
    lines = [
        f"service {service.text}, model hash {said.model_hash[:12]}",
        f"{said.policy_type}, {said.serving_mode}: {said.horizon} actions at {said.rate_hz:g} Hz, {rtc}",
    ]
    if said.serving_reason:
        lines.append(f"one robot at a time, because {said.serving_reason}")
    if not said.latency:
        return lines
    profile = ", ".join(f"{row.batch_size}: {row.p50_ms:.1f}" for row in said.latency)
    lines.append(f"inference, ms per batch size: {profile}")
    return [*lines, *carried_lines(said)]


def _reached(zenoh: ZenohConfig, connect: str | tuple[str, ...], listen: str) -> ZenohConfig:
    if not listen:
        return network(connect, zenoh)
    if connect or zenoh.connect or zenoh.listen:
        got = f"connect {list(network(connect, zenoh).connect)}, and listen {[listen, *zenoh.listen]}"
        raise ConfigError("serve", wanted="one endpoint, to connect to or to listen on", got=got)
    return replace(zenoh, mode=LinkMode.PEER, listen=(listen,))


def _started(config: ServeConfig, thing: object | None) -> PolicyServer:
    """Return a server that has joined the network and loads; a port 0 becomes a free one."""
    is_picking = any(endpoint.endswith(":0") for endpoint in config.zenoh.listen)
    for tries_left in reversed(range(FREE_PORT_TRIES if is_picking else 1)):
        listen = tuple(map(with_free_port, config.zenoh.listen))
        told = replace(config, zenoh=replace(config.zenoh, listen=listen))
        server = PolicyServer(told, lambda: load_model(config, thing))
        try:
            server.connect()
            server.start()
        except LinkError:
            server.close()
            if not tries_left:
                raise
        except BaseException:
            server.close()
            raise
        else:
            return server
    raise AssertionError("it has returned or raised")


def _in_background(config: ServeConfig, thing: object | None) -> PolicyServer:
    server = _started(config, thing)
    try:
        server.wait_ready()
    except BaseException:  # Ctrl-C, too: nobody has the server yet who could close it
        server.close()
        raise
    return server
