"""Table of robots by name. The module of a robot is imported only when the robot is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from vagus.errors import ConfigError
from vagus.import_path import Option, check_options, construct, load_brought, load_named
from vagus.installed import ROBOTS, installed
from vagus.robots.robot import ARGUMENTS, Robot, uncallable
from vagus.specs import RobotSpec

__all__ = ["EMBEDDED", "GYM", "LEROBOT", "Embedded", "Option", "load_robot"]

GYM = "gym:"
LEROBOT = "lerobot:"
REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class Embedded:
    """Entry of a robot that vagus brings.

    Attributes:
        place: module:class.
        options: the options of the class that a user may set.
    """

    place: str
    options: frozenset[str]


EMBEDDED: Mapping[str, Embedded] = {
    "astribot": Embedded(
        "vagus.integrations.astribot.robot:make_astribot_robot",
        frozenset({"average", "chassis", "control_way", "gripper", "head", "limits_confirmed", "mapping"})
        | {"max_delta", "rate_hz", "sdk", "torso", "width"},
    ),
    "gates": Embedded("vagus.demo.gates_robot:make_gates_robot", frozenset({"episodes", "every", "seed"})),
    "sim": Embedded("vagus.demo.robot:SimRobot", frozenset({"depth", "rate_hz", "seed"})),
}


def load_robot(name: str, options: Mapping[str, Option] | None = None) -> Robot:
    """Return the robot called `name`, not connected.

    Args:
        name: "sim", "gates", "astribot", "gym:<environment id>", "lerobot:<robot type>", "replay:<session>",
            a name that an installed package brings (entry point of the group `vagus.robots`), or a class of
            your own ("file.py:Class", "package.module:Class").
        options: keyword arguments of its constructor.

    Raises:
        ConfigError: an unknown name, a missing extra, an unknown option, or a class whose object is no robot.
    """
    options = options or {}
    if name in EMBEDDED:
        robot = EMBEDDED[name]
        check_options(f"robot {name!r}", options, robot.options)
        return construct(f"robot {name!r}", _embedded(name, robot.place), options)
    if name.startswith(GYM):
        return _gym(name, options)
    if name.startswith(LEROBOT):
        return _lerobot(name, options)
    if name.startswith(REPLAY):
        check_options(f"robot {name!r}", options, frozenset())
        return _embedded(name, "vagus.replay.robot:make_replay_robot")(name.removeprefix(REPLAY))
    brought = installed(ROBOTS)
    if name in brought:
        return _own(brought[name], options)
    if ":" not in name:
        choices = ", ".join(
            (
                *sorted({*EMBEDDED, *brought}),
                f"{GYM}<environment id>",
                f"{LEROBOT}<robot type>",
                f"{REPLAY}PATH",
            )
        )
        raise ConfigError(
            "robot", wanted=f"{choices}, or your own as file.py:Class or package.module:Class", got=repr(name)
        )
    return _own(name, options)


def _embedded(name: str, place: str) -> Callable[..., Robot]:
    place, _, attribute = place.partition(":")
    module = load_brought(place, subject=f"robot {name!r}", extra=name.partition(":")[0])
    return cast("Callable[..., Robot]", getattr(module, attribute))


def _gym(name: str, options: Mapping[str, Option]) -> Robot:
    make = _embedded(name, "vagus.integrations.gymnasium.robot:make_gym_robot")
    return make(name.removeprefix(GYM), options)


def _lerobot(name: str, options: Mapping[str, Option]) -> Robot:
    make = _embedded(name, "vagus.integrations.lerobot.robot.robot:make_lerobot_robot")
    return make(name.removeprefix(LEROBOT), options)


def _own(target: str, options: Mapping[str, Option]) -> Robot:
    _, found = load_named("robot", target)
    subject = f"robot {target!r}"
    if not callable(found):
        raise ConfigError(subject, wanted="a class, or a function that makes a robot", got=repr(found))
    robot: object = construct(subject, found, options)
    lacking = uncallable(robot)
    if lacking:
        raise ConfigError(subject, wanted=f"an object with {', '.join(ARGUMENTS)}", got="; ".join(lacking))
    spec = getattr(robot, "spec", None)
    if not isinstance(spec, RobotSpec):
        raise ConfigError(
            subject,
            wanted="a `spec` that is a vagus.specs.RobotSpec, there before connect()",
            got="none" if spec is None else f"a {type(spec).__name__}",
        )
    return cast("Robot", robot)
