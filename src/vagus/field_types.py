"""Type check of the fields of a dataclass, which Python does not do."""

from __future__ import annotations

import dataclasses
import enum
import numbers
import types
import typing

from vagus.errors import WantedGotError
from vagus.quoting import quoted

__all__ = ["settle_fields"]

WRONG = object()
SWITCHES = frozenset({"bool", "bool_"})
"""Names of the boolean types of Python and numpy; numpy is not imported here."""
_KNOWN: dict[type, dict[str, object]] = {}


def settle_fields(owner: object, error: type[WantedGotError]) -> None:
    """Check the field types of a frozen dataclass, and convert numpy numbers and lists.

    Numpy numbers become Python numbers, and lists become tuples. A text is not accepted as a number, a number
    not as a bool, and a bool not as a number: otherwise, the text "no" would mean True.

    Raises:
        error: a field holds a value of another type; the error names the wanted type.
    """
    for name, hint in _hints(type(owner)).items():
        given = getattr(owner, name)
        settled = _settled(given, hint)
        if settled is WRONG:
            what = type(given).__name__
            raise error(
                f"{name} of {_called(owner)}",
                wanted=_told(hint),
                got=f"{quoted(repr(given))} ({quoted(what)})",
            )
        if settled is not given:
            object.__setattr__(owner, name, settled)


def _hints(owner: type) -> dict[str, object]:
    known = _KNOWN.get(owner)
    if known is None:
        hints = typing.get_type_hints(owner)
        known = _KNOWN[owner] = {field.name: hints[field.name] for field in dataclasses.fields(owner)}
    return known


def _settled(given: object, hint: object) -> object:
    """Return `given` converted to the type `hint`, or WRONG."""
    choices = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        if given is None and types.NoneType in choices:
            return None
        settled = (_settled(given, choice) for choice in choices if choice is not types.NoneType)
        return next((value for value in settled if value is not WRONG), WRONG)
    if typing.get_origin(hint) is tuple:
        return _settled_row(given, choices[0])
    return _settled_one(given, hint)


def _settled_row(given: object, hint: object) -> object:
    if not isinstance(given, (list, tuple)):
        return WRONG
    row = tuple(_settled(one, hint) for one in given)
    if any(one is WRONG for one in row):
        return WRONG
    is_same = isinstance(given, tuple) and all(new is old for new, old in zip(row, given, strict=True))
    return given if is_same else row


def _settled_one(given: object, hint: object) -> object:
    is_switch = type(given).__name__ in SWITCHES
    if hint is bool:
        return bool(given) if is_switch else WRONG
    if hint is int:
        return int(given) if isinstance(given, numbers.Integral) and not is_switch else WRONG
    if hint is float:
        if not isinstance(given, numbers.Real) or is_switch:
            return WRONG
        is_pythons_own = type(given).__module__ == "builtins"
        return given if is_pythons_own else float(given)
    return given if isinstance(hint, type) and isinstance(given, hint) else WRONG


def _told(hint: object) -> str:
    """Return the wanted type as text."""
    choices = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return " or ".join("nothing" if choice is types.NoneType else _told(choice) for choice in choices)
    if typing.get_origin(hint) is tuple:
        return f"a tuple, each of it {_told(choices[0])}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return " or ".join(f"{hint.__name__}.{choice.name}" for choice in hint)
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
    return words.get(typing.cast("type", hint), f"a {getattr(hint, '__name__', hint)}")


def _called(owner: object) -> str:
    """Return a name of the object for people: "ActionFeature 'elbow'"."""
    name = getattr(owner, "name", "")
    kind = type(owner).__name__
    return f"{kind} {quoted(repr(name))}" if isinstance(name, str) and name else kind
