"""What decoding raises on bytes of others that are not what was wanted."""

from __future__ import annotations

import msgspec

__all__ = ["MALFORMED"]

MALFORMED = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""Errors of msgspec, and two of Python that it lets through: of text that is not UTF-8, and of unknown fields
that are nested too deeply."""
