"""Profiles in files: those that vagus brings, and a user's own (YAML, TOML or JSON)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from vagus.edge.client.text_limits import check_robot
from vagus.errors import ConfigError, SpecError
from vagus.gateways.profile import PROTOCOLS, Profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.settings_file import READERS, check_keys, read_settings

__all__ = ["load_profile", "shipped_profiles"]

INTEGRATIONS: Final = Path(__file__).resolve().parents[1] / "integrations"
"""Folder of each protocol; its profiles are read without an import of it."""
FOLDERS: Final = {"lerobot_zenoh_draft": "lerobot_zenoh/draft"}
"""Protocol → its folder there, where another name is given."""
SUFFIXES: Final = (*READERS, ".json")
LISTS: Final = ("state", "actions", "images")


def shipped_profiles() -> dict[str, Path]:
    """Return protocol/name → file of each profile that vagus brings."""
    return {
        f"{protocol}/{file.stem}": file
        for protocol in PROTOCOLS
        for file in sorted((INTEGRATIONS / FOLDERS.get(protocol, protocol) / "profiles").glob("*.yaml"))
    }


def load_profile(name_or_path: str, protocol: str | None = None) -> Profile:
    """Return a profile that can be used.

    Args:
        name_or_path: name of a profile that vagus brings ("droid", "gr00t/so100"), or a path to a file.
        protocol: the protocol that it must be of; None: any.

    Raises:
        ConfigError: no such profile or file, an unknown setting, a value of another type, another protocol,
            or a profile that contradicts itself.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError("protocol", wanted=f"one of {', '.join(PROTOCOLS)}", got=repr(protocol))
    path = Path(name_or_path)
    if path.suffix.lower() not in SUFFIXES:
        path = _shipped(name_or_path, protocol)
    subject = f"profile {path.name}"
    try:
        profile = _profile(subject, {"name": path.stem, **read_settings(subject, path)})
        robot = WireMapping(profile).robot_spec
    except SpecError as error:
        raise ConfigError(
            f"{subject}: {error.subject}", wanted=error.wanted, got=error.got, fix=error.fix
        ) from error
    check_robot(robot)
    if protocol not in (None, profile.protocol):
        raise ConfigError(subject, wanted=f"one for {protocol}", got=f"one for {profile.protocol}")
    return profile


def _profile(subject: str, table: dict[str, object]) -> Profile:
    check_keys(subject, table, Profile)
    for what in LISTS:
        if what in table:
            table[what] = _parts(subject, what, table[what])
    if "instruction" in table:
        table["instruction"] = _path(table["instruction"])
    try:
        return msgspec.convert(table, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(subject, wanted="values as in docs/gateways.md", got=str(error)) from error


def _shipped(name: str, protocol: str | None) -> Path:
    profiles = shipped_profiles()
    offered = [each for each in profiles if protocol is None or each.startswith(f"{protocol}/")]
    found = [each for each in offered if name in (each, each.partition("/")[2])]
    if len(found) == 1:
        return profiles[found[0]]
    wanted = f"one of {', '.join(offered)}, or a path to a file that ends in {', '.join(SUFFIXES)}"
    fix = f"did you mean {' or '.join(found)}?" if found else ""
    raise ConfigError("profile", wanted=wanted, got=repr(name), fix=fix)


def _parts(subject: str, what: str, parts: object) -> object:
    """Return the entries of a list with every key as a list of texts."""
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ConfigError(
            subject, wanted=f"{what} as a list of tables, each with a key", got="something else"
        )
    return [{**part, "key": _path(part["key"])} if "key" in part else part for part in parts]


def _path(key: object) -> object:
    return [key] if isinstance(key, str) else key
