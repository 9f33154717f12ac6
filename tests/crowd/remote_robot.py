"""A robot with the client of LeRobot's remote inference; kind: merge, link and profile: `aligned peer so100`.

In its diary, `lost` is a request without an answer of the policy, `hold` a tick at which it had no row.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from crowd.numbers import COUNTED, ROW, fixed_numbers, pictures_of, read_answer
from crowd.robot_process import MAX_TEXT, RobotProcess, run_robot
from remote_client.admission import Wishes
from remote_client.client import RemoteClient
from remote_client.engine_parts import Observed
from vagus.gateways.profile_file import load_profile
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteActions
from vagus.integrations.lerobot_zenoh.v1.pictures import picture_of
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig
from vagus.types import FloatArray

GENERATION_B = "aligned_b"


class NotingArm:
    """Says who it is in each frame, and checks each row that it gets or executes."""

    def __init__(self, robot: RobotProcess, *, is_aligned: bool) -> None:
        self._robot = robot
        self._is_aligned = is_aligned
        self._asked = 0
        self._generation = 0
        self._may_be_late = False
        self._executed = 0
        self._is_moving = False

    def observe(self, capabilities: RemoteCapabilities) -> FrameFeatures:
        """Return who it is, where its answers will hold it."""
        robot = self._robot
        robot.counter += 1
        state = robot.state.astype(np.float32)
        for place, number in fixed_numbers(robot.who, robot.life).items():
            state[place] = number
        pictures = pictures_of(robot.who, robot.counter)
        shapes = {one.name: one.shape for one in capabilities.features if one.kind is FeatureKind.RGB}
        cut = {
            name: pictures[name.rpartition(".")[2]][: shape[0], : shape[1]] for name, shape in shapes.items()
        }
        return {"observation.state": state, **{name: picture_of(picture) for name, picture in cut.items()}}

    def asked(self, observed: Observed) -> None:
        """Note a request; one before it that was not answered is lost."""
        if self._asked:
            self._robot.diary.note("lost", self._asked, "superseded")
        self._may_be_late = self._may_be_late and observed.generation == self._generation
        self._asked, self._generation = observed.number, observed.generation
        self._robot.diary.note("ask", observed.number)

    def replied(self, actions: RemoteActions) -> None:
        """Note a reply: the policy's rows, or a hold made of older ones."""
        asked, self._asked = self._asked, 0
        rows = actions.canonical_actions.astype(np.float64)
        try:
            counters = {self._check(row) for row in rows}
        except ValueError as error:
            self._robot.diary.note("wrong", asked, str(error)[:MAX_TEXT])
            return
        places = np.round((rows[:, 2] - asked * COUNTED) / ROW)
        if counters != {asked} or len(set(places)) == 1:
            self._robot.diary.note("lost", asked, "held")
            self._may_be_late = True
            return
        late = np.arange(len(rows), dtype=np.float64) - places
        if self._is_aligned and ((late < 0).any() or (late.any() and not self._may_be_late)):
            self._robot.diary.note("wrong", asked, f"rows {places.tolist()}"[:MAX_TEXT])
        self._may_be_late = False
        self._robot.diary.note("got", asked)

    def act(self, row: FloatArray | None, commit: int) -> None:
        """Check a row that is executed: nobody else's, and not of an older answer than the one before."""
        if row is None:
            if self._is_moving:
                self._robot.diary.note("hold", self._robot.counter)
            self._is_moving = False
            return
        self._is_moving = True
        counter = self._check(row.astype(np.float64))
        if not self._executed <= counter <= self._robot.counter:
            told = f"executed a row of {counter} after one of {self._executed}"
            self._robot.diary.note("wrong", counter, told)
        self._executed = counter

    def _check(self, row: np.ndarray) -> int:
        return read_answer(row[None], self._robot.who, self._robot.life, first_row=None)


def work(robot: RobotProcess) -> None:
    merge, link, profile_name = robot.kind.split()
    profile = load_profile(profile_name, "lerobot_zenoh")
    wishes = Wishes(
        deployment=profile.name,
        semantics=profile.semantics,
        rate_hz=profile.rate_hz,
        merge=ChunkMerge(merge.removesuffix("_b")),
        is_generation_b=merge == GENERATION_B,
    )
    network = ZenohConfig(
        mode=LinkMode(link), connect=(f"tcp/{robot.address}",), reopen_on_loss=False, shared_memory=False
    )
    arm = NotingArm(robot, is_aligned=wishes.is_aligned)
    with ZenohPlainLink(network) as plain_link:
        client = RemoteClient(plain_link, wishes, arm, task=robot.instruction)
        client.connect()
        client.run(robot.is_over)
        counts = client.engine.counts
        robot.diary.note("counts", counts.holds, json.dumps(asdict(counts)))
        if counts.fault:
            raise RuntimeError(counts.fault)
        client.close()


if __name__ == "__main__":
    run_robot(work)
