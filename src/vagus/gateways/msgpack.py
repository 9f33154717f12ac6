"""Msgpack messages of foreign programs are read within bounds: bytes, depth and number of items (pure).

msgspec reads msgpack too, but has no bound on the number of items: 32 MB of empty maps become 2 GB of memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.quoting import quoted
from vagus.wire.codec import MAX_OBSERVATION_BYTES

__all__ = [
    "MAX_DEPTH",
    "MAX_FOREIGN_BYTES",
    "MAX_ITEMS",
    "AnyArray",
    "Key",
    "MsgpackBounds",
    "Value",
    "ValueMap",
    "read_msgpack",
]

MAX_FOREIGN_BYTES = MAX_OBSERVATION_BYTES
"""Longest message, as on the native wire."""
MAX_DEPTH = 16
"""Maps and lists inside each other; the deepest message seen in the field has 6."""
MAX_ITEMS = 1 << 16
"""Keys and values of a message together; a chunk of 100 actions of 32 numbers as nested lists has 3300."""

AnyArray: TypeAlias = NDArray[np.bool_ | np.integer | np.floating]
"""An array of booleans, integers or floats, as it was received."""
Key: TypeAlias = "str | bytes"
"""A key of a map. Text and bytes differ: some programs look for one of them only."""
Value: TypeAlias = (
    "bool | int | float | str | bytes | memoryview | AnyArray | np.generic | list[Value] | ValueMap | None"
)
"""One value of a foreign message. Bytes that were received are views of the message."""
ValueMap: TypeAlias = "dict[Key, Value]"
"""A map of a foreign message, in the order of its keys."""

_CONSTANTS: Final[dict[int, bool | int | None]] = {
    **{lead: lead for lead in range(0x80)},
    **{lead: lead - 0x100 for lead in range(0xE0, 0x100)},
    0xC0: None,
    0xC2: False,
    0xC3: True,
}
_NUMBERS: Final = {
    lead: struct.Struct(form)
    for lead, form in enumerate((">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"), start=0xCA)
}
_SIZES: Final = {1: struct.Struct(">B"), 2: struct.Struct(">H"), 4: struct.Struct(">I")}
_TEXT, _BINARY, _LIST, _MAP = "text", "bytes", "list", "map"
_SHORT: Final = {
    **{0x80 + size: (_MAP, size) for size in range(16)},
    **{0x90 + size: (_LIST, size) for size in range(16)},
    **{0xA0 + size: (_TEXT, size) for size in range(32)},
}
_SIZED: Final = {
    0xC4: (_BINARY, 1), 0xC5: (_BINARY, 2), 0xC6: (_BINARY, 4),
    0xD9: (_TEXT, 1), 0xDA: (_TEXT, 2), 0xDB: (_TEXT, 4),
    0xDC: (_LIST, 2), 0xDD: (_LIST, 4),
    0xDE: (_MAP, 2), 0xDF: (_MAP, 4),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MsgpackBounds:
    """What a message may hold at most; the defaults are those of a protocol that states none.

    Attributes:
        payload_bytes: of the message.
        depth: maps and lists inside each other.
        items: keys and values of all maps and lists together.
        container_items: entries of one map or list.
        text_bytes: of one text in UTF-8.
        is_text_keyed: whether a key of bytes is refused.
        is_finite: whether NaN and infinity are refused.
    """

    payload_bytes: int = MAX_FOREIGN_BYTES
    depth: int = MAX_DEPTH
    items: int = MAX_ITEMS
    container_items: int = MAX_FOREIGN_BYTES
    text_bytes: int = MAX_FOREIGN_BYTES
    is_text_keyed: bool = False
    is_finite: bool = False


_USUAL: Final = MsgpackBounds()


def read_msgpack(
    payload: bytes | memoryview, convert: Callable[[ValueMap], Value], bounds: MsgpackBounds = _USUAL
) -> Value:
    """Return the one value in `payload`.

    Args:
        payload: the whole message.
        convert: makes of each map, the innermost first, the value that stands in its place.
        bounds: what is refused.

    Raises:
        ProtocolError: over a bound, cut off, bytes left over, an extension type, a key that is neither text
            nor bytes, a key that stands twice, or what `convert` raises.
    """
    if len(payload) > bounds.payload_bytes:
        raise ProtocolError(f"message: wanted at most {bounds.payload_bytes} bytes, got {len(payload)}")
    reader = _Reader(memoryview(payload).toreadonly(), convert, bounds)
    value = reader.value(bounds.depth)
    if reader.left:
        raise ProtocolError(f"message: wanted one msgpack value, got {reader.left} bytes after it")
    return value


class _Reader:
    """Reads one value after the other; every size is checked before anything of that size is made."""

    def __init__(self, data: memoryview, convert: Callable[[ValueMap], Value], bounds: MsgpackBounds) -> None:
        self._data = data
        self._convert = convert
        self._bounds = bounds
        self._at = 0
        self._items = bounds.items

    @property
    def left(self) -> int:
        """Bytes that were not read."""
        return len(self._data) - self._at

    def value(self, depth: int) -> Value:
        """Return the next value; `depth` maps and lists may still be opened."""
        lead = self._take(1)[0]
        if lead in _CONSTANTS:
            return _CONSTANTS[lead]
        if number := _NUMBERS.get(lead):
            return self._number(number)
        form, size = self._form_and_size(lead)
        if form == _TEXT:
            return self._text(size)
        if form == _BINARY:
            return self._take(size)
        if depth == 0:
            raise ProtocolError(
                f"message: wanted at most {self._bounds.depth} maps and lists inside each other, got more"
            )
        return self._list(size, depth - 1) if form == _LIST else self._convert(self._map(size, depth - 1))

    def _form_and_size(self, lead: int) -> tuple[str, int]:
        if short := _SHORT.get(lead):
            return short
        if lead not in _SIZED:
            raise ProtocolError(f"message: wanted msgpack without extension types, got a byte 0x{lead:02x}")
        form, width = _SIZED[lead]
        return form, _SIZES[width].unpack(self._take(width))[0]

    def _take(self, size: int) -> memoryview:
        if size > self.left:
            raise ProtocolError(f"message: wanted {size} more bytes, got {self.left}")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def _number(self, form: struct.Struct) -> int | float:
        number: int | float = form.unpack(self._take(form.size))[0]
        if self._bounds.is_finite and isinstance(number, float) and not math.isfinite(number):
            raise ProtocolError(f"message: wanted finite numbers, got {number}")
        return number

    def _text(self, size: int) -> str:
        taken = self._take(size)
        if size > self._bounds.text_bytes:
            raise ProtocolError(
                f"message: wanted texts of at most {self._bounds.text_bytes} bytes, got {size}"
            )
        try:
            return str(taken, "utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(
                f"message: wanted text in UTF-8, got bytes that are not: {error.reason}"
            ) from error

    def _list(self, size: int, depth: int) -> Value:
        self._count(size, size)
        return [self.value(depth) for _ in range(size)]

    def _map(self, size: int, depth: int) -> ValueMap:
        self._count(size, 2 * size)
        entries: ValueMap = {}
        for _ in range(size):
            key = self._key()
            if key in entries:
                raise ProtocolError(f"message: wanted each key once, got {quoted(key, 40)} twice in one map")
            entries[key] = self.value(depth)
        return entries

    def _key(self) -> Key:
        lead = self._data[self._at] if self.left else None
        key = self.value(0) if lead in _KEY_LEADS else None
        if isinstance(key, memoryview) and not self._bounds.is_text_keyed:
            return bytes(key)
        if isinstance(key, str):
            return key
        wanted = "text" if self._bounds.is_text_keyed else "text or bytes"
        raise ProtocolError(f"message: wanted {wanted} as the key of a map, got another type or the end")

    def _count(self, entries: int, items: int) -> None:
        """Take `items` from what the message may have, and from what its bytes can hold."""
        if items > self.left:
            raise ProtocolError(f"message: wanted {items} more items, got {self.left} bytes for them")
        if entries > self._bounds.container_items:
            raise ProtocolError(
                f"message: wanted at most {self._bounds.container_items} entries in one map or list, "
                f"got {entries}"
            )
        self._items -= items
        if self._items < 0:
            raise ProtocolError(f"message: wanted at most {self._bounds.items} keys and values, got more")


_KEY_LEADS: Final = frozenset(
    lead for lead, (form, _) in {**_SHORT, **_SIZED}.items() if form in (_TEXT, _BINARY)
)
