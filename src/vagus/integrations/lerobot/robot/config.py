"""A LeRobot robot from its name and options, by LeRobot's own registry, configs and factory."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import draccus
import lerobot.cameras
import lerobot.robots
import msgspec
from lerobot.robots.config import RobotConfig
from lerobot.robots.utils import make_robot_from_config
from lerobot.utils.import_utils import register_third_party_plugins

from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.integrations.lerobot.robot.features import DescribedDevice
from vagus.malformed import MALFORMED
from vagus.settings_file import read_settings

__all__ = ["make_device", "nested"]

logger = logging.getLogger(__name__)

CONFIG = "config"
"""Option that names a file with the config; other options overrule it."""


def make_device(robot_type: str, options: Mapping[str, Option]) -> DescribedDevice:
    """Return the LeRobot robot called `robot_type`, not connected.

    Args:
        robot_type: as LeRobot knows it, plug-ins included: "so101_follower".
        options: fields of its config; dots reach into fields ("cameras.front.fps"), a value that begins with
            { or [ is read as YAML, "null" is None, and `config` names a YAML or JSON file.

    Raises:
        ConfigError: LeRobot knows no such robot, its config does not take an option, or a package is missing.
    """
    subject = f"robot 'lerobot:{robot_type}'"
    config_class = _config_class(subject, robot_type)
    path = str(options.get(CONFIG, ""))
    table = dict(read_settings(CONFIG, Path(path))) if path else {}
    table.pop("type", None)
    own = nested({name: value for name, value in options.items() if name != CONFIG})
    table = _merged(table, own)
    try:
        config = draccus.decode(config_class, table)
    except Exception as error:
        fields = ", ".join(sorted(field.name for field in dataclasses.fields(config_class)))
        raise ConfigError(
            f"options of {subject}",
            wanted=f"a {config_class.__name__} (beside rate_hz and mapping: {fields})",
            got=f"{table}: {error}",
        ) from error
    try:
        return make_robot_from_config(config)  # type: ignore[no-any-return] # lerobot is not typed here
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigError(
            subject, wanted="a robot that LeRobot can make", got=f"{type(cause).__name__}: {cause}"
        ) from error


def nested(options: Mapping[str, Option]) -> dict[str, object]:
    """Return dotted names as nested tables: {"cameras.front.fps": 30} → {"cameras": {"front": {"fps": 30}}}.

    Raises:
        ConfigError: a name is both a value and a table, or a value is not the YAML that it looks like.
    """
    table: dict[str, object] = {}
    for name, value in options.items():
        *path, last = name.split(".")
        place: dict[str, object] = table
        for key in path:
            inner = place.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ConfigError(
                    "options", wanted=f"{key!r} as a value or a table", got=f"both, in {name!r}"
                )
            place = inner
        if last in place:
            raise ConfigError("options", wanted=f"{last!r} as a value or a table", got=f"both, in {name!r}")
        place[last] = _value(name, value)
    return table


def _value(name: str, value: Option) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() in ("null", "none"):
        return None
    if value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.yaml.decode(value)
    except MALFORMED as error:
        raise ConfigError(f"option {name}", wanted="YAML after { or [", got=f"{value}: {error}") from error


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _config_class(subject: str, robot_type: str) -> type:
    failures = _register()
    known = RobotConfig.get_known_choices()
    if robot_type not in known:
        raise ConfigError(
            subject,
            wanted=f"one of {', '.join(sorted(known))}, or an installed plug-in named lerobot_robot_…",
            got=repr(robot_type),
            fix="".join(f"could not import {name}: {why}; " for name, why in failures.items()).rstrip("; "),
        )
    return RobotConfig.get_choice_class(robot_type)  # type: ignore[no-any-return] # lerobot is not typed here


def _register() -> dict[str, str]:
    """Import what registers robots and cameras: LeRobot's own, then plug-ins; return what failed."""
    failures: dict[str, str] = {}
    for package in (lerobot.robots, lerobot.cameras):
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg:
                continue
            try:
                importlib.import_module(f"{package.__name__}.{module.name}")
            except Exception as error:  # noqa: BLE001 - one robot's missing driver is not another's fault
                failures[module.name] = f"{type(error).__name__}: {error}"
    register_third_party_plugins()
    return failures
