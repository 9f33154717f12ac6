"""A simulated Astribot S1 on a clock that the test sets, and notes of what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from demo.rig import SettableClock
from vagus.integrations.astribot.robot import AstribotRobot
from vagus.integrations.astribot.robot_options import AstribotRobotOptions
from vagus.integrations.astribot.simulated_sdk import SimulatedSdk
from vagus.types import Image

TICK_S = 1 / 30


class NotingSdk(SimulatedSdk):
    """The simulated SDK, which keeps every waypoint and every call."""

    def __init__(self, clock: SettableClock, *, chassis: str = "position") -> None:
        kept = "velocity" if chassis == "velocity" else "position"
        super().__init__(chassis=kept, jitter_s=0.0, clock=clock)  # type: ignore[arg-type] # one of two texts
        self.waypoints: list[dict[str, list[float]]] = []
        self.calls: list[str] = []

    def connect(self) -> None:
        self.calls.append("connect")
        super().connect()

    def set_joints_position(
        self, names: Sequence[str], position: Sequence[Sequence[float]], *, control_way: str, use_wbc: bool
    ) -> None:
        self.calls.append("set_joints_position")
        super().set_joints_position(names, position, control_way=control_way, use_wbc=use_wbc)
        self.waypoints.append(dict(zip(names, map(list, position), strict=True)))

    def read_images(self) -> Mapping[str, Image]:
        return {name: np.zeros_like(frame) for name, frame in super().read_images().items()}

    def stop(self) -> None:
        self.calls.append("stop")
        super().stop()

    def close(self) -> None:
        self.calls.append("close")
        super().close()


class RobotStand:
    """The adapter, its SDK and their clock; connected."""

    def __init__(self, options: AstribotRobotOptions | None = None) -> None:
        options = options or AstribotRobotOptions()
        self.clock = SettableClock()
        self.sdk = NotingSdk(self.clock, chassis=options.chassis)
        self.robot = AstribotRobot(sdk=self.sdk, options=options)
        self.robot.connect()

    def tick(self, action: Sequence[float]) -> None:
        """Read, command and let a tick pass, as the loop does."""
        self.robot.read_state()
        self.robot.command(np.array(action, np.float64))
        self.clock.pass_s(TICK_S)
