"""Configurations, commands and states of an Astribot S1's session as protobuf, both ways, bounded (pure).

Field numbers are those of its service's definition.
"""

from __future__ import annotations

from typing import Final

from vagus.errors import ProtocolError
from vagus.gateways.protobuf import MessageReader, MessageWriter
from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
)
from vagus.wire.codec import MAX_OBSERVATION_BYTES

__all__ = [
    "MAX_FIELDS",
    "MAX_JSON_BYTES",
    "MAX_TEXT_BYTES",
    "decode_command",
    "decode_policy_config",
    "decode_status",
    "encode_command",
    "encode_policy_config",
    "encode_status",
    "reader_of",
]

MAX_TEXT_BYTES: Final = 4096
"""Longest text but those of JSON and of errors."""
MAX_JSON_BYTES: Final = 1 << 16
MAX_FIELDS: Final = 64
"""Of a message with few fields; what is left over is for a newer one."""
_MAX_PARAMS: Final = 16


def decode_command(message: bytes | memoryview) -> AstribotCommand:
    """Return the command in a message.

    Raises:
        ProtocolError: malformed, over a bound, or a command that the service does not have.
    """
    reader = reader_of(message, "command", most=MAX_FIELDS)
    kind = reader.whole(1)
    if kind not in list(CommandType):
        raise ProtocolError(f"command: wanted a type from 0 to {max(CommandType)}, got {kind}")
    params = reader.texts_by_key(2, most=_MAX_PARAMS, most_bytes=MAX_TEXT_BYTES)
    return AstribotCommand(CommandType(kind), params)


def encode_command(command: AstribotCommand) -> bytes:
    """Return the message of a command.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    if len(command.params) > _MAX_PARAMS:
        raise ProtocolError(f"command: wanted at most {_MAX_PARAMS} parameters, got {len(command.params)}")
    writer = MessageWriter()
    writer.whole(1, command.kind)
    for key, value in command.params.items():
        entry = MessageWriter()
        entry.text(1, key, most=MAX_TEXT_BYTES)
        entry.text(2, value, most=MAX_TEXT_BYTES)
        writer.message(2, entry.payload())
    return writer.payload()


def decode_policy_config(message: bytes | memoryview) -> AstribotPolicyConfig:
    """Return the configuration in a message.

    Raises:
        ProtocolError: malformed, or over a bound.
    """
    reader = reader_of(message, "configuration", most=MAX_FIELDS)
    return AstribotPolicyConfig(
        config_name=reader.text(1, most=MAX_TEXT_BYTES),
        checkpoint_dir=reader.text(2, most=MAX_TEXT_BYTES),
        default_prompt=reader.text(3, most=MAX_TEXT_BYTES),
        device=reader.text(4, most=MAX_TEXT_BYTES),
    )


def encode_policy_config(config: AstribotPolicyConfig) -> bytes:
    """Return the message of a configuration.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    writer = MessageWriter()
    texts = (config.config_name, config.checkpoint_dir, config.default_prompt, config.device)
    for number, text in enumerate(texts, start=1):
        writer.text(number, text, most=MAX_TEXT_BYTES)
    return writer.payload()


def decode_status(message: bytes | memoryview) -> AstribotStatus:
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
        action_horizon=reader.whole(5),
        action_dim=reader.whole(6),
        message=reader.text(7, most=MAX_JSON_BYTES),
        current_prompt=reader.text(8, most=MAX_TEXT_BYTES),
        metadata_json=reader.text(9, most=MAX_JSON_BYTES),
    )


def encode_status(status: AstribotStatus) -> bytes:
    """Return the message of a status.

    Raises:
        ProtocolError: what the decoder would refuse.
    """
    writer = MessageWriter()
    writer.whole(1, status.is_ready)
    writer.text(2, status.model_name, most=MAX_TEXT_BYTES)
    numbers = (status.current_episode, status.current_frame, status.action_horizon, status.action_dim)
    for number, whole in enumerate(numbers, start=3):
        writer.whole(number, whole)
    writer.text(7, status.message, most=MAX_JSON_BYTES)
    writer.text(8, status.current_prompt, most=MAX_TEXT_BYTES)
    writer.text(9, status.metadata_json, most=MAX_JSON_BYTES)
    return writer.payload()


def reader_of(message: bytes | memoryview, name: str, *, most: int) -> MessageReader:
    """Return the reader of a message of at most 32 MiB and `most` fields; `name` is for its errors.

    Raises:
        ProtocolError: malformed, or over a bound.
    """
    if len(message) > MAX_OBSERVATION_BYTES:
        raise ProtocolError(f"{name}: wanted at most {MAX_OBSERVATION_BYTES} bytes, got {len(message)}")
    return MessageReader(message, name=name, most=most)
