"""Check of flags that have no effect without another flag: they are refused, not ignored."""

from __future__ import annotations

from collections.abc import Iterable

from vagus.errors import ConfigError

__all__ = ["check_needed"]


def check_needed(
    settings: object, unset: object, names: Iterable[str], needed: str, *, prefix: str = ""
) -> None:
    """Raise ConfigError if one of `names` was set but has no effect without `needed`.

    Args:
        settings: the given settings.
        unset: the settings without any flag, or the class with its defaults.
        names: fields of both.
        needed: field that is true if the others have an effect.
        prefix: prefix of all their flags.
    """
    if getattr(settings, needed):
        return
    for name in names:
        given = getattr(settings, name)
        if given != getattr(unset, name):
            raise ConfigError(
                f"{prefix}{name}",
                wanted=f"--{prefix}{needed.replace('_', '-')}, too: without it, the flag has no effect",
                got=f"{given} alone",
            )
