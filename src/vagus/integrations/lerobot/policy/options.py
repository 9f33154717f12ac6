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
    """Compile the network with torch; the first batch of each size takes minutes."""
    tokenizer: str = ""
    """Directory or hub id of the tokenizer, if the checkpoint's own tokenizer cannot be reached."""

    def __post_init__(self) -> None:
        for name in ("allowed_sources", "allowed_classes"):
            listed = getattr(self, name)
            if not (isinstance(listed, tuple) and all(isinstance(entry, str) and entry for entry in listed)):
                # the letters of a text, or "", which is the working directory, would allow too much
                raise ConfigError(name, wanted="a tuple of texts, none of them empty", got=repr(listed))
