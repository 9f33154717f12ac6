"""Files that a command is to write: checked before the work, not after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vagus.errors import ConfigError

__all__ = ["check_output"]


def check_output(flag: str, path: Path, suffixes: Sequence[str]) -> None:
    """Raise ConfigError if no file can be written at `path`, or its name ends in none of `suffixes`."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(flag, wanted=f"a file that ends in {', '.join(suffixes)}", got=str(path))
    is_new = not path.exists()
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise ConfigError(
            flag, wanted="a file that can be written", got=f"{path}: {error.strerror}"
        ) from error
