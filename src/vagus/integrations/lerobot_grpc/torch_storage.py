"""The numbers of a torch tensor as a pickle holds them; matched byte by byte, never interpreted."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.quoting import quoted

__all__ = ["TorchStorage", "read_storage", "write_storage"]

_BEFORE = (
    b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch's magic number
    b"\x80\x02M\xe9\x03."  # version 1001 of this format
    b"\x80\x02}q\x00(X\x10\x00\x00\x00protocol_versionq\x01M\xe9\x03"
    b"X\x0d\x00\x00\x00little_endianq\x02\x88X\x0a\x00\x00\x00type_sizesq\x03}q\x04("
    b"X\x05\x00\x00\x00shortq\x05K\x02X\x03\x00\x00\x00intq\x06K\x04X\x04\x00\x00\x00longq\x07K\x04uu."
    b"\x80\x02(X\x07\x00\x00\x00storageq\x00ctorch\n"
)
_LAYOUT = re.compile(
    re.escape(_BEFORE)
    + rb"(?P<kind>[A-Za-z0-9]{1,24})\nq\x01"
    + rb"X(?P<key>(?P<key_size>[\x01-\x20]\x00\x00\x00)(?P<name>[0-9]{1,32}))"
    + rb"q\x02X\x03\x00\x00\x00cpuq\x03(?:K(?P<n1>.)|M(?P<n2>..)|J(?P<n4>....))Ntq\x04Q\."
    + rb"\x80\x02\]q\x00X(?P=key)q\x01a\.(?P<numel>.{8})",
    re.DOTALL,
)
_DTYPES = {
    b"FloatStorage": "<f4",
    b"DoubleStorage": "<f8",
    b"HalfStorage": "<f2",
    b"LongStorage": "<i8",
    b"IntStorage": "<i4",
    b"ShortStorage": "<i2",
    b"CharStorage": "|i1",
    b"ByteStorage": "|u1",
    b"BoolStorage": "|b1",
}
_KEY = b"\x01\x00\x00\x000"
"""Torch writes an address here; a constant gives the same bytes for the same numbers."""


@dataclass(frozen=True, slots=True)
class TorchStorage:
    """The numbers behind one or more tensors."""

    dtype: str
    numel: int
    data: memoryview
    """`numel` elements, little-endian."""


def read_storage(blob: memoryview) -> TorchStorage:
    """Return the storage in an argument of `torch.storage._load_from_bytes`, a view of it.

    Raises:
        ProtocolError: any other bytes, a device other than the CPU, an element type that numpy does not have.
    """
    found = _LAYOUT.match(blob)
    if found is None:
        raise ProtocolError("torch storage: wanted torch's own layout of numbers on the CPU, got other bytes")
    dtype = _DTYPES.get(found["kind"])
    if dtype is None:
        known = ", ".join(kind.decode() for kind in _DTYPES)
        raise ProtocolError(f"torch storage: wanted one of {known}, got {quoted(found['kind'].decode())}")
    numel = int.from_bytes(found["n1"] or found["n2"] or found["n4"], "little")
    data = blob[found.end() :]
    wanted = numel * int(dtype[2:])
    is_right = int.from_bytes(found["numel"], "little") == numel and len(data) == wanted
    if not is_right or int.from_bytes(found["key_size"], "little") != len(found["name"]):
        raise ProtocolError(f"torch storage: wanted {wanted} bytes for {numel} numbers, got {len(data)}")
    return TorchStorage(dtype, numel, data)


def write_storage(numbers: NDArray[np.float32]) -> bytes:
    """Return the bytes from which `torch.storage._load_from_bytes` makes a storage of float32."""
    numel = numbers.size
    return b"".join(
        (
            _BEFORE,
            b"FloatStorage\nq\x01X",
            _KEY,
            b"q\x02X\x03\x00\x00\x00cpuq\x03J",
            numel.to_bytes(4, "little"),
            b"Ntq\x04Q.\x80\x02]q\x00X",
            _KEY,
            b"q\x01a.",
            numel.to_bytes(8, "little"),
            numbers.astype("<f4").tobytes(),
        )
    )
