"""An arm that is moved by poses: what the server is asked, what comes back, what is refused and counted."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateways.foreign_rig import HandClock
from integrations.pointact.pose_rig import OPTIONS, STATE, PoseServer, at, held, row_of
from vagus.errors import ActionsRefusedError, ConfigError, LinkError, PolicyError
from vagus.gateways.neutral import ForeignReply
from vagus.policies.policy import BringsSample, CountsEvents
from vagus.types import ActionChunk, Observation
from vagus.viewing.sources import view_of

pytest.importorskip("pinocchio")

from vagus.integrations.pointact.arm_options import ArmOptions
from vagus.integrations.pointact.arm_setup import load_setup
from vagus.integrations.pointact.ee_policy import ArmSession, EndEffectorPolicy


class Stand:
    """A policy over a server of lines of code."""

    def __init__(self, server: PoseServer | None = None, options: ArmOptions = OPTIONS) -> None:
        self.server = server or PoseServer()
        self.clock = HandClock()
        self.policy = EndEffectorPolicy(self.server, load_setup(options), options, self.clock)
        self.counted: Counter[str] = Counter()
        self.policy.count_with(lambda event: self.counted.update([event]))
        self.session = self.policy.open_session()

    def ask(self, observation: Observation | None = None, *, step: int = 0) -> ActionChunk | PolicyError:
        seen = at(self.policy.sample()) if observation is None else observation
        (result,) = self.policy.infer([row_of(seen, self.session, step=step)])  # type: ignore[list-item]
        return result

    def error(self, observation: Observation | None = None) -> PolicyError:
        result = self.ask(observation)
        assert isinstance(result, PolicyError)
        return result


def moved_up(pose: np.ndarray) -> np.ndarray:
    """Return a chunk that lifts the gripper by 4 mm."""
    chunk = held(pose)
    chunk[:, 2] += np.arange(1, len(chunk) + 1) * 0.001
    return chunk


def too_far(pose: np.ndarray, first: int) -> np.ndarray:
    """Return a chunk that goes out of reach at an action."""
    chunk = held(pose)
    chunk[first:, 0] += 2.0
    return chunk


def test_it_wants_what_the_robot_has_and_answers_in_its_units() -> None:
    policy = Stand().policy
    assert [(f.name, f.unit) for f in policy.spec.actions][-2:] == [
        ("wrist_roll.pos", "deg"),
        ("gripper.pos", "lerobot_norm"),
    ]
    assert [f.name for f in policy.spec.state] == [f.name for f in policy.spec.actions]
    assert [(c.name, c.height, c.width) for c in policy.spec.cameras] == [("front", 240, 320)]
    assert [(c.name, c.height, c.width, c.units_per_m) for c in policy.spec.depth_cameras] == [
        ("front_depth", 240, 320, 1000.0)
    ]
    assert isinstance(policy, BringsSample)
    assert isinstance(policy, CountsEvents)


def test_a_server_that_stays_where_the_arm_is_holds_it() -> None:
    stand = Stand()
    chunk = stand.ask(step=7)
    assert isinstance(chunk, ActionChunk)
    assert chunk.step == 7
    np.testing.assert_allclose(chunk.robot, np.tile(STATE, (4, 1)), atol=2e-3)
    ((request, rtc),) = stand.server.asked
    assert rtc is None
    assert request.observation[("task",)] == "stack"
    assert request.beside == {("data", "options", "pred_rot_type"): None}
    assert np.asarray(request.observation[("observation.points",)]).shape[1] == 6
    assert np.asarray(request.observation[("observation.images.front_image",)]).shape == (256, 256, 3)
    assert stand.counted == {}


def test_a_pose_that_rises_moves_the_joints_that_lift() -> None:
    stand = Stand(PoseServer(moved_up))
    chunk = stand.ask()
    assert isinstance(chunk, ActionChunk)
    again = Stand().policy
    for number, action in enumerate(chunk.robot, start=1):
        session = again.open_session()
        again.infer([row_of(at(again.sample(), action.tolist()), session)])  # type: ignore[list-item]
        begin = np.asarray(stand.server.asked[0][0].observation[("observation.state",)])
        assert session.last is not None
        np.testing.assert_allclose(session.last[2] - begin[2], number * 0.001, atol=1e-4)


@pytest.mark.parametrize("first", [1, 3])
def test_a_chunk_ends_before_the_pose_out_of_reach_and_that_is_counted_and_logged(
    first: int, caplog: pytest.LogCaptureFixture
) -> None:
    stand = Stand(PoseServer(lambda pose: too_far(pose, first)))
    with caplog.at_level(logging.WARNING):
        chunk = stand.ask()
        stand.ask()
    assert isinstance(chunk, ActionChunk)
    assert len(chunk) == first
    np.testing.assert_allclose(chunk.robot, np.tile(STATE, (first, 1)), atol=2e-3)
    assert stand.counted == {"unreachable_cut": 2}
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"action {first + 1} of 4 is refused: out of reach: the nearest joints end" in line
    assert f"the {first} before it are kept" in line


def test_a_chunk_whose_first_pose_is_out_of_reach_is_refused() -> None:
    stand = Stand(PoseServer(lambda pose: too_far(pose, 0)))
    error = stand.error()
    assert isinstance(error, ActionsRefusedError)
    assert "action 1 of 4 is refused: out of reach" in str(error)
    assert stand.counted == {"unreachable_refused": 1}


def test_a_jump_is_refused_and_counted_by_its_own_name() -> None:
    far = Stand()
    far.ask(at(far.policy.sample(), (60.0, *STATE[1:])))
    other = np.asarray(far.server.asked[0][0].observation[("observation.state",)])
    stand = Stand(PoseServer(lambda pose: np.stack([pose, pose, other])))
    chunk = stand.ask()
    assert isinstance(chunk, ActionChunk)
    assert len(chunk) == 2
    assert stand.counted == {"jump_cut": 1}
    stand = Stand(PoseServer(lambda _: held(other)))
    assert "a jump: joint 1 from the base would turn by 50.0°" in str(stand.error())
    assert stand.counted == {"jump_refused": 1}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            ForeignReply({"action": np.zeros((4, 6), np.float32)}),
            r"wanted \(horizon, 7\).* without the option urdf",
        ),
        (ForeignReply({"action": np.full((4, 7), np.nan, np.float32)}), "wanted finite x, y, z"),
        (ForeignReply(extra={"status": "ok"}), "wanted actions at 'action'"),
        (ForeignReply(error="Traceback\nKeyError: 'x'"), "says: KeyError: 'x'"),
    ],
)
def test_what_is_no_answer_costs_its_row_alone(reply: ForeignReply, reason: str) -> None:
    stand = Stand()
    stand.server.max_rows = 1
    stand = Stand(stand.server)
    stand.server.script.append(reply)
    rows = [row_of(at(stand.policy.sample()), stand.policy.open_session()) for _ in range(2)]
    bad, good = stand.policy.infer(rows)  # type: ignore[arg-type]
    assert isinstance(bad, PolicyError)
    assert not isinstance(bad, ActionsRefusedError)
    with pytest.raises(PolicyError, match=reason):
        raise bad
    assert isinstance(good, ActionChunk)


def test_an_answer_longer_than_the_horizon_is_cut() -> None:
    stand = Stand(options=replace(OPTIONS, horizon=3))
    chunk = stand.ask()
    assert isinstance(chunk, ActionChunk)
    assert len(chunk) == 3


def test_what_cannot_be_measured_is_not_sent() -> None:
    stand = Stand()
    seen = at(stand.policy.sample())
    covered = replace(seen, depth={"front_depth": np.zeros((240, 320), np.uint16)})
    assert "at least one pixel with a depth, got none" in str(stand.error(covered))
    far = replace(seen, depth={"front_depth": np.full((240, 320), 9000, np.uint16)})
    assert "wanted points in the workspace" in str(stand.error(far))
    small = replace(seen, images={"front": seen.images["front"][::2, ::2]})
    assert "got 160×120 of colour and 320×240 of depth" in str(stand.error(small))
    assert "wanted shoulder_pan.pos between -110 and 110 deg" in str(
        stand.error(at(seen, (170.0, *STATE[1:])))
    )
    assert stand.server.asked == []


def test_after_a_lost_server_the_others_go_on_and_it_is_asked_again() -> None:
    stand = Stand()
    stand.server.script.append(LinkError("the wire was cut"))
    assert "the wire was cut" in str(stand.error())
    assert not stand.server.is_open
    assert "asked again in 0." in str(stand.error())
    stand.clock.advance(0.6)
    assert isinstance(stand.ask(), ActionChunk)


def test_an_episode_begins_with_the_server_and_without_a_last_pose() -> None:
    stand = Stand()
    stand.ask()
    assert isinstance(stand.session, ArmSession)
    assert stand.session.last is not None
    stand.policy.begin_episode(stand.session)
    assert stand.session.last is None
    assert stand.server.resets == 1


def test_quaternions_are_asked_for_by_their_name() -> None:
    stand = Stand(options=replace(OPTIONS, pred_rot_type="quat"))
    assert r"wanted (horizon, 8): x, y, z, quaternion (x, y, z, w), gripper" in str(stand.error())
    assert stand.server.asked[0][0].beside == {("data", "options", "pred_rot_type"): "quat"}


def test_the_sample_is_answered() -> None:
    stand = Stand()
    assert isinstance(stand.ask(stand.policy.sample()), ActionChunk)


def test_another_arm_another_model_or_another_tolerance_is_another_brain(tmp_path: Path) -> None:
    plain = Stand().policy.model_hash
    assert Stand().policy.model_hash == plain
    copy = tmp_path / "copy.urdf"
    copy.write_bytes(Path(OPTIONS.urdf).read_bytes())
    assert Stand(options=replace(OPTIONS, urdf=str(copy), timeout_s=1.0)).policy.model_hash == plain
    copy.write_text(copy.read_text().replace("0.135", "0.136"))
    others = [
        replace(OPTIONS, urdf=str(copy)),
        replace(OPTIONS, identity="another"),
        replace(OPTIONS, tolerance_m=0.001),
        replace(OPTIONS, offset="0,0,0.03"),
    ]
    assert len({plain, *(Stand(options=other).policy.model_hash for other in others)}) == 5


def test_without_an_identity_nobody_says_who_it_is() -> None:
    server = PoseServer()
    with pytest.raises(ConfigError, match="identity: wanted a name for what is served"):
        Stand(server, replace(OPTIONS, identity=""))
    assert not server.is_open


def test_the_debug_folder_keeps_what_went_out_and_what_came_back(tmp_path: Path) -> None:
    options = replace(OPTIONS, debug_dir=str(tmp_path / "debug"))
    stand = Stand(PoseServer(lambda pose: too_far(pose, 2)), options)
    stand.ask(step=5)
    stand.server.script.append(ForeignReply(error="out of memory"))
    stand.ask()
    stand.policy.close()
    first, second = sorted((tmp_path / "debug").iterdir())
    told = json.loads((first / "exchange.json").read_text())
    assert told["step"] == 5
    assert told["task"] == "stack"
    np.testing.assert_allclose(told["state"], STATE)
    assert len(told["pose"]) == 7
    assert np.shape(told["answer"]) == (4, 7)
    assert np.shape(told["joints"]) == (2, 6)
    assert told["refused"].startswith("out of reach")
    assert told["points"] > 0
    told = json.loads((second / "exchange.json").read_text())
    assert told["answer"] is None
    assert "out of memory" in told["refused"]
    assert stand.counted == {"unreachable_cut": 1}
    view = view_of(tmp_path / "debug")
    names = [feature.name for feature in stand.policy.spec.actions]
    assert [track.name for track in view.tracks][: len(names)] == names
    assert {track.unit for track in view.tracks[: len(names) - 1]} == {"deg"}
    assert [len(fan.times_s) for fan in view.fans] == [2]
    assert [len(cloud.load()) for cloud in view.clouds] == [told["points"]] * 2
    assert view.began is not None


def test_a_debug_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = PoseServer()
    with pytest.raises(ConfigError, match="debug_dir: wanted a folder that can be written"):
        Stand(server, replace(OPTIONS, debug_dir=str(tmp_path / "file" / "debug")))
    assert not server.is_open
