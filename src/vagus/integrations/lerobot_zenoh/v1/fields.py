"""Fields of a message's body, read strictly: missing, of another type or out of range is refused (pure)."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Mapping
from typing import Final, TypeVar

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import Value, ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap, sendable
from vagus.quoting import quoted
from vagus.types import FloatArray

__all__ = ["MAX_COUNT", "BodyFields"]

MAX_COUNT: Final = (1 << 63) - 1
"""Largest generation, sequence, cursor or version."""
_Choice = TypeVar("_Choice", bound=enum.Enum)


class BodyFields:
    """Fields of one map. Without a default a field is required; an unknown field is ignored."""

    def __init__(self, entries: ValueMap, subject: str) -> None:
        """Take the map, and what it is called in an error."""
        self._entries = entries
        self._subject = subject

    def has(self, name: str) -> bool:
        """Return whether the field stands there and is not nil."""
        return self._entries.get(name) is not None

    def check_known(self, names: Collection[str]) -> None:
        """Refuse a field that is not one of `names`."""
        if unknown := [key for key in self._entries if key not in names]:
            raise self.refusal("fields", f"none but {', '.join(sorted(names))}", quoted(unknown[0], 40))

    def text(self, name: str, default: str | None = None, *, least: int = 1, most: int | None = None) -> str:
        """Return a text of `least` to `most` characters."""
        value = self._value(name, default)
        if not isinstance(value, str) or len(value) < least or len(value) > (most or len(value)):
            limit = f" to {most}" if most else " or more"
            raise self.refusal(name, f"a text of {least}{limit} characters", _told(value))
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None for nil and for no field."""
        return self.text(name, least=0) if self.has(name) else None

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = MAX_COUNT) -> int:
        """Return a whole number; true, false and 1.0 are none."""
        value = self._value(name, default)
        if type(value) is not int or not least <= value <= most:
            raise self.refusal(name, f"a whole number from {least} to {most}", _told(value))
        return value

    def optional_whole(self, name: str) -> int | None:
        """Return a whole number, or None for nil and for no field."""
        return self.whole(name) if self.has(name) else None

    def number(self, name: str, default: float | None = None, *, least: float = -math.inf) -> float:
        """Return a finite number, at least `least`; true and false are none."""
        value = self._value(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < math.inf:
            raise self.refusal(name, f"a number of at least {least}", _told(value))
        if float(value) != value:
            raise self.refusal(name, "a number that float64 can hold", _told(value))
        return float(value)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name, "true or false", _told(value))
        return value

    def choice(self, name: str, choices: type[_Choice], code: ErrorCode = ErrorCode.MALFORMED) -> _Choice:
        """Return the member of an enum that a text names; `code` is that of a text that names none."""
        value = self.text(name, least=0)
        by_value = {member.value: member for member in choices}
        if value not in by_value:
            raise self.refusal(name, f"one of {', '.join(map(str, by_value))}", quoted(value, 40), code)
        return by_value[value]

    def texts(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of texts that are not empty."""
        items = self.items(name, default)
        texts = [item for item in items if isinstance(item, str) and item]
        if len(texts) != len(items):
            raise self.refusal(name, "a list of texts", "other items")
        return tuple(texts)

    def items(self, name: str, default: tuple[str, ...] | None = None) -> list[Value]:
        """Return a list."""
        value = self._value(name, None if default is None else list(default))
        if not isinstance(value, list):
            raise self.refusal(name, "a list", _told(value))
        return value

    def map(self, name: str) -> ValueMap:
        """Return a map."""
        return _map_of(self._value(name, None), f"{self._subject}: {name}")

    def maps(self, name: str) -> list[ValueMap]:
        """Return a list of maps."""
        return [_map_of(item, f"{self._subject}: {name}") for item in self.items(name)]

    def inner(self, name: str) -> BodyFields:
        """Return the fields of a map."""
        return BodyFields(self.map(name), name)

    def free_map(self, name: str) -> RemoteMap:
        """Return a map whose keys the protocol does not name, as it can be sent again; without it, none."""
        if not self.has(name):
            return {}
        try:
            return {str(key): sendable(value) for key, value in self.map(name).items()}
        except ProtocolError as error:
            raise RemoteMessageError(ErrorCode.MALFORMED, f"{self._subject}: {name}: {error}") from error

    def numbers(self, name: str) -> Mapping[str, float]:
        """Return a map of names to finite numbers; without it, none."""
        if not self.has(name):
            return {}
        fields = self.inner(name)
        return {str(key): fields.number(str(key)) for key in self.map(name)}

    def rows(self, name: str) -> FloatArray | None:
        """Return a float32 tensor (n, width), or None for nil and for no field."""
        if not self.has(name):
            return None
        value = self._entries[name]
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype != np.float32:
            told = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else _told(value)
            raise self.refusal(name, "a tensor (n, width) of float32", told)
        return value.astype(np.float32, copy=False)

    def refusal(
        self, name: str, wanted: str, got: str, code: ErrorCode = ErrorCode.MALFORMED
    ) -> RemoteMessageError:
        """Return the error of a field."""
        return RemoteMessageError(code, f"{self._subject}: {name}: wanted {wanted}, got {got}")

    def _value(self, name: str, default: Value) -> Value:
        if name not in self._entries and default is None:
            raise self.refusal(name, "this field", "none")
        return self._entries.get(name, default)


def _map_of(value: Value, subject: str) -> ValueMap:
    if not isinstance(value, dict) or "__lerobot_type__" in value:
        raise RemoteMessageError(ErrorCode.MALFORMED, f"{subject}: wanted a map, got {_told(value)}")
    return value


def _told(value: Value) -> str:
    return quoted(value, 40) if isinstance(value, str | int | float) else type(value).__name__
