"""Zenoh session: open, close, quality of service, text of its errors. Only zenoh_* modules import zenoh."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import zenoh

from vagus.errors import ConfigError, LinkError, ProtocolError
from vagus.transport.link import Delivery
from vagus.transport.zenoh_config import parse_extra

__all__ = [
    "QUALITY",
    "QUERY_QUALITY",
    "Quality",
    "check_key",
    "close_zenoh_session",
    "open_zenoh_session",
    "zenoh_text",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quality:
    """Zenoh's quality-of-service settings of a published message."""

    congestion_control: zenoh.CongestionControl
    priority: zenoh.Priority
    is_express: bool


QUALITY = {
    # how long a message waits before it is dropped is the session's setting; blocking would stop everybody
    Delivery.OBSERVATION: Quality(zenoh.CongestionControl.DROP, zenoh.Priority.DATA, is_express=False),
    Delivery.CHUNK: Quality(zenoh.CongestionControl.DROP, zenoh.Priority.REAL_TIME, is_express=True),
}

QUERY_QUALITY = Quality(zenoh.CongestionControl.DROP, zenoh.Priority.DATA, is_express=True)
"""Quality of queries and their answers. Zenoh's default can block for 5 s, whatever the timeout."""


def open_zenoh_session(json5: str, extra: tuple[str, ...]) -> zenoh.Session:
    """Open a Zenoh session with this configuration; `extra` is applied last.

    Raises:
        ConfigError: Zenoh does not know a setting.
        LinkError: no endpoint to connect to answers, or none can be listened on.
    """
    try:
        config = zenoh.Config.from_json5(json5)
        for path, value in parse_extra(extra):
            config.insert_json5(path, value)
    except zenoh.ZError as error:
        raise ConfigError(
            "Zenoh settings", wanted="settings that Zenoh knows", got=zenoh_text(error)
        ) from error
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        raise LinkError(zenoh_text(error)) from error


def close_zenoh_session(session: zenoh.Session) -> None:
    """Close a Zenoh session; takes up to 10 s if messages wait for a black hole."""
    try:
        session.close()  # type: ignore[no-untyped-call]
    except zenoh.ZError as error:
        logger.debug("closing a session: %s", zenoh_text(error))


def zenoh_text(error: zenoh.ZError) -> str:
    """Return Zenoh's error text without the path of its source file."""
    return str(error).partition(" at /")[0].strip()


def check_key(key: str) -> None:
    """Raise ProtocolError unless Zenoh takes `key` as a key or a pattern of keys."""
    try:
        zenoh.KeyExpr(key)
    except zenoh.ZError as error:
        raise ProtocolError(f"not a key: {key!r}: {zenoh_text(error)}") from error
