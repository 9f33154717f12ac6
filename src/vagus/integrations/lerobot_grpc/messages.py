"""What LeRobot's robot client and policy server send each other, as frozen values of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.gateways.msgpack import AnyArray

__all__ = [
    "HelpersModule",
    "ObservationValue",
    "PlainValue",
    "RemotePolicyConfig",
    "RobotFeature",
    "TimedAction",
    "TimedObservation",
]

PlainValue: TypeAlias = bool | int | float | str | None
ObservationValue: TypeAlias = bool | int | float | str | AnyArray


class HelpersModule(Enum):
    """The Python module in which a peer's LeRobot keeps the classes that travel; answer a peer in its own."""

    SINCE_0_4 = "lerobot.async_inference.helpers"
    UNTIL_0_3 = "lerobot.scripts.server.helpers"


@dataclass(frozen=True, slots=True)
class RobotFeature:
    """One entry of `lerobot_features`: what the robot offers under one dataset key."""

    dtype: str
    """`float32` for a vector; `image` or `video` for a camera."""
    shape: tuple[int, ...]
    """(state_dim,) for a vector; (height, width, channels) for a camera."""
    names: tuple[str, ...]
    """Names of the numbers of a vector, in order; of the axes of a picture."""
    info: Mapping[str, PlainValue] | None = None
    """LeRobot's remarks, such as `is_depth_map`; None: it sent none."""


@dataclass(frozen=True, slots=True)
class RemotePolicyConfig:
    """Which policy a robot client wants, and what its robot offers. Sent once, before the observations."""

    policy_type: str
    pretrained_name_or_path: str
    lerobot_features: Mapping[str, RobotFeature]
    actions_per_chunk: int
    device: str = "cpu"
    rename_map: Mapping[str, str] | None = field(default_factory=dict)
    """None: a LeRobot before 0.4, which has no such field."""
    module: HelpersModule = HelpersModule.SINCE_0_4


@dataclass(frozen=True, slots=True, eq=False)
class TimedObservation:
    """One observation of a robot client."""

    timestamp_s: float
    """Wall clock of the client, seconds since 1970. Only to be echoed: clocks of two machines differ."""
    timestep: int
    observation: Mapping[str, ObservationValue]
    """`<motor>.pos` → number, camera → uint8 (height, width, 3), `task` → the instruction."""
    must_go: bool
    """Whether the client's queue is empty."""
    module: HelpersModule = HelpersModule.SINCE_0_4


@dataclass(frozen=True, slots=True, eq=False)
class TimedAction:
    """One action of a chunk."""

    timestamp_s: float
    """Wall clock of the client at which the action is due, seconds since 1970."""
    timestep: int
    action: NDArray[np.float32]
    """Shape (action_dim,)."""
