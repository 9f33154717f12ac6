"""A robot of LeRobot's remote inference draft, written from the facts about it, with its rules of time.

`python tests/draft_robot.py --connect tcp/127.0.0.1:7447 --uuid robot-1 --names a,b` reads a number per line,
asks with it as every joint, and prints what became of the request as JSON.
"""

from __future__ import annotations

import argparse
import enum
import json
import queue
import sys
import time
from dataclasses import dataclass

import numpy as np

from vagus.errors import LinkError
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.keys import DraftKey, DraftPlace, DraftService
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk, DraftObservation
from vagus.integrations.lerobot_zenoh.draft.sessions import (
    DraftAck,
    DraftClose,
    DraftOpen,
    DraftOpened,
    DraftReset,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.integrations.lerobot_zenoh.draft.values import DraftPicture, draft_picture
from vagus.transport.link import Declaration, Delivery, Sample
from vagus.transport.plain_link import PlainLink
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import FloatArray

HANDSHAKE_S = 2.0
REQUEST_S = 5.0


class Answer(enum.Enum):
    """What became of a request."""

    ROWS = "rows"
    FAILED = "failed"
    """An answer without rows: what the client counts as a time-out, at once."""
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Robot:
    """What a robot is."""

    names: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    state_dim: int = 0
    size: tuple[int, int] = (4, 6)
    fps: float = 30.0
    task: str = "pick the cube"
    uses_rtc: bool = True
    schema_version: int = 1
    has_token: bool = True
    is_token_first: bool = False
    """It declares its token before it opens a session, instead of after."""
    request_s: float = REQUEST_S


class DraftRobot:
    """One client. `connect` begins a session, each in an epoch of its own; sequences go on.

    Args:
        link: the network; not closed by this object.
        service: what its keys name.
        uuid: who it is.
        robot: what it is.
    """

    def __init__(self, link: PlainLink, service: DraftService, uuid: str, robot: Robot) -> None:
        self._link = link
        self._service = service
        self._uuid = uuid
        self._robot = robot
        self._chunks: queue.SimpleQueue[tuple[DraftAttachment, bytes]] = queue.SimpleQueue()
        self._declared: list[Declaration] = []
        self.epoch = -1
        self.sequence = 0
        self.episode = 0
        self.opened: DraftOpened | None = None
        self.foreign = 0
        """Chunks that were not of the request."""
        self.last: DraftChunk | None = None

    @property
    def width(self) -> int:
        """Number of its joints."""
        return len(self._robot.names)

    def key(self, place: DraftPlace) -> str:
        """Return one of its keys."""
        return str(DraftKey(place, self._service, self._uuid if place.is_of_client else ""))

    def query(self, place: DraftPlace, payload: bytes = b"") -> bytes:
        """Return the one answer to a question.

        Raises:
            LinkError: none within the handshake's time.
        """
        return self._link.query(self.key(place), payload, timeout_s=HANDSHAKE_S)[0]

    def connect(self) -> DraftOpened:
        """Ask what is served, and open a session; the answer may be a refusal."""
        robot = self._robot
        status = DraftStatus.decode(self.query(DraftPlace.STATUS))
        assert status.min_schema_version <= 1 <= status.max_schema_version
        asked = DraftOpen(
            client=self._uuid,
            robot_type="so101_follower",
            policy_type=status.model.policy_type,
            fps=robot.fps,
            action_names=robot.names,
            camera_names=robot.cameras,
            state_dim=robot.state_dim or len(robot.names),
            schema_version=robot.schema_version,
            is_rtc_enabled=robot.uses_rtc,
            task=robot.task,
        )
        if robot.is_token_first:
            self._declare()
        opened = DraftOpened.decode(self.query(DraftPlace.SESSION, asked.encode()))
        if not opened.error:
            self.opened = opened
            self.epoch += 1
            self._declare()
        return opened

    def _declare(self) -> None:
        if not self._declared:
            self._declared.append(self._link.subscribe(self.key(DraftPlace.ACTION), self._take))
            if self._robot.has_token:
                self._declared.append(self._link.token(self.key(DraftPlace.CLIENT_ALIVE)))

    def ask(
        self,
        state: FloatArray,
        *,
        prefix: FloatArray | None = None,
        delay: int = 0,
        pictures: dict[str, DraftPicture] | None = None,
        is_episode_start: bool = False,
    ) -> tuple[Answer, FloatArray | None]:
        """Return what becomes of one request, after 5 s at the latest."""
        self.sequence += 1
        if pictures is None:
            height, width = self._robot.size
            frame = draft_picture(np.full((height, width, 3), self.sequence % 256, np.uint8), "raw")
            pictures = dict.fromkeys(self._robot.cameras, frame)
        seen = DraftObservation(
            state=state.astype(np.float32),
            pictures=pictures,
            task=self._robot.task,
            inference_delay=delay,
            prefix_model=prefix,
            prefix_robot=prefix,
            is_episode_start=is_episode_start,
        )
        return self.send(seen.encode())

    def send(self, payload: bytes) -> tuple[Answer, FloatArray | None]:
        """Send one observation, and return what becomes of it."""
        head = DraftAttachment(
            DraftMessage.OBSERVATION, self.sequence, self.episode, time.monotonic_ns(), max(self.epoch, 0)
        )
        self.put(head, payload)
        end_s = time.monotonic() + self._robot.request_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                attachment, body = self._chunks.get(timeout=left_s)
            except queue.Empty:
                break
            if (attachment.sequence, attachment.episode, attachment.epoch) != (
                head.sequence,
                head.episode,
                head.epoch,
            ):
                self.foreign += 1
                continue
            self.last = DraftChunk.decode(body, attachment)
            rows = self.last.robot
            return (Answer.FAILED, None) if rows is None else (Answer.ROWS, rows)
        return Answer.TIMEOUT, None

    def put(self, head: DraftAttachment, payload: bytes) -> None:
        """Send one observation, and wait for nothing."""
        self._link.publish(
            self.key(DraftPlace.OBSERVATION),
            header=head.encode(),
            payload=payload,
            delivery=Delivery.OBSERVATION,
        )

    def reset(self) -> DraftAck:
        """Begin the next episode."""
        self.episode += 1
        return DraftAck.decode(self.query(DraftPlace.RESET, DraftReset(self._uuid, self.episode).encode()))

    def leave(self) -> None:
        """Let the token go, without a word."""
        for declared in self._declared:
            declared.undeclare()
        self._declared.clear()

    def close(self) -> DraftAck:
        """End the session."""
        assert self.opened is not None
        said = self.query(DraftPlace.SESSION, DraftClose(self._uuid, self.opened.session_id).encode())
        self.leave()
        return DraftAck.decode(said)

    def _take(self, sample: Sample) -> None:
        self._chunks.put((DraftAttachment.decode(sample.header), sample.payload))


def main() -> None:
    """Ask once per line that is read, with that number as all joints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--model", default="m")
    parser.add_argument("--revision", default="main")
    parser.add_argument("--task", default="t")
    parser.add_argument("--uuid", required=True)
    parser.add_argument("--names", required=True)
    told = parser.parse_args()
    with ZenohPlainLink(ZenohConfig(connect=(told.connect,))) as link:
        service = DraftService(told.model, told.revision, told.task)
        robot = DraftRobot(link, service, told.uuid, Robot(tuple(told.names.split(","))))
        for line in sys.stdin:  # one line, one request: whoever writes them says how long it lives
            sys.stdout.write(json.dumps(_said(robot, float(line))) + "\n")
            sys.stdout.flush()


def _said(robot: DraftRobot, first: float) -> dict[str, str | float]:
    """Return what becomes of one request whose joints are all `first`."""
    try:
        if robot.opened is None and (error := robot.connect().error):
            return {"answer": "refused", "error": error}
    except LinkError as error:
        return {"answer": "unreached", "error": str(error)}
    answer, rows = robot.ask(np.full(robot.width, first, np.float32))
    if answer is Answer.TIMEOUT:
        robot.opened = None  # it opens a session again, with the next epoch
    return {"answer": answer.value, "foreign": robot.foreign} | (
        {} if rows is None else {"first": float(rows[0, 0]), "rows": len(rows)}
    )


if __name__ == "__main__":
    main()
