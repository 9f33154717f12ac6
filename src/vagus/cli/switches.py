"""True and false in a table of options, however they are typed."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.import_path import Option

__all__ = ["with_switches"]

SWITCHES = {"true": True, "false": False}


def with_switches(options: Mapping[str, Option]) -> dict[str, Option]:
    """Return the same options, with `true` and `false` as in a manifest; the text "false" would be a yes."""
    return {
        name: SWITCHES.get(value.lower(), value) if isinstance(value, str) else value
        for name, value in options.items()
    }
