"""Settings of the policy that keeps an arm where it is."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError

__all__ = ["EchoOptions"]

MOST_MS = 60_000


@dataclass(frozen=True, slots=True)
class EchoOptions:
    """Settings in `options` for the policy `pointact-echo`."""

    profile: str = "so100"
    """Profile of PointAct, by name or as a file: which numbers are kept, and which cameras are wanted."""
    inference_ms: float = 0.0
    """Least time of one inference in milliseconds: the policy then stands in for a larger one."""

    def __post_init__(self) -> None:
        if not 0 <= self.inference_ms <= MOST_MS:
            raise ConfigError("inference_ms", wanted=f"0 to {MOST_MS}", got=repr(self.inference_ms))
