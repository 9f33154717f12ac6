"""Settings of the embedded policy `reach`."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError

__all__ = ["ReachOptions"]

MOST_MS = 60_000


@dataclass(frozen=True, slots=True)
class ReachOptions:
    """Settings in `options` for the policy `reach`."""

    inference_ms: float = 0.0
    """Least time of one inference in milliseconds: the policy then stands in for a larger one."""

    def __post_init__(self) -> None:
        if not 0 <= self.inference_ms <= MOST_MS:
            raise ConfigError("inference_ms", wanted=f"0 to {MOST_MS}", got=repr(self.inference_ms))
