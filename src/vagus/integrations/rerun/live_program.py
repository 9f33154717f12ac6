"""Program that shows a run in Rerun: messages come from its standard input, until they end.

    python -m vagus.integrations.rerun.live_program

It goes before the robot in nothing: it runs at a low priority, and a viewer that takes nothing for a while
ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import rerun as rr

from vagus.integrations.rerun.blueprint import blueprint_for
from vagus.integrations.rerun.live_messages import LiveOpening, read_live
from vagus.integrations.rerun.live_writer import LiveWriter
from vagus.integrations.rerun.output import APPLICATION, VIEWER, is_file
from vagus.private_files import open_file

__all__ = ["main", "show"]

NICENESS = 10
PORT = 9876
"""Port of Rerun's viewer."""
FLUSH_S = 1.0
"""Longest time that data stay here: what the viewer has not taken then makes the robot's process wait."""
PATIENCE_S = 20.0
"""Longest time without a viewer: one that was just started takes seconds to open its window."""


def show(pipe: BinaryIO) -> None:
    """Show the messages from a pipe until it ends.

    Raises:
        RuntimeError: there is no viewer.
    """
    opening = read_live(pipe)
    if not isinstance(opening, LiveOpening):
        return
    stream = rr.RecordingStream(APPLICATION)
    stream.send_recording_name(opening.title)
    _connect(stream, opening)
    writer = LiveWriter(stream, opening)
    flushed_s = time.monotonic()
    while (message := read_live(pipe)) is not None:
        writer.take(message)
        if time.monotonic() - flushed_s >= FLUSH_S:
            stream.flush(timeout_sec=PATIENCE_S)
            flushed_s = time.monotonic()
    stream.flush(timeout_sec=PATIENCE_S)
    stream.disconnect()


def _connect(stream: rr.RecordingStream, opening: LiveOpening) -> None:
    """Connect the stream to a file or a viewer."""
    joints = [joint.name for joint in opening.joints]
    cameras = (*opening.cameras, *opening.depth_cameras)
    blueprint = blueprint_for(joints, cameras, lanes=3)
    if is_file(opening.target):
        open_file(Path(opening.target), "wb").close()
        stream.save(opening.target, default_blueprint=blueprint)
        return
    if not opening.target:
        _start_viewer()
    address = opening.target or f"rerun+http://127.0.0.1:{PORT}/proxy"
    stream.connect_grpc(address, default_blueprint=blueprint)


def _start_viewer() -> None:
    """Start a viewer that goes on when we end; if one listens already, it is used."""
    command = [*VIEWER, "--port", str(PORT), "--expect-data-soon"]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


def main() -> int:
    """Show what comes from the standard input; return an exit code."""
    os.nice(NICENESS)
    with os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        try:
            show(pipe)
        except RuntimeError as error:
            sys.stderr.write(f"no viewer took the data: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
