"""Settings of the embedded policy `gates`."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError

__all__ = ["CONTINUATIONS", "GatesOptions"]

CONTINUATIONS = ("guided", "given")


@dataclass(frozen=True, slots=True)
class GatesOptions:
    """Settings in `options` for the policy `gates`."""

    continuation: str = "guided"
    """How a chunk continues the steps of the plan that will be executed anyway: guided (the flow is pulled to
    them) or given (they are an input of the network, which was trained so)."""
    weights: str = ""
    """File with the weights of another training, by scripts/train_gates.py; empty: those of the package."""

    def __post_init__(self) -> None:
        if self.continuation not in CONTINUATIONS:
            raise ConfigError(
                "continuation", wanted=f"one of {', '.join(CONTINUATIONS)}", got=repr(self.continuation)
            )
