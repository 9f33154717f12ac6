"""Messages that `lerobot.LeRobotInferenceService` has otherwise, as protobuf, both ways, bounded (pure).

Actions, chunks and pictures are those of `motion_codec`. The oldest program of that service, with the calls
`Ping` and `PredictBatch` and other numbers of commands, is not supported.
"""

from __future__ import annotations

from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import MessageReader, MessageWriter
from vagus.integrations.astribot.layout import PARTS, WIDTHS
from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
)
from vagus.integrations.astribot.motion_codec import read_observation, write_observation
from vagus.integrations.astribot.session_codec import (
    MAX_FIELDS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    decode_command,
    encode_command,
    reader_of,
)

__all__ = [
    "decode_lerobot_command",
    "decode_lerobot_config",
    "decode_lerobot_observation",
    "decode_lerobot_status",
    "encode_lerobot_command",
    "encode_lerobot_config",
    "encode_lerobot_observation",
    "encode_lerobot_status",
]

_MODEL: Final = "model"
"""The mode of a policy; the other one plays a recorded dataset."""
_FLAGS: Final = {"chassis": 1, "head": 2, "torso": 3}
"""Part → its field in ActionOutputConfig."""


def decode_lerobot_observation(message: bytes | memoryview) -> AstribotObservation:
    """Return the observation in a message; it has no prompt.

    Raises:
        ProtocolError: malformed, over a bound, or a state with NaN or infinity.
    """
    return read_observation(message, has_prompt=False)


def encode_lerobot_observation(observation: AstribotObservation) -> bytes:
    """Return the message of an observation, without its prompt.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    return write_observation(observation, has_prompt=False)


def decode_lerobot_command(message: bytes | memoryview) -> AstribotCommand:
    """Return the command in a message.

    Raises:
        ProtocolError: malformed, over a bound, or a command that this service does not have.
    """
    return _checked(decode_command(message))


def encode_lerobot_command(command: AstribotCommand) -> bytes:
    """Return the message of a command.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    return encode_command(_checked(command))


def decode_lerobot_config(message: bytes | memoryview) -> AstribotPolicyConfig:
    """Return the configuration in a message.

    Raises:
        ProtocolError: malformed, over a bound, or one that asks for a dataset.
    """
    reader = reader_of(message, "configuration", most=MAX_FIELDS)
    mode = reader.text(1, most=MAX_TEXT_BYTES)
    if mode not in ("", _MODEL):
        raise ProtocolError("mode: wanted model, since no dataset is played here, got another")
    return AstribotPolicyConfig(
        config_name=reader.text(2, most=MAX_TEXT_BYTES),
        device=reader.text(4, most=MAX_TEXT_BYTES),
        policy_type=reader.text(5, most=MAX_TEXT_BYTES),
        action_width=_width_in(reader.messages(6, most=MAX_FIELDS)),
    )


def encode_lerobot_config(config: AstribotPolicyConfig) -> bytes:
    """Return the message of a configuration, in the mode "model".

    Raises:
        ProtocolError: what the decoder would refuse, or an action of a width without a layout.
    """
    writer = MessageWriter()
    for number, text in ((1, _MODEL), (2, config.config_name), (4, config.device), (5, config.policy_type)):
        writer.text(number, text, most=MAX_TEXT_BYTES)
    if config.action_width is not None:
        writer.message(6, _flags_of(config.action_width))
    return writer.payload()


def decode_lerobot_status(message: bytes | memoryview) -> AstribotStatus:
    """Return the status in a message.

    Raises:
        ProtocolError: malformed, or over a bound.
    """
    reader = reader_of(message, "status", most=MAX_FIELDS)
    return AstribotStatus(
        is_ready=bool(reader.whole(1)),
        model_name=reader.text(2, most=MAX_TEXT_BYTES),
        current_episode=reader.whole(3),
        current_frame=reader.whole(4),
        fps=reader.single(6),
        message=reader.text(7, most=MAX_JSON_BYTES),
        mode=reader.text(8, most=MAX_TEXT_BYTES),
    )


def encode_lerobot_status(status: AstribotStatus) -> bytes:
    """Return the message of a status; how many frames there are in all, nobody knows.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    writer = MessageWriter()
    writer.whole(1, status.is_ready)
    writer.text(2, status.model_name, most=MAX_TEXT_BYTES)
    writer.whole(3, status.current_episode)
    writer.whole(4, status.current_frame)
    writer.single(6, status.fps)
    writer.text(7, status.message, most=MAX_JSON_BYTES)
    writer.text(8, status.mode, most=MAX_TEXT_BYTES)
    return writer.payload()


def _checked(command: AstribotCommand) -> AstribotCommand:
    if command.kind is CommandType.SET_PROMPT:
        raise ProtocolError("command: wanted a type from 0 to 1, got 2: this service has no prompt")
    return command


def _width_in(configs: tuple[memoryview, ...]) -> int | None:
    """Return the width of an action with the parts that a robot wants; None: it does not say them."""
    if not configs:
        return None
    reader = MessageReader(b"".join(configs), name="action_config", most=MAX_FIELDS)
    wanted = [part for part, number in _FLAGS.items() if reader.whole(number)]
    return WIDTHS[0] + sum(PARTS[part].stop - PARTS[part].start for part in wanted)


def _flags_of(width: int) -> bytes:
    if width not in WIDTHS:
        raise ProtocolError(f"action_config: wanted actions of {WIDTHS} numbers, got {width}")
    writer = MessageWriter()
    for part, number in _FLAGS.items():
        writer.whole(number, PARTS[part].stop <= width)
    return writer.payload()
