"""A PointAct server as the brain of an arm that it moves by poses of the gripper."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vagus.clock import NS_PER_S, Clock, MonotonicClock
from vagus.errors import ActionsRefusedError, ConfigError, PolicyError, RobotError
from vagus.gateways.foreign_rows import ForeignRows
from vagus.gateways.foreign_server import Asked, ForeignServer
from vagus.gateways.guarded_server import GuardedServer
from vagus.gateways.msgpack import Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.integrations.pointact.arm_setup import ArmSetup, load_setup, model_hash_of_arm
from vagus.integrations.pointact.debug_folder import DebugFolder, DebugSample, DebugWriter
from vagus.integrations.pointact.dialect import ACTION, PROTOCOL
from vagus.integrations.pointact.inverse import UnreachableError
from vagus.integrations.pointact.transform import JointChunk, Sensed
from vagus.policies.policy import Row
from vagus.quoting import quoted
from vagus.repeats import Repeats
from vagus.types import ActionChunk, Observation

__all__ = ["ArmSession", "EndEffectorPolicy", "load_ee_policy"]

_ROTATIONS: Final[WirePath] = ("data", "options", "pred_rot_type")
_TOLD_EVERY_NS: Final = 10 * NS_PER_S

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ArmSession:
    """State of one robot: the pose that was sent last, (7,) float32, or None at the begin of an episode."""

    last: NDArray[np.float32] | None = None


class EndEffectorPolicy:
    """A PointAct server as a `Policy` of one kind of arm.

    What leaves the robot are its joints, colour and depth; what the server gets are pose, picture and points;
    what it answers comes back as joints. A chunk ends before the first pose that is out of reach or needs a
    jump; one whose first pose is such is refused.

    Args:
        server: the server; it is connected here.
        setup: the arm.
        options: settings.
        clock: monotonic clock; default: the machine's.

    Raises:
        ConfigError: nothing says who the server is, or the debug folder cannot be written.
        LinkError: it cannot be reached.
        ProtocolError: what answers is no such server.
    """

    def __init__(
        self, server: ForeignServer, setup: ArmSetup, options: ArmOptions, clock: Clock | None = None
    ) -> None:
        self._server = server
        self._setup = setup
        self._options = options
        self._clock = clock or MonotonicClock()
        self._camera = setup.spec.cameras[0].name
        self._depth_camera = setup.spec.depth_cameras[0].name
        self._count: Callable[[str], None] = lambda _: None
        self._repeats: Repeats[str] = Repeats(interval_ns=_TOLD_EVERY_NS, max_keys=8)
        self._debug = _debug_writer(options, self._clock, self._lose)
        self._guard = GuardedServer(server, options, self._clock)
        try:
            self._guard.begin()
            self.model_hash = model_hash_of_arm(setup, self._guard.identity(), server.settings)
        except BaseException:
            self._close_debug()
            raise
        self._rows = ForeignRows(server, self._guard)
        self.spec = setup.spec
        self.serving_mode = server.serving_mode
        self.serving_reason = server.serving_reason
        self.max_rows = server.max_rows

    def sample(self) -> Observation:
        """Return an observation with joints in the middle of their limits and a full workspace."""
        return self._setup.example

    def count_with(self, count: Callable[[str], None]) -> None:
        """Count refused poses and lost exchanges of the debug folder with `count`."""
        self._count = count

    def open_session(self) -> ArmSession:
        """Return the state of a robot that has sent nothing yet."""
        return ArmSession()

    def begin_episode(self, session: ArmSession) -> None:
        """Forget the last pose, and tell the server where its protocol has a word for it.

        Raises:
            PolicyError: it could not be told.
        """
        session.last = None
        if self._server.has_reset:
            self._guard.call(self._server.reset)

    def infer(self, batch: Sequence[Row[ArmSession]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row, or why there is none.

        Raises:
            PolicyError: the server refuses a batch of several rows.
        """
        sensed = [self._sensed(row) for row in batch]
        replies = self._rows.ask([self._asked(one) for one in sensed])
        return [self._answer(row, one, reply) for row, one, reply in zip(batch, sensed, replies, strict=True)]

    def close(self) -> None:
        """Drop the connection, and end the debug folder's thread."""
        self._guard.close()
        self._close_debug()

    def _sensed(self, row: Row[ArmSession]) -> Sensed | PolicyError:
        seen = row.observation
        try:
            sensed = self._setup.transform.sensed(
                seen.state,
                seen.images[self._camera],
                seen.depth[self._depth_camera],
                seen.instruction,
                row.session.last,
            )
        except (PolicyError, RobotError, ConfigError) as error:
            return PolicyError(f"{self._server.address}: this observation cannot be sent: {error}")
        row.session.last = sensed.pose
        return sensed

    def _asked(self, sensed: Sensed | PolicyError) -> Asked | PolicyError:
        if isinstance(sensed, PolicyError):
            return sensed
        envelope = Envelope(PROTOCOL, endpoint="get_action")
        beside: dict[WirePath, Value] = {_ROTATIONS: self._options.pred_rot_type or None}
        return ForeignRequest(Operation.INFER, envelope, sensed.values, beside), None

    def _answer(
        self, row: Row[ArmSession], sensed: Sensed | PolicyError, reply: ForeignReply | PolicyError
    ) -> ActionChunk | PolicyError:
        if isinstance(sensed, PolicyError):
            return sensed
        result = reply if isinstance(reply, PolicyError) else self._joints(sensed, reply)
        self._keep(row, sensed, reply, result)
        if isinstance(result, PolicyError):
            return result
        return ActionChunk(row.step, result.actions, result.actions)

    def _joints(self, sensed: Sensed, reply: ForeignReply) -> JointChunk | PolicyError:
        actions = reply.actions.get(ACTION)
        if actions is None:
            got = quoted(list(reply.actions), 80)
            return PolicyError(f"{self._server.address}: wanted actions at {ACTION!r}, got {got}")
        try:
            wanted = self._setup.transform.wanted(actions[: self.spec.horizon])
            chunk = self._setup.transform.chunk(wanted, sensed.joints)
        except PolicyError as error:
            return PolicyError(f"{self._server.address}: {error}")
        refusal = chunk.path.refusal
        if refusal is None:
            return chunk
        count = len(chunk.actions)
        told = f"action {count + 1} of {len(wanted.poses)} is refused: {refusal}"
        event = "unreachable" if isinstance(refusal, UnreachableError) else "jump"
        self._count(f"{event}_{'cut' if count else 'refused'}")
        if not count:
            return ActionsRefusedError(f"{self._server.address}: {told}")
        repeat = self._repeats.note(event, self._clock.now_ns())
        if repeat is not None:
            logger.warning(
                "%s: %s; the %d before it are kept%s", self._server.address, told, count, repeat.times
            )
        return chunk

    def _keep(
        self,
        row: Row[ArmSession],
        sensed: Sensed,
        reply: ForeignReply | PolicyError,
        result: JointChunk | PolicyError,
    ) -> None:
        if self._debug is None:
            return
        answered = None if isinstance(reply, PolicyError) else reply.actions.get(ACTION)
        chunk = None if isinstance(result, PolicyError) else result
        refusal = result if chunk is None else chunk.path.refusal
        told: dict[str, object] = {
            "at": datetime.now(timezone.utc).isoformat(),
            "names": [feature.name for feature in self.spec.actions],
            "units": [feature.unit for feature in self.spec.actions],
            "rate_hz": self.spec.rate_hz,
            "step": row.step,
            "task": row.observation.instruction,
            "pred_rot_type": self._options.pred_rot_type,
            "state": row.observation.state.tolist(),
            "pose": sensed.pose.tolist(),
            "points": len(sensed.points),
            "answer": None if answered is None else answered.tolist(),
            "joints": None if chunk is None else chunk.actions.tolist(),
            "refused": None if refusal is None else str(refusal),
        }
        self._debug.put(DebugSample(sensed.picture, sensed.points, told))

    def _lose(self, why: str) -> None:
        self._count(f"debug_{why}")

    def _close_debug(self) -> None:
        if self._debug is not None:
            self._debug.close()


def load_ee_policy(server: ForeignServer, options: ArmOptions) -> EndEffectorPolicy:
    """Return the policy of the arm that the settings describe, connected.

    Raises:
        ConfigError: a file or setting is wrong; nobody is connected to then.
        VagusError: the server cannot be reached, or is none of that kind.
    """
    return EndEffectorPolicy(server, load_setup(options), options)


def _debug_writer(options: ArmOptions, clock: Clock, on_lost: Callable[[str], None]) -> DebugWriter | None:
    if not options.debug_dir:
        return None
    folder = DebugFolder(Path(options.debug_dir), max_bytes=options.debug_max_mb << 20)
    try:
        folder.open()
    except OSError as error:
        raise ConfigError(
            "debug_dir", wanted="a folder that can be written", got=f"{folder.folder}: {error.strerror}"
        ) from error
    return DebugWriter(folder, clock, on_lost)
