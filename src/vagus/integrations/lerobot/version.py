"""Releases of LeRobot that may move a robot: the tested ones, unless somebody vouches."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from vagus.errors import ConfigError

__all__ = ["TESTED", "check_lerobot", "untested", "waits_for_compiler"]

TESTED = ("0.6.0", "0.6.1")
"""Releases whose fields and behaviour the tests hold; pyproject.toml allows the same."""


def untested() -> str:
    """Return the installed release of LeRobot if it is none of the tested ones, else ""."""
    try:
        installed = version("lerobot")
    except PackageNotFoundError:
        return ""
    return "" if installed in TESTED else installed


def waits_for_compiler() -> bool:
    """Say whether the installed LeRobot waits for a compiler for ever, though it was refused to it."""
    return version("lerobot") == "0.6.0"


def check_lerobot(setting: str, *, is_vouched: bool) -> None:
    """Refuse to move a robot with a LeRobot that may mean something else by its settings.

    Args:
        setting: how a user vouches for another release.
        is_vouched: it was set.

    Raises:
        ConfigError: another release is installed, and nobody vouches for it.
    """
    installed = untested()
    if installed and not is_vouched:
        raise ConfigError(
            "LeRobot",
            wanted=f"release {' or '.join(TESTED)}, with which this vagus was tested",
            got=installed,
            fix=f'pip install "lerobot=={TESTED[-1]}", or vouch for it with {setting}',
        )
