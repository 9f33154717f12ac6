"""Ways of playing chunks that are compared: settings of the robot, of the policy, and what is mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vagus.edge.config import AUTO, EdgeConfig
from vagus.trials.chunk_mixing import Mixing, NoMixing, TemporalEnsemble, WeightedAverage

__all__ = ["METHODS", "PlayMethod", "play_methods"]

SYNC_SHARE = 1 / 2
"""Share of a chunk that is executed before the robot waits for the next one."""
NEW_WEIGHT = 0.7
"""Weight of the new chunk where LeRobot's asynchronous client averages."""
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
        waits: the robot stands until each answer is there.
    """

    name: str
    edge: EdgeConfig
    policy: Mapping[str, str | float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    mixing: Mixing = NoMixing
    waits: bool = False

    @property
    def uses_rtc(self) -> bool:
        """Whether chunks continue the running plan."""
        return self.edge.rtc

    @property
    def is_offered(self) -> bool:
        """Whether robots of vagus can play like this; the others are there to compare with."""
        return self.mixing is NoMixing and not self.waits


def play_methods(horizon: int) -> Mapping[str, PlayMethod]:
    """Return name → method for a policy with chunks of so many actions.

    The robot executes half of a chunk and waits (sync), switches (naive), averages, or continues its plan;
    but for sync it asks by the rule `auto`. For `vagus` nothing is set, at the robot or at the policy.
    """
    plain = EdgeConfig(buffer_time_s=LEAST_BUFFER_S, execute_horizon=AUTO, max_action_age_s=60.0, rtc=False)
    rtc = replace(plain, rtc=True, max_in_flight=1)
    played = max(round(SYNC_SHARE * horizon), 1)
    methods = (
        PlayMethod("sync", replace(plain, execute_horizon=played), waits=True),
        PlayMethod("naive", plain),
        PlayMethod("average", plain, mixing=lambda: WeightedAverage(NEW_WEIGHT)),
        PlayMethod("ensemble", plain, mixing=TemporalEnsemble),
        PlayMethod("rtc_soft", rtc, policy={"rtc_schedule": "exp"}),
        PlayMethod("rtc_hard", rtc, policy={"rtc_schedule": "zeros"}),
        PlayMethod("vagus", EdgeConfig()),
    )
    return {method.name: method for method in methods}


METHODS = play_methods(USUAL_HORIZON)
"""The methods for chunks of 16 actions, as those of `gates` are."""
