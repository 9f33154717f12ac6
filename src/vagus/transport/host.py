"""Host id: a salted hash of the boot id, equal for all processes of one host."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["host_id"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""File of the boot id on Linux: random per boot, equal in every process and container of the host."""

SALT = b"vagus host id 1:"
"""Salt of the hash, so that the boot id itself is not sent."""


def host_id(boot_id: Path = BOOT_ID) -> str:
    """Return the host id: 16 hex digits, equal on one host until its next boot; "" if there is no boot id."""
    try:
        boot = boot_id.read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(SALT + boot).hexdigest()[:16] if boot else ""
