"""Connects and builds LeRobot's parts of a rollout, and releases them."""

from __future__ import annotations

import contextlib
import logging
import traceback
from threading import Event

from lerobot.cameras import Camera
from lerobot.robots import Robot
from lerobot.rollout.configs import RolloutConfig
from lerobot.rollout.context import RolloutContext, build_rollout_context
from lerobot.teleoperators import Teleoperator

from vagus.errors import ConfigError, VagusError
from vagus.integrations.lerobot.rollout.ending import as_robot_error

__all__ = ["DEVICES", "build", "let_go", "unusable"]

logger = logging.getLogger(__name__)

DEVICES = (Robot, Teleoperator, Camera)
"""Classes of LeRobot whose errors count as the robot's."""


def build(cfg: RolloutConfig, shutdown: Event) -> RolloutContext:
    """Let LeRobot connect and make everything; release what it has connected if it fails.

    Raises:
        RobotError: the robot or the teleoperator cannot be connected.
        ConfigError: LeRobot does not take a setting.
    """
    try:
        return build_rollout_context(cfg, shutdown)
    except BaseException as error:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code is build_rollout_context.__code__:  # nobody else knows what it connected
                _disconnect(frame.f_locals.get("robot"), frame.f_locals.get("teleop"))
        if isinstance(error, Exception) and not isinstance(error, VagusError):
            blamed = as_robot_error(error, DEVICES)
            if blamed is not error:
                raise blamed from error
            if isinstance(error, (ValueError, FileExistsError, FileNotFoundError)):
                raise unusable(error) from error
        raise


def unusable(error: BaseException) -> ConfigError:
    """Return LeRobot's error about a setting as a ConfigError."""
    return ConfigError("lerobot-rollout", wanted="settings that LeRobot takes", got=str(error))


def let_go(ctx: RolloutContext) -> None:
    """Release what LeRobot has opened and not released, without moving anything."""
    _disconnect(ctx.hardware.robot_wrapper.inner, ctx.hardware.teleop)
    if ctx.data.dataset is not None:
        with contextlib.suppress(Exception):
            ctx.data.dataset.finalize()


def _disconnect(*devices: Robot | Teleoperator | None) -> None:
    for device in devices:
        try:
            if device is not None and device.is_connected:
                device.disconnect()
        except Exception:  # noqa: PERF203 - each on its own
            logger.exception("%s could not be released", device)
