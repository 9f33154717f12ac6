"""Recording format `mcap`: one file per session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from vagus.control.config import RecorderConfig
from vagus.control.mapping import OrderMapping
from vagus.edge.client.handshake import Contract
from vagus.errors import ConfigError
from vagus.integrations.mcap import schemas
from vagus.integrations.mcap.container import McapContainer, TimedMessage
from vagus.integrations.mcap.messages import JointNames, WallClock, image_message, log_message
from vagus.recording.description import describe
from vagus.recording.folder import new_place
from vagus.recording.lines import ChunkLine, StepLine
from vagus.recording.metadata import to_info
from vagus.recording.recorder import Recorder
from vagus.recording.registry import Recording, Run
from vagus.recording.session import FrameKind, Json, SessionInfo
from vagus.recording.sink import FrameFile
from vagus.robots.robot import Robot

__all__ = ["McapSession", "open_mcap"]

FOLDERS = {FrameKind.COLOUR: "camera", FrameKind.DEPTH: "depth"}


def open_mcap(
    config: RecorderConfig, run: Run, robot: Robot, mapping: OrderMapping, contract: Contract
) -> Recording:
    """Make the file of a session and its recorder.

    Raises:
        ConfigError: the file cannot be made.
    """
    place = new_place(config, run)
    session = McapSession(
        place.with_name(f"{place.name}.mcap"),
        describe(run, robot, mapping, contract),
        is_private=config.private_files,
    )
    return Recording(str(session.path), Recorder(session, config).start())


class McapSession:
    """File of one session: a `SessionSink`.

    Args:
        path: file to make; it must not exist.
        description: of the run, as `describe` returns it.
        is_private: only this user may read the file.

    Raises:
        ConfigError: the file cannot be made or written.
    """

    def __init__(self, path: Path, description: Mapping[str, Json], *, is_private: bool = True) -> None:
        info, _ = to_info(description)
        self._clock = WallClock(*_anchor(info))
        self._encode = msgspec.json.Encoder().encode
        self._states = JointNames(info.state, info.state_units)
        self._actions = JointNames(info.actions, info.action_units)
        self._before: StepLine | None = None
        self._cameras: dict[tuple[FrameKind, str], int] = {}
        self._container = container = McapContainer(path, is_private=is_private)
        self.path = container.path
        add, state_units = container.add_channel, dict(zip(info.state, info.state_units, strict=True))
        action_units = dict(zip(info.actions, info.action_units, strict=True))
        self._commands = add("/commands", "vagus.Command", schemas.schema_bytes(schemas.COMMAND))
        self._chunks = add("/chunks", "vagus.Chunk", schemas.schema_bytes(schemas.CHUNK))
        self._log = add("/log", "foxglove.Log", schemas.schema_bytes(schemas.LOG))
        joints = schemas.schema_bytes(schemas.JOINTS)
        self._measured = add("/joint_states", "foxglove.JointStates", joints, state_units)
        self._commanded = add("/joint_commands", "foxglove.JointStates", joints, action_units)
        session = add("/session", "vagus.Session", schemas.schema_bytes(schemas.SESSION))
        first = TimedMessage(session, self._clock.at(self._clock.began_ns), self._encode(description))
        try:
            container.write([first], compress=True)
        except OSError as error:
            raise ConfigError(
                "recorder directory", wanted="a disk with room", got=f"{self.path}: {error}"
            ) from error

    def write_steps(self, lines: Sequence[StepLine]) -> None:
        """Append commands, as they are and as joints, and what changed in the states.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        before, messages = self._before, list[TimedMessage]()
        for line in lines:
            messages.extend(self._messages(before, line))
            before = line
        self._container.write(messages, compress=True)
        self._before = before

    def write_chunks(self, lines: Sequence[ChunkLine]) -> None:
        """Append chunks.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        messages = [self._message(self._chunks, line.t_ns, line, line.seq) for line in lines]
        self._container.write(messages, compress=True)

    def write_frame(self, frame: FrameFile) -> None:
        """Append one frame.

        Raises:
            OSError: the disk is full or fails; nothing was appended.
        """
        key = (frame.kind, frame.camera)
        if key not in self._cameras:
            topic = f"/{FOLDERS[frame.kind]}/{frame.camera}"
            schema = schemas.schema_bytes(schemas.IMAGE)
            self._cameras[key] = self._container.add_channel(topic, "foxglove.CompressedImage", schema)
        image = image_message(self._clock.at(frame.captured_ns), frame)
        message = self._message(self._cameras[key], frame.captured_ns, image, frame.ticket)
        self._container.write([message], compress=False)

    def close(self, summary: Mapping[str, Json]) -> None:
        """Write the summary and the index and close the file. May be called twice.

        Raises:
            OSError: the summary or the index was not written.
        """
        if not self._container.is_open:
            return
        try:
            self._container.write_summary(self._encode(summary))
        finally:
            self._container.close()

    def _messages(self, before: StepLine | None, line: StepLine) -> list[TimedMessage]:
        wall_ns = self._clock.at(line.t_ns)
        messages = [self._message(self._commands, line.t_ns, line)]
        states = self._states.message(wall_ns, line.state)
        messages.append(self._message(self._measured, line.t_ns, states))
        if line.action:
            actions = self._actions.message(wall_ns, line.action)
            messages.append(self._message(self._commanded, line.t_ns, actions))
        log = log_message(wall_ns, before, line)
        if log is not None:
            messages.append(self._message(self._log, line.t_ns, log))
        return messages

    def _message(self, channel: int, t_ns: int, body: msgspec.Struct, sequence: int = 0) -> TimedMessage:
        return TimedMessage(channel, self._clock.at(t_ns), self._encode(body), sequence & 0xFFFF_FFFF)


def _anchor(info: SessionInfo) -> tuple[datetime, int]:
    """Return the beginning of a session in both times."""
    if info.began_wall is None or info.began_ns is None:
        raise ValueError("a description without its beginning")
    return info.began_wall, info.began_ns
