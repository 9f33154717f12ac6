"""Tells whether two processes run on one host, by a salted hash of the boot id."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["host_id"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: random per boot, equal in every process and container of the host."""

SALT = b"vagus host id 1:"
"""Keeps the boot id itself off the wire."""


def host_id(boot_id: Path = BOOT_ID) -> str:
    """Return 16 hex digits that are equal on one host and until its next boot; empty if nobody can tell."""
    try:
        boot = boot_id.read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(SALT + boot).hexdigest()[:16] if boot else ""
