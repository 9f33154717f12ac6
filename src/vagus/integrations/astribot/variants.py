"""The two services that Astribot S1 robots ask, openpi's and LeRobot's, and their codecs (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vagus.integrations.astribot import lerobot_codec, motion_codec, session_codec
from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    Method,
)

__all__ = ["LEROBOT", "OPENPI", "VARIANTS", "AstribotVariant"]


@dataclass(frozen=True, slots=True)
class AstribotVariant:
    """One of the services. Both have the same calls, actions and chunks; the rest differs.

    Attributes:
        service: name of the service in a call of gRPC.
        has_prompt: whether a robot can say what to do.
    """

    service: str
    has_prompt: bool
    decode_observation: Callable[[bytes | memoryview], AstribotObservation]
    encode_observation: Callable[[AstribotObservation], bytes]
    decode_command: Callable[[bytes | memoryview], AstribotCommand]
    encode_command: Callable[[AstribotCommand], bytes]
    decode_config: Callable[[bytes | memoryview], AstribotPolicyConfig]
    encode_config: Callable[[AstribotPolicyConfig], bytes]
    decode_status: Callable[[bytes | memoryview], AstribotStatus]
    encode_status: Callable[[AstribotStatus], bytes]

    def path(self, method: Method) -> str:
        """Return the path of a method in a call of gRPC."""
        return f"/{self.service}/{method.value}"


OPENPI: Final = AstribotVariant(
    service="openpi.OpenPiInferenceService",
    has_prompt=True,
    decode_observation=motion_codec.decode_observation,
    encode_observation=motion_codec.encode_observation,
    decode_command=session_codec.decode_command,
    encode_command=session_codec.encode_command,
    decode_config=session_codec.decode_policy_config,
    encode_config=session_codec.encode_policy_config,
    decode_status=session_codec.decode_status,
    encode_status=session_codec.encode_status,
)
LEROBOT: Final = AstribotVariant(
    service="lerobot.LeRobotInferenceService",
    has_prompt=False,
    decode_observation=lerobot_codec.decode_lerobot_observation,
    encode_observation=lerobot_codec.encode_lerobot_observation,
    decode_command=lerobot_codec.decode_lerobot_command,
    encode_command=lerobot_codec.encode_lerobot_command,
    decode_config=lerobot_codec.decode_lerobot_config,
    encode_config=lerobot_codec.encode_lerobot_config,
    decode_status=lerobot_codec.decode_lerobot_status,
    encode_status=lerobot_codec.encode_lerobot_status,
)
VARIANTS: Final = (OPENPI, LEROBOT)
