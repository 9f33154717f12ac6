"""What the clients under test have in common: requests on command, timed one by one.

Imports the standard library and numpy only: it also runs in the foreign client's own environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTION_DIM", "CAMERAS", "HORIZON", "STATE_DIM", "Notes", "announce", "chunk", "drive", "state"]

CAMERAS = ("front", "side", "wrist")
STATE_DIM = 14
ACTION_DIM = 14
HORIZON = 50

Frames = NDArray[np.uint8]
"""(moments, cameras, height, width, 3)."""


@dataclass(frozen=True)
class Notes:
    """What is known of one round trip besides its time.

    Attributes:
        request_bytes: as written, without what the transport adds.
        reply_bytes: likewise.
        parts_ms: where the time went, as far as the client is told.
    """

    request_bytes: int
    reply_bytes: int
    parts_ms: Mapping[str, float] = field(default_factory=dict)


def state() -> NDArray[np.float32]:
    """Return the state that every client sends, (14,)."""
    return np.linspace(-1.0, 1.0, STATE_DIM, dtype=np.float32)


def chunk(received: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return what every server answers, (50, 14): the state it was sent, at once and without a policy."""
    actions = np.empty((HORIZON, ACTION_DIM), np.float32)
    actions[:] = received
    return actions


def announce(**said: object) -> None:
    """Print one line of JSON for the benchmark."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def drive(frames_path: str, call: Callable[[dict[str, Frames]], tuple[NDArray[np.float32], Notes]]) -> None:
    """Make requests until the benchmark hangs up.

    Args:
        frames_path: file of the frames.
        call: sends frames and the state and returns the actions of the reply.
    """
    frames = np.load(frames_path)
    moments = [dict(zip(CAMERAS, moment, strict=True)) for moment in frames]
    announce(ready=True)
    for line in sys.stdin:
        count = json.loads(line)["requests"]
        spent_ns, parts_ms = [], []
        notes = Notes(0, 0)
        begin_cpu_ns = time.process_time_ns()
        for number in range(count):
            begin_ns = time.perf_counter_ns()
            actions, notes = call(moments[number % len(moments)])
            spent_ns.append(time.perf_counter_ns() - begin_ns)
            parts_ms.append(dict(notes.parts_ms))
            if actions.shape != (HORIZON, ACTION_DIM) or not np.array_equal(actions[-1], state()):
                raise ValueError(f"not the answer that was due: {actions.shape}")
        announce(
            spent_ns=spent_ns,
            cpu_ns=time.process_time_ns() - begin_cpu_ns,
            request_bytes=notes.request_bytes,
            reply_bytes=notes.reply_bytes,
            parts_ms=parts_ms,
        )
