"""Settings of LeRobot's checkpoints as policies; LeRobot itself is not needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError

__all__ = ["LeRobotOptions"]


@dataclass(frozen=True, slots=True)
class LeRobotOptions:
    """Settings in `options` for the policy `lerobot`."""

    allowed_sources: tuple[str, ...] = ()
    """Places that weights may be loaded from: directories, hub ids, or the first part of hub ids."""
    allowed_classes: tuple[str, ...] = ()
    """Modules, directories and hub ids that a model may run code from, besides the framework."""
    compile: bool = False
    """Compile the network with torch, which takes minutes for each of its graph sizes."""
    graphs_per_doubling: int = 1
    """Batch sizes that get a graph, from one size to its double: 1 for 1, 2, 4, 8, …; 2 for 1, 2, 3, 4, 6, …
    A batch is filled up to the next of them."""
    tokenizer: str = ""
    """Directory or hub id of the tokenizer, if the checkpoint's own tokenizer cannot be reached."""

    def __post_init__(self) -> None:
        for name in ("allowed_sources", "allowed_classes"):
            listed = getattr(self, name)
            if not (isinstance(listed, tuple) and all(isinstance(entry, str) and entry for entry in listed)):
                # the letters of a text, or "", which is the working directory, would allow too much
                raise ConfigError(name, wanted="a tuple of texts, none of them empty", got=repr(listed))
        if self.graphs_per_doubling < 1:
            raise ConfigError("graphs_per_doubling", wanted="1 or more", got=repr(self.graphs_per_doubling))
