"""Settings of an openpi server as the brain; no WebSocket package is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vagus.errors import ConfigError
from vagus.gateways.arrays import ArrayDialect
from vagus.gateways.foreign_options import ForeignOptions

__all__ = ["ARRAY_DIALECTS", "OpenPiOptions"]

ARRAY_DIALECTS: Final = {"openpi": ArrayDialect.OPENPI, "msgpack_numpy": ArrayDialect.MSGPACK_NUMPY}


@dataclass(frozen=True, slots=True)
class OpenPiOptions(ForeignOptions):
    """Settings in `options` for `openpi+ws://host:port`."""

    arrays: str = "openpi"
    """How arrays are written: openpi, or msgpack_numpy for a server that reads the package of that name."""
    sends_reset: bool = False
    """Tell the server when an episode begins, as RoboArena and vLLM-Omni understand it; openpi does not."""

    def __post_init__(self) -> None:
        ForeignOptions.__post_init__(self)
        if self.arrays not in ARRAY_DIALECTS:
            raise ConfigError("arrays", wanted=f"one of {', '.join(ARRAY_DIALECTS)}", got=repr(self.arrays))
