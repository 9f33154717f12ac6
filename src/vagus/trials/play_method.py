"""Ways of playing chunks that are compared: settings of the robot, of the policy, and what is mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vagus.edge.config import EdgeConfig
from vagus.trials.chunk_mixing import Mixing, NoMixing, TemporalEnsemble, Truncated, WeightedAverage

__all__ = ["METHODS", "PlayMethod"]

SYNC_ACTIONS = 8
"""Actions of a chunk that are executed before the robot waits for the next one."""
NEW_WEIGHT = 0.7
"""Weight of the new chunk where LeRobot's asynchronous client averages."""
STEPS_BETWEEN = 4
"""Actions of a chunk that are executed at least before the next one is asked for."""
LEAST_BUFFER_S = 0.05


@dataclass(frozen=True, slots=True)
class PlayMethod:
    """A way of playing chunks.

    Attributes:
        name: name in tables.
        edge: settings of the robot's side.
        policy: settings of the policy's real-time chunking (`rtc_schedule`, `rtc_max_guidance`).
        options: further settings of the policy.
        mixing: makes what changes each chunk as it arrives.
    """

    name: str
    edge: EdgeConfig
    policy: Mapping[str, str | float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    mixing: Mixing = NoMixing

    @property
    def uses_rtc(self) -> bool:
        """Whether chunks continue the running plan."""
        return self.edge.rtc


_ASYNC = EdgeConfig(
    buffer_time_s=LEAST_BUFFER_S, execute_horizon=STEPS_BETWEEN, max_action_age_s=60.0, rtc=False
)
_RTC = replace(_ASYNC, rtc=True)

METHODS: Mapping[str, PlayMethod] = {
    method.name: method
    for method in (
        PlayMethod(
            "sync",
            replace(_ASYNC, execute_horizon=None, buffer_time_s=1e-9),
            mixing=lambda: Truncated(SYNC_ACTIONS),
        ),
        PlayMethod("naive", _ASYNC),
        PlayMethod("average", _ASYNC, mixing=lambda: WeightedAverage(NEW_WEIGHT)),
        PlayMethod("ensemble", _ASYNC, mixing=TemporalEnsemble),
        PlayMethod("rtc_soft", _RTC, policy={"rtc_schedule": "exp"}),
        PlayMethod("rtc_hard", _RTC, policy={"rtc_schedule": "zeros"}),
    )
}
"""Name → method. The robot executes 8 actions and waits (sync), switches (naive), averages, or continues."""
