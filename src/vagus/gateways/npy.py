"""The npy file format, versions 1 to 3, read within bounds: nothing in it is evaluated (pure)."""

from __future__ import annotations

import io
import re
from typing import Final

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.elements import array_of, dtype_of
from vagus.gateways.msgpack import AnyArray

__all__ = ["read_npy", "write_npy"]

_MAGIC: Final = b"\x93NUMPY"
_LENGTH_WIDTHS: Final = {1: 2, 2: 4, 3: 4}
"""Bytes of the header's length, by version."""
MAX_HEADER_BYTES = 4096
_HEADER: Final = re.compile(
    r"\s*\{\s*'descr':\s*'([^']{1,16})',\s*'fortran_order':\s*(True|False),"
    r"\s*'shape':\s*\(((?:\s*[0-9]{1,12}\s*,)*\s*(?:[0-9]{1,12})?\s*)\),?\s*\}\s*",
    re.ASCII,
)


def read_npy(data: memoryview) -> AnyArray:
    """Return the array in the npy file `data`, a read-only view of its bytes.

    Raises:
        ProtocolError: not an npy file, a header that says more than type, order and shape, an element type
            that is not allowed, or a number of bytes that does not match.
    """
    header, body = _header_and_body(data)
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ProtocolError("npy: wanted a header of 'descr', 'fortran_order' and 'shape', got another")
    descr, fortran_order, sizes = found.groups()
    shape = [int(size) for size in sizes.split(",") if size.strip()]
    dtype = dtype_of(descr, "npy")
    return array_of(body, dtype, shape, order="F" if fortran_order == "True" else "C")


def write_npy(array: AnyArray) -> bytes:
    """Return `array` as an npy file of version 1, in C order."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _header_and_body(data: memoryview) -> tuple[str, memoryview]:
    width = _LENGTH_WIDTHS.get(data[6], 0) if len(data) >= 8 and data[7] == 0 else 0
    if bytes(data[:6]) != _MAGIC or not width or len(data) < 8 + width:
        raise ProtocolError("npy: wanted a file of version 1.0, 2.0 or 3.0, got other bytes")
    begin = 8 + width
    size = int.from_bytes(data[8:begin], "little")
    if size > MAX_HEADER_BYTES or begin + size > len(data):
        raise ProtocolError(
            f"npy: wanted a header of at most {MAX_HEADER_BYTES} bytes inside the file, got one of {size}"
        )
    return str(data[begin : begin + size], "latin-1"), data[begin + size :]
