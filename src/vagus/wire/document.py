"""The field tables of the wire's documentation, made from the schema.

`python -m vagus.wire.document docs/wire-*.md` brings them up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import inspect as types

from vagus.field_docstrings import field_docstrings
from vagus.wire import schema

__all__ = ["fill_tables", "main", "table"]

_PLACE = re.compile(r"(<!-- table (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

_PLAIN: dict[type[types.Type], str] = {
    types.IntType: "integer",
    types.FloatType: "float",
    types.BoolType: "boolean",
    types.NoneType: "nil",
}


def fill_tables(markdown: str) -> str:
    """Return `markdown` with the table of each message between `<!-- table Name -->` and `<!-- end -->`."""
    return _PLACE.sub(lambda place: f"{place[1]}{table(_message(place[2]))}{place[4]}", markdown)


def table(kind: type[msgspec.Struct]) -> str:
    """Return the markdown table of a message: field, type, default, meaning."""
    texts = _field_texts(kind)
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    hints = {field.name: field.type for field in types.type_info(kind).fields}  # type: ignore[attr-defined]
    for field in msgspec.structs.fields(kind):
        default = "required" if field.required else _default_text(field.default, field.default_factory)
        rows.append(f"| `{field.name}` | {_type_text(hints[field.name])} | {default} | {texts[field.name]} |")
    return "\n".join(rows) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Rewrite the tables of each named file."""
    for name in arguments:
        path = Path(name)
        path.write_text(fill_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def _message(name: str) -> type[msgspec.Struct]:
    kind: type[msgspec.Struct] = getattr(schema, name)
    return kind


def _type_text(kind: types.Type) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_type_text(part) for part in kind.types)
    if isinstance(kind, types.StructType):
        return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    if isinstance(kind, types.EnumType):
        return "integer"
    if type(kind) in _PLAIN:
        return _PLAIN[type(kind)]
    return _sized_text(kind)


def _sized_text(kind: types.Type) -> str:
    """Return the text of a type that has a maximum length, with this length."""
    if isinstance(kind, types.VarTupleType):
        return f"list{_length_text(kind.max_length)} of {_type_text(kind.item_type)}"
    if isinstance(kind, types.DictType):
        pair = f"{_type_text(kind.key_type)} → {_type_text(kind.value_type)}"
        return f"map{_length_text(kind.max_length)} of {pair}"
    name = "text" if isinstance(kind, types.StrType) else "bytes"
    return f"{name}{_length_text(getattr(kind, 'max_length', None))}"


def _length_text(longest: int | None) -> str:
    return "" if longest is None else f" (at most {longest})"


def _default_text(default: object, factory: object) -> str:
    """Return the default value as JSON. An empty map has a factory, a nested message its own table."""
    if factory is not msgspec.NODEFAULT:
        return "`{}`"
    if isinstance(default, msgspec.Struct):
        return "its defaults"
    return f"`{json.dumps(default)}`".replace("null", "nil")


def _field_texts(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return field → docstring under it. A field without a docstring has no entry, so its table fails."""
    return {name: text.replace("|", "\\|") for name, text in field_docstrings(kind).items()}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
