"""What the robot adapter needs of an Astribot S1's SDK: six methods, and the SDK's names of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from vagus.integrations.astribot.layout import parts_of
from vagus.types import Image

__all__ = ["CONTROL_WAYS", "METHODS", "AstribotSdk", "sdk_names"]

CONTROL_WAYS: Final = ("direct", "filter")
"""Ways in which the SDK takes a waypoint: as it is, or smoothed by the robot."""
METHODS: Final = (
    "connect",
    "get_current_joints_position",
    "set_joints_position",
    "read_images",
    "stop",
    "close",
)
"""Methods of an `AstribotSdk`."""


class AstribotSdk(Protocol):
    """An Astribot S1 as the adapter drives it. Whoever has another SDK writes these methods for it.

    Joints are in rad, grippers from 0 (open) to 100 (closed), the chassis in m, m and rad.

    The control thread calls all methods but `read_images`, which the camera thread calls at the same time.
    `stop` may come from a third thread while another call hangs, and must not wait for it.
    """

    def connect(self) -> None:
        """Connect to the robot and take the right to control it; nothing moves."""
        ...

    def get_current_joints_position(self, names: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return the measured numbers of the parts `names`, a list for each."""
        ...

    def set_joints_position(
        self, names: Sequence[str], position: Sequence[Sequence[float]], *, control_way: str, use_wbc: bool
    ) -> None:
        """Command the parts `names`, a list of numbers for each.

        An SDK that ignores a command (the robot is stopped, somebody else controls it) raises instead.
        """
        ...

    def read_images(self) -> Mapping[str, Image]:
        """Return the newest frames: head (720, 1280, 3), wrist_left and wrist_right (360, 640, 3), RGB."""
        ...

    def stop(self) -> None:
        """Bring the whole robot to a stand; every later command is refused. May be called twice."""
        ...

    def close(self) -> None:
        """Give the robot back. May be called twice."""
        ...


def sdk_names(width: int) -> list[str]:
    """Return the SDK's names of the parts in a waypoint of 22 or 25 numbers, in its order."""
    return [f"astribot_{part}" for part in parts_of(width)]
