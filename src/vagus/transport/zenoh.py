"""Links over Zenoh: with our checksum between parties of vagus, plain for foreign protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vagus.errors import LinkError
from vagus.transport.attachments import Attachments, PlainAttachments, SealedAttachments
from vagus.transport.reopening import ReopeningLink
from vagus.transport.unreached import why_not_listening, why_unreached
from vagus.transport.zenoh_config import LinkMode, ZenohConfig
from vagus.transport.zenoh_connection import ZenohConnection
from vagus.transport.zenoh_session import open_zenoh_session

__all__ = ["ZenohLink", "ZenohPlainLink"]


class _OverZenoh(ReopeningLink):
    """A link over Zenoh, with this form of attachments."""

    def __init__(self, config: ZenohConfig, attachments: Attachments, *, is_complete: bool = False) -> None:
        self._config = config
        self._is_listening = bool(config.listen)
        self._attachments = attachments
        self._is_complete = is_complete
        super().__init__(
            self._connect,
            address=", ".join(config.reached or config.listen),
            explain=self._why_not_open,
            is_listening=self._is_listening,
            open_timeout_s=config.open_timeout_s,
            # a listening peer loses a transport whenever a robot leaves; the robot's end is reopened
            watchdog_s=0.0 if self._is_listening else config.watchdog_s,
        )

    def _why_not_open(self, said: str) -> str:
        if self._is_listening:
            return f"{said}; {why_not_listening(said)}"
        why = why_unreached(self._config.reached, self._config.tls)
        return why or f"{said}; start a router there (vagus router) or name another endpoint"

    def _connect(self, on_lost: Callable[[], None]) -> ZenohConnection:
        config = self._config
        session = open_zenoh_session(config.to_json5(), config.extra)
        is_replaced = config.reopen_on_loss and not self._is_listening
        connection = ZenohConnection(
            session,
            on_lost if is_replaced else None,
            is_listening=self._is_listening,
            attachments=self._attachments,
            is_complete=self._is_complete,
        )
        if config.mode is LinkMode.PEER and config.reached and not connection.is_connected:
            connection.close()  # a client's open fails by itself; a peer's succeeds with nobody there
            raise LinkError(f"nobody answers at {', '.join(config.reached)}")
        return connection


class ZenohLink(_OverZenoh):
    """A `Link` over Zenoh: `with ZenohLink(config) as link:`."""

    def __init__(self, config: ZenohConfig) -> None:
        super().__init__(config, SealedAttachments(is_checking=config.checksum))


class ZenohPlainLink(_OverZenoh):
    """A `PlainLink` over Zenoh, without shared memory; `checksum` of its configuration has no effect."""

    def __init__(self, config: ZenohConfig) -> None:
        super().__init__(replace(config, shared_memory=False), PlainAttachments(), is_complete=True)

    def is_heard(self, key: str) -> bool:
        """See `PlainLink.is_heard`."""
        connection = self._connection
        return isinstance(connection, ZenohConnection) and connection.is_heard(key)

    def is_served(self, key: str) -> bool:
        """See `PlainLink.is_served`."""
        connection = self._connection
        return isinstance(connection, ZenohConnection) and connection.is_served(key)
