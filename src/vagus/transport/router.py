"""Zenoh router in this process, for `vagus router` and for tests."""

from __future__ import annotations

import atexit
import socket
import threading
from collections.abc import Callable
from functools import partial

from vagus.errors import ConfigError, LinkError
from vagus.threads import Supervised
from vagus.transport.unreached import why_not_listening
from vagus.transport.zenoh_config import RouterConfig
from vagus.transport.zenoh_session import close_zenoh_session, open_zenoh_session

__all__ = ["FREE_PORT_TRIES", "Router", "with_free_port"]

CLOSE_TIMEOUT_S = 3.0
"""Longest wait for closing connections."""

FREE_PORT_TRIES = 5
"""Attempts to find a free port: another program may take it before it is used."""


class Router:
    """A Zenoh router that runs from `open` to `close`: `with Router(RouterConfig()) as router:`."""

    def __init__(self, config: RouterConfig) -> None:
        self._config = config
        self._is_ending = threading.Event()
        self._closer: threading.Thread | None = None
        self.endpoints: tuple[str, ...] = ()
        """Endpoints it listens on, with the ports it really has."""

    def __enter__(self) -> Router:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Start to listen; a port that was picked stays the same after `close` and `open`.

        Raises:
            LinkError: an endpoint cannot be listened on.
            ConfigError: Zenoh does not know a setting.
        """
        wanted = self.endpoints or self._config.listen
        is_picking = any(endpoint.endswith(":0") for endpoint in wanted)
        for attempt in range(FREE_PORT_TRIES if is_picking else 1):
            endpoints = tuple(with_free_port(endpoint) for endpoint in wanted)
            try:
                session = open_zenoh_session(self._config.to_json5(endpoints), self._extra())
            except LinkError as error:
                if is_picking and attempt < FREE_PORT_TRIES - 1:
                    continue
                fix = why_not_listening(str(error))
                raise LinkError(f"router cannot listen on {', '.join(endpoints)}: {error}; {fix}") from error
            self.endpoints = endpoints
            self._is_ending.clear()
            close = partial(self._close_when_asked, partial(close_zenoh_session, session))
            self._closer = Supervised(close, name="vagus-router", is_repeated=False)
            self._closer.start()  # now: at the interpreter's exit, when it is needed, none can be started
            atexit.register(self.close)
            return

    def close(self) -> None:
        """Close all connections, in seconds even if one leads into a black hole. May be called twice."""
        self._is_ending.set()
        if self._closer is not None:
            self._closer.join(CLOSE_TIMEOUT_S)
        atexit.unregister(self.close)

    def _close_when_asked(self, close: Callable[[], None]) -> None:
        self._is_ending.wait()
        close()

    def _extra(self) -> tuple[str, ...]:
        rules = self._config.access_control
        if rules is None:
            return self._config.extra
        try:
            text = rules.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("access_control", wanted="a JSON5 text file", got=str(error)) from error
        return (f"access_control={text}", *self._config.extra)


def with_free_port(endpoint: str) -> str:
    """Return `endpoint` with a free port instead of port 0."""
    address, _, port = endpoint.rpartition(":")
    if port != "0":
        return endpoint
    host = address.partition("/")[2].strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return f"{address}:{probe.getsockname()[1]}"
