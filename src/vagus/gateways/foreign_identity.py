"""Identity of a foreign server: a digest of what it says about itself (pure)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from vagus.gateways.msgpack import Key, Value
from vagus.gateways.profile import Profile

__all__ = ["digest_of", "model_hash_of"]


def digest_of(said: Mapping[Key, Value]) -> str:
    """Return a hex digest of what a server says about itself, in whatever order; "" if it says nothing."""
    if not said:
        return ""
    digest = hashlib.sha256()
    for part in _parts(dict(said)):
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()


def model_hash_of(profile: Profile, identity: str, settings: str) -> str:
    """Return the model hash of a foreign server: equal for two addresses with the same behind them.

    Args:
        profile: what its keys and numbers mean.
        identity: stated by the operator, or the digest of what the server says.
        settings: further settings that change its answers.
    """
    meaning = replace(profile, name="any", identity="")  # the place of the file is no difference
    told = repr((meaning, identity, settings))
    return hashlib.sha256(told.encode()).hexdigest()


def _parts(value: Value) -> Iterator[bytes]:
    """Yield the parts of a value; two values that differ give different parts."""
    if isinstance(value, dict):
        yield f"map {len(value)}".encode()
        for key in sorted(value, key=repr):
            yield repr(key).encode()
            yield from _parts(value[key])
    elif isinstance(value, list):
        yield f"list {len(value)}".encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, np.ndarray | np.generic):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, bytes | memoryview):
        yield b"bytes"
        yield bytes(value)
    else:
        yield f"{type(value).__name__} {value!r}".encode()
