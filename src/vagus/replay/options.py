"""Settings of the policy that plays a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.setting_ranges import check_count

__all__ = ["ReplayOptions"]

MAX_HORIZON = 1000
MAX_APPROACH_S = 600.0


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Settings of `--policy replay:PATH`."""

    approach_s: float = 0.0
    """Time in which the robot moves from where it stands to where the recording begins, in seconds; 0: a
    robot that stands elsewhere is refused."""
    path_share: float = 0.05
    """Largest distance of a joint from the recorded path, as a share of the joint's range; a request from
    further away is refused, and the robot holds."""
    path_tolerance: float = 0.0
    """The same for every joint in its own unit, instead of the share; 0: the share counts."""
    trust_path: bool = False
    """Play it although nothing measures a joint, so that nobody knows how far away it is."""
    horizon: int = 0
    """Actions in a chunk; 0: as many as the recorded policy gave, or 50."""

    def __post_init__(self) -> None:
        if not 0 <= self.approach_s <= MAX_APPROACH_S:
            raise ConfigError("approach_s", wanted=f"0 to {MAX_APPROACH_S:g}", got=repr(self.approach_s))
        for name in ("path_share", "path_tolerance"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(name, wanted="0 or a finite number above it", got=repr(value))
        check_count("horizon", self.horizon, least=0, most=MAX_HORIZON)
