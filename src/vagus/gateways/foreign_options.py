"""Settings of a foreign server as the brain; its protocol's package is not needed to read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vagus.errors import ConfigError
from vagus.gateways.neutral import ForeignReply
from vagus.setting_ranges import check_seconds

__all__ = ["ForeignOptions", "read_token", "without_token"]

MAX_TOKEN: Final = 4096


@dataclass(frozen=True, slots=True)
class ForeignOptions:
    """Settings in `options` for a server of another system."""

    profile: str = ""
    """Profile of the robot or model, by name or as a file: its names, units, order, cameras and rate."""
    identity: str = ""
    """Name of what is served there, another one for other weights; empty: as the profile or the server says.
    Servers with one identity are replicas: a moving robot may go from one to the other."""
    timeout_s: float = 5.0
    """Longest wait for an answer, connecting included, in seconds."""
    start_timeout_s: float = 120.0
    """The same for the first answer, before which a server may load and compile, in seconds."""
    token_path: str = ""
    """File with the token or key for the server; empty: none is sent."""

    def __post_init__(self) -> None:
        check_seconds("timeout_s", self.timeout_s)
        check_seconds("start_timeout_s", self.start_timeout_s)


def read_token(path: str) -> str | None:
    """Return the token in a file; None without a file.

    Raises:
        ConfigError: the file cannot be read, or holds no token on one line.
    """
    if not path:
        return None
    try:
        token = Path(path).expanduser().read_text(encoding="utf-8")[: MAX_TOKEN + 1].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("token_path", wanted="a file with the token", got=f"{path}: {error}") from error
    if not token or len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError("token_path", wanted="one token, in printable ASCII", got=f"another text in {path}")
    return token


def without_token(reply: ForeignReply, token: str | None) -> ForeignReply:
    """Return a reply whose error does not show the token: some servers say what they were sent."""
    if reply.error is None or not token:
        return reply
    return replace(reply, error=reply.error.replace(token, "***"))
