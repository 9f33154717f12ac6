"""Checks that names, tags and the instruction fit into the messages that carry them."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.edge.client.handshake import Identity
from vagus.errors import ConfigError
from vagus.specs import RobotSpec
from vagus.wire.schema import MAX_INSTRUCTION, MAX_NAME, MAX_NOTE, MAX_NOTES, MAX_WORD

__all__ = ["check_identity", "check_instruction", "check_robot"]


def check_instruction(instruction: str) -> None:
    """Raise ConfigError unless a request can carry this instruction."""
    _check("instruction", instruction, MAX_INSTRUCTION)


def check_identity(identity: Identity) -> None:
    """Raise ConfigError unless a session request can carry this identity."""
    if not identity.name:
        raise ConfigError("name", wanted="a name of this robot, unique among those of a server", got="''")
    if len(identity.tags) > MAX_NOTES:
        raise ConfigError("tags", wanted=f"at most {MAX_NOTES}", got=str(len(identity.tags)))
    for name, text in identity.tags.items():
        _check("name of a tag", name, MAX_NAME)
        _check(f"tag {name!r}", text, MAX_NOTE)


def check_robot(robot: RobotSpec) -> None:
    """Raise ConfigError unless a session request can carry the robot's names."""
    _check("robot_type", robot.robot_type, MAX_NAME)
    names: Mapping[str, tuple[str, ...]] = {
        "action": tuple(feature.name for feature in robot.actions),
        "state feature": tuple(feature.name for feature in robot.state),
        "camera": tuple(camera.name for camera in robot.cameras),
        "depth camera": tuple(camera.name for camera in robot.depth_cameras),
    }
    for sort, those in names.items():
        for name in those:
            _check(f"name of {sort} {name[:MAX_WORD]!r}", name, MAX_NAME)
    units = [(a.name, a.unit) for a in robot.actions] + [(s.name, s.unit) for s in robot.state]
    for name, unit in units:
        _check(f"unit of {name!r}", unit, MAX_WORD)


def _check(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ConfigError(what, wanted=f"at most {longest} characters", got=f"{len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(what, wanted="text that can be written as UTF-8", got=ascii(text)) from error
