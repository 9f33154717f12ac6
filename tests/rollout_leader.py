"""A leader arm for LeRobot's teleoperation: a human holds it still, and lets the base stand."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.teleoperators import Teleoperator, TeleoperatorConfig

from rollout_rig import BASE, JOINTS

__all__ = ["HELD_AT", "VLeader", "VLeaderConfig"]

HELD_AT = 30.0
"""Where a human holds every joint."""


@TeleoperatorConfig.register_subclass("vleader")
@dataclass
class VLeaderConfig(TeleoperatorConfig):  # type: ignore[misc]
    """The leader."""

    is_actuated: bool = False
    """It can be moved to where the robot is; LeRobot takes two seconds for that."""


class VLeader(Teleoperator):  # type: ignore[misc]
    """Gives one pose."""

    config_class = VLeaderConfig
    name = "vleader"
    is_calibrated = True

    def __init__(self, config: VLeaderConfig) -> None:
        super().__init__(config)
        self._is_actuated = config.is_actuated
        self._is_connected = False

    @property
    def action_features(self) -> dict[str, type]:
        return dict.fromkeys((*(f"{joint}.pos" for joint in JOINTS), *BASE), float)

    @property
    def feedback_features(self) -> dict[str, type]:
        return self.action_features if self._is_actuated else {}

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    def connect(self, calibrate: bool = True) -> None:
        self._is_connected = True

    def calibrate(self) -> None:
        pass

    def configure(self) -> None:
        pass

    def get_action(self) -> dict[str, float]:
        return {name: 0.5 if name in BASE else HELD_AT for name in self.action_features}

    def send_feedback(self, feedback: dict[str, float]) -> None:
        pass

    def enable_torque(self) -> None:
        pass

    def disable_torque(self) -> None:
        pass

    def disconnect(self) -> None:
        self._is_connected = False
