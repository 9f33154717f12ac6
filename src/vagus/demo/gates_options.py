"""Settings of the embedded policy `gates`."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError

__all__ = ["CONTINUATIONS", "GatesOptions"]

CONTINUATIONS = ("guided", "given", "carried")


@dataclass(frozen=True, slots=True)
class GatesOptions:
    """Settings in `options` for the policy `gates`."""

    continuation: str = ""
    """How a chunk continues the plan: guided (the flow is pulled to the steps that will be executed anyway),
    given (they are an input of the network, which was trained so) or carried (given, and steps that were
    planned before keep their noise); empty: carried, or guided where rtc_schedule is set."""
    weights: str = ""
    """File with the weights of another training, by scripts/train_gates.py; empty: those of the package."""

    def __post_init__(self) -> None:
        if self.continuation and self.continuation not in CONTINUATIONS:
            raise ConfigError(
                "continuation", wanted=f"one of {', '.join(CONTINUATIONS)}", got=repr(self.continuation)
            )

    def way(self, rtc_schedule: str) -> str:
        """Return how chunks continue the plan, with this schedule; "": none is set."""
        return self.continuation or ("guided" if rtc_schedule else "carried")
