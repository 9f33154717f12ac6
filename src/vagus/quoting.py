"""Quoting of text from other programs before it is shown: short, on one line, printable."""

from __future__ import annotations

__all__ = ["quoted", "quoted_block"]

MAX_LENGTH = 300
"""Default limit in characters: a sentence with its numbers."""
MAX_BLOCK = 8000
"""Limit of a block in characters: a traceback of forty frames."""


def quoted(text: object, limit: int = MAX_LENGTH) -> str:
    """Return `text` with only printable characters, on one line, cut to about `limit` characters.

    An object is converted with `str`; if this fails, the name of its type is returned.
    """
    said = _said(text)
    shown = "".join(map(_shown, said[:limit]))
    is_whole = len(said) <= limit and len(shown) <= limit
    return shown if is_whole else f"{shown[:limit]}… ({len(said)} characters)"


def quoted_block(text: object, limit: int = MAX_BLOCK) -> str:
    """Return `text` with each line as `quoted`; of a long text, only the beginning and the end."""
    said = _said(text)
    if len(said) > limit:
        half = limit // 2
        said = f"{said[:half]}\n… ({len(said) - 2 * half} characters)\n{said[-half:]}"
    return "\n".join("".join(map(_shown, line)) for line in said.split("\n"))


def _said(text: object) -> str:
    try:
        return "".join(("", text if isinstance(text, str) else str(text)))  # a str, and no kind of it
    except BaseException as error:  # noqa: BLE001 - it is somebody else's code that says it
        return f"<{type(text).__name__}, whose text failed with {type(error).__name__}>"


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
