"""Settings of a server of LeRobot's remote inference as the brain; nothing is imported to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vagus.errors import ConfigError
from vagus.integrations.lerobot_zenoh.zenoh_options import ZenohServerOptions

__all__ = ["MODES", "LeRobotZenohOptions"]

MODES: Final = ("chunk", "rtc_guided", "rtc_trained")


@dataclass(frozen=True, slots=True)
class LeRobotZenohOptions(ZenohServerOptions):
    """Settings in `options` for `lerobot+zenoh://host:port`."""

    deployment: str = ""
    """Name of the deployment, as its server was started with. Its servers at this address are replicas."""
    instance: str = ""
    """Id of the only server that may be taken; empty: any server of the deployment that has room."""
    inference_mode: str = ""
    """How chunks are joined: chunk, rtc_guided or rtc_trained; empty: rtc_guided where it is offered, else
    chunk."""

    def __post_init__(self) -> None:
        ZenohServerOptions.__post_init__(self)
        if not self.deployment:
            raise ConfigError("deployment", wanted="its name: --options deployment …", got="none")
        if self.inference_mode not in ("", *MODES):
            raise ConfigError(
                "inference_mode", wanted=f"one of {', '.join(MODES)}", got=repr(self.inference_mode)
            )
