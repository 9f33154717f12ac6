"""The values of a pickle as the bytes that Python's own pickler writes in protocol 4."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.errors import SpecError
from vagus.integrations.lerobot_grpc.pickle_opcodes import Opcode

__all__ = ["PickleEmitter"]

_FRAME_BYTES = 64 << 10
"""A pickler ends a frame here, and writes longer bytes outside of any."""
_BATCH = 1000
_PLAIN_KINDS = "biuf"


class PickleEmitter:
    """Takes one object, value by value in the pickle's order; `finish` returns the bytes."""

    def __init__(self) -> None:
        self._written = bytearray((Opcode.PROTO, 4))
        self._frame = bytearray()
        self._memo_size = 0
        self._known: dict[Hashable, int] = {}

    def finish(self) -> bytes:
        """Return the whole pickle."""
        self.opcode(Opcode.STOP)
        self._end_frame()
        return bytes(self._written)

    def opcode(self, *codes: int) -> None:
        """Write opcodes, or an opcode and its bytes."""
        self._frame += bytes(codes)

    def value(self, value: bool | float | str | None) -> None:  # noqa: FBT001 - it is the value
        """Write a plain value; a text that was written before is named again."""
        self.boundary()
        if value is None or isinstance(value, bool):
            self.opcode({None: Opcode.NONE, True: Opcode.NEWTRUE, False: Opcode.NEWFALSE}[value])
        elif isinstance(value, str):
            self.once(("text", value), lambda: self._text(value))
        elif isinstance(value, int):
            self._integer(value)
        else:
            self._frame += struct.pack(">Bd", Opcode.BINFLOAT, value)

    def integers(self, values: Sequence[int]) -> None:
        """Write a tuple of up to three whole numbers, or more."""
        self.boundary()
        if len(values) > 3:
            self.opcode(Opcode.MARK)
        for value in values:
            self.value(value)
        ends = (Opcode.EMPTY_TUPLE, Opcode.TUPLE1, Opcode.TUPLE2, Opcode.TUPLE3, Opcode.TUPLE)
        self.opcode(ends[min(len(values), 4)])
        if values:
            self.memoize()

    def items(self, writers: Sequence[Callable[[], None]]) -> None:
        """Write a list."""
        self.boundary()
        self.opcode(Opcode.EMPTY_LIST)
        self.memoize()
        if len(writers) == 1:
            writers[0]()
            self.opcode(Opcode.APPEND)
            return
        for begin in range(0, len(writers), _BATCH):
            self.opcode(Opcode.MARK)
            for write in writers[begin : begin + _BATCH]:
                write()
            self.opcode(Opcode.APPENDS)

    def pairs(self, writers: Sequence[tuple[str, Callable[[], None]]]) -> None:
        """Write a dict."""
        self.boundary()
        self.opcode(Opcode.EMPTY_DICT)
        self.memoize()
        if len(writers) == 1:
            self._pair(*writers[0])
            self.opcode(Opcode.SETITEM)
            return
        for begin in range(0, len(writers), _BATCH):
            self.opcode(Opcode.MARK)
            for key, write in writers[begin : begin + _BATCH]:
                self._pair(key, write)
            self.opcode(Opcode.SETITEMS)

    def name(self, module: str, name: str) -> None:
        """Write a global."""
        self.boundary()
        self.once(("global", module, name), lambda: self._global(module, name))

    def instance(self, module: str, name: str, fields: Sequence[tuple[str, Callable[[], None]]]) -> None:
        """Write an object of a class, made from its fields."""
        self.boundary()
        self.name(module, name)
        self.opcode(Opcode.EMPTY_TUPLE, Opcode.NEWOBJ)
        self.memoize()
        self.pairs(fields)
        self.opcode(Opcode.BUILD)

    def array(self, array: NDArray[np.generic]) -> None:
        """Write a numpy array, little-endian and in C order.

        Raises:
            SpecError: an element type other than booleans, integers and floats.
        """
        if array.dtype.kind not in _PLAIN_KINDS or array.dtype.itemsize > 8:
            raise SpecError("array", wanted="booleans, integers or floats", got=str(array.dtype))
        self.boundary()
        self.name("numpy._core.multiarray", "_reconstruct")
        self.name("numpy", "ndarray")
        self.integers((0,))
        self.once("b", lambda: self.data(b"b"))
        self.call(Opcode.TUPLE3)
        self.opcode(Opcode.MARK)
        self.value(1)
        self.integers(array.shape)
        code = f"{array.dtype.kind}{array.dtype.itemsize}"
        self.once(("dtype", code), lambda: self._dtype(code))
        self.value(value=False)
        self.data(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        self.opcode(Opcode.TUPLE)
        self.memoize()
        self.opcode(Opcode.BUILD)

    def data(self, data: bytes) -> None:
        """Write bytes."""
        self.boundary()
        if len(data) < 256:
            self.opcode(Opcode.SHORT_BINBYTES, len(data))
        else:
            self._frame += struct.pack("<BI", Opcode.BINBYTES, len(data))
        if len(data) >= _FRAME_BYTES:
            head = bytes(self._frame[-5:])
            del self._frame[-5:]
            self._end_frame()
            self._written += head + data
        else:
            self._frame += data
        self.memoize()

    def memoize(self) -> None:
        """Give the newest value its number."""
        self.opcode(Opcode.MEMOIZE)
        self._memo_size += 1

    def boundary(self) -> None:
        """End the frame if it is full: between two values, as a pickler does."""
        if len(self._frame) >= _FRAME_BYTES:
            self._end_frame()

    def call(self, tuple_opcode: Opcode) -> None:
        """Call the function that is on the stack with the values behind it."""
        self.opcode(tuple_opcode)
        self.memoize()
        self.opcode(Opcode.REDUCE)
        self.memoize()

    def _pair(self, key: str, write: Callable[[], None]) -> None:
        self.value(key)
        write()

    def once(self, key: Hashable, write: Callable[[], None]) -> None:
        """Write something that ends with MEMOIZE; the second time, name it again."""
        index = self._known.get(key)
        if index is None:
            write()
            self._known.setdefault(key, self._memo_size - 1)
        elif index < 256:
            self.opcode(Opcode.BINGET, index)
        else:
            self._frame += struct.pack("<BI", Opcode.LONG_BINGET, index)

    def _text(self, text: str) -> None:
        encoded = text.encode()
        if len(encoded) < 256:
            self.opcode(Opcode.SHORT_BINUNICODE, len(encoded))
        else:
            self._frame += struct.pack("<BI", Opcode.BINUNICODE, len(encoded))
        self._frame += encoded
        self.memoize()

    def _integer(self, value: int) -> None:
        if 0 <= value < 1 << 8:
            self.opcode(Opcode.BININT1, value)
        elif 0 <= value < 1 << 16:
            self._frame += struct.pack("<BH", Opcode.BININT2, value)
        elif -(1 << 31) <= value < 1 << 31:
            self._frame += struct.pack("<Bi", Opcode.BININT, value)
        else:
            size = max(value, ~value).bit_length() // 8 + 1
            self.opcode(Opcode.LONG1, size, *value.to_bytes(size, "little", signed=True))

    def _global(self, module: str, name: str) -> None:
        self.value(module)
        self.value(name)
        self.opcode(Opcode.STACK_GLOBAL)
        self.memoize()

    def _dtype(self, code: str) -> None:
        self.boundary()
        self.name("numpy", "dtype")
        self.value(code)
        self.value(value=False)
        self.value(value=True)
        self.call(Opcode.TUPLE3)
        made = self._memo_size - 1
        self.opcode(Opcode.MARK)
        for value in (3, "|" if code.endswith("1") else "<", None, None, None, -1, -1, 0):
            self.value(value)
        self.opcode(Opcode.TUPLE)
        self.memoize()
        self.opcode(Opcode.BUILD)
        self._known["dtype", code] = made

    def _end_frame(self) -> None:
        if len(self._frame) >= 4:
            self._written += struct.pack("<BQ", Opcode.FRAME, len(self._frame))
        self._written += self._frame
        self._frame.clear()
