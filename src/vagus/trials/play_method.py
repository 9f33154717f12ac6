"""Ways of playing chunks that are compared: settings of the robot, of the policy, and what is mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vagus.edge.config import EdgeConfig
from vagus.trials.chunk_mixing import Mixing, NoMixing, TemporalEnsemble, Truncated, WeightedAverage

__all__ = ["METHODS", "PlayMethod", "play_methods"]

SYNC_SHARE = 1 / 2
"""Share of a chunk that is executed before the robot waits for the next one."""
NEW_WEIGHT = 0.7
"""Weight of the new chunk where LeRobot's asynchronous client averages."""
SHARE_BETWEEN = 1 / 4
"""Share of a chunk that is executed at least before the next one is asked for."""
USUAL_HORIZON = 16
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


def play_methods(horizon: int) -> Mapping[str, PlayMethod]:
    """Return name → method for a policy with chunks of so many actions.

    The robot executes half of a chunk and waits (sync), switches (naive), averages, or continues its plan;
    but for sync it asks after a quarter of a chunk.
    """
    played = max(round(SYNC_SHARE * horizon), 1)
    plain = EdgeConfig(
        buffer_time_s=LEAST_BUFFER_S,
        execute_horizon=max(round(SHARE_BETWEEN * horizon), 1),
        max_action_age_s=60.0,
        rtc=False,
    )
    rtc = replace(plain, rtc=True)
    methods = (
        PlayMethod(
            "sync",
            replace(plain, execute_horizon=None, buffer_time_s=1e-9),
            mixing=lambda: Truncated(played),
        ),
        PlayMethod("naive", plain),
        PlayMethod("average", plain, mixing=lambda: WeightedAverage(NEW_WEIGHT)),
        PlayMethod("ensemble", plain, mixing=TemporalEnsemble),
        PlayMethod("rtc_soft", rtc, policy={"rtc_schedule": "exp"}),
        PlayMethod("rtc_hard", rtc, policy={"rtc_schedule": "zeros"}),
    )
    return {method.name: method for method in methods}


METHODS = play_methods(USUAL_HORIZON)
"""The methods for chunks of 16 actions, as those of `gates` are."""
