"""A rollout in which something goes wrong, or somebody takes over: nothing moves that should not."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from lerobot.rollout.strategies import dagger

from rollout_dataset import recorded
from rollout_leader import HELD_AT
from rollout_rig import (
    BASE,
    DRIVES_BASES,
    JOINTS,
    Stand,
    Sway,
    add_leader,
    add_plugin,
    keys,
    pressing,
    stand_in,
    table,
)
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.integrations.lerobot.rollout import rollout as integration
from vagus.types import MotionState

POSITIONS = tuple(f"{joint}.pos" for joint in JOINTS)
LEADER = ["--teleop.type=vleader", "--teleop.id=leader"]
ACTUATED = [*LEADER, "--teleop.is_actuated=true"]
CORRECTIONS = ["--strategy.record_autonomous=false", "--strategy.num_episodes=1", "--duration=20"]
EPISODES = ["--dataset.num_episodes=2", "--dataset.episode_time_s=2", "--dataset.reset_time_s=3"]
COAST_S = 1.0
"""A base that LeRobot leaves alone is left for two seconds and more; a busy machine for less than this."""

pytestmark = pytest.mark.skipif(not DRIVES_BASES, reason="LeRobot 0.6.0 commands positions only")


@pytest.fixture(autouse=True)
def arm() -> None:
    add_plugin()
    add_leader()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """LeRobot takes the signals over for good."""
    taken = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in taken]
    yield
    for number, handler in zip(taken, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with stand_in(tmp_path, Sway(has_base=True)) as stand:
        yield stand


def check_ended_well(stand: Stand) -> None:
    """Assert that the base stands and the arm was let go."""
    told = stand.events()
    assert [event["event"] for event in told].count("connect") == 1
    assert told[-1]["event"] == "disconnect"
    assert not table(stand.sent(), BASE)[-1].any()


@contextlib.contextmanager
def meanwhile(stand: Stand, act: Callable[[], object], *, after: int = 40) -> Iterator[None]:
    """Do something else once the arm was sent so many actions."""

    def wait() -> None:
        stand.await_actions(after)
        act()

    other = threading.Thread(target=wait)
    other.start()
    yield
    other.join()


# -- a human takes over ---------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["tab", "esc"])
def test_after_a_correction_the_arm_stays_where_the_human_left_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    presses = [(1.0, "space"), (0.5, "tab"), (2.5, last)]
    with pressing(stand, keys(monkeypatch, dagger), presses):
        integration.main(stand.arguments("dagger", *CORRECTIONS, *LEADER, *stand.dataset(), has_base=True))
    joints, base = table(stand.sent(), POSITIONS), table(stand.sent(), BASE)
    by_hand = np.flatnonzero((joints == HELD_AT).all(axis=1) & base.all(axis=1))
    assert len(by_hand) > 10
    np.testing.assert_array_equal(joints[by_hand[0] :], HELD_AT)
    check_ended_well(stand)
    assert recorded(stand)["intervention"].all()


def test_an_arm_that_was_led_in_a_reset_phase_stays_there_until_the_next_episode(stand: Stand) -> None:
    integration.main(stand.arguments("episodic", *LEADER, *stand.dataset(), *EPISODES, has_base=True))
    joints, base = table(stand.sent(), POSITIONS), table(stand.sent(), BASE)
    last_by_hand = np.flatnonzero((joints == HELD_AT).all(axis=1) & base.all(axis=1))[-1]
    np.testing.assert_array_equal(joints[last_by_hand + 1], HELD_AT)
    assert not base[last_by_hand + 1].any()
    check_ended_well(stand)


def test_a_base_stands_while_lerobot_moves_the_leader(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    with pressing(stand, keys(monkeypatch, dagger), [(1.0, "space"), (3.5, "esc")]):
        integration.main(stand.arguments("dagger", *CORRECTIONS, *ACTUATED, *stand.dataset(), has_base=True))
    assert table(stand.sent(), BASE).any()
    assert stand.longest_coast_s() < COAST_S
    check_ended_well(stand)


@pytest.mark.parametrize(
    "flags",
    [["--strategy.reset_to_initial_position=false"], ["--strategy.reset_to_initial_position=true"], ACTUATED],
    ids=["left", "sent home", "leader moved"],
)
def test_a_base_stands_in_a_reset_phase(stand: Stand, flags: list[str]) -> None:
    integration.main(stand.arguments("episodic", *flags, *stand.dataset(), *EPISODES, has_base=True))
    assert table(stand.sent(), BASE).any()
    assert stand.longest_coast_s() < COAST_S
    check_ended_well(stand)


def test_the_way_back_to_the_first_pose_is_gone_with_a_standing_base(stand: Stand) -> None:
    flags = ["--duration=2", "--return_to_initial_position=true"]
    integration.main(stand.arguments("base", *flags, has_base=True))
    joints, base = table(stand.sent(), POSITIONS), table(stand.sent(), BASE)
    moved = np.flatnonzero(base.any(axis=1))[-1]
    assert np.abs(joints[moved]).max() > 1.0
    assert len(joints) > moved + 100  # three seconds at fifty per second
    np.testing.assert_allclose(joints[-1], 0.0, atol=1e-3)
    check_ended_well(stand)


# -- something fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "why"),
    [("fails_after", "no status packet"), ("lost_after", "finite numbers"), ("freezes_after", "nothing new")],
)
def test_a_robot_that_fails_is_stopped_and_let_go_and_what_was_recorded_is_kept(
    stand: Stand, flag: str, why: str
) -> None:
    arguments = stand.arguments("sentry", f"--robot.{flag}=60", *stand.dataset(), has_base=True)
    ended = integration.main([*arguments, "--return_to_initial_position=true"]).summary
    assert ended.reason is EndReason.ROBOT_ERROR
    assert why in ended.error
    check_ended_well(stand)
    assert np.isfinite(table(stand.sent(), POSITIONS)).all()
    assert len(recorded(stand)["action"]) > 30


def unwell(
    monkeypatch: pytest.MonkeyPatch, faults: Mapping[int, Callable[[dict[str, object]], object]]
) -> None:
    """Have the arm return something else in the readings of these numbers; it may raise."""
    kind = importlib.import_module("lerobot_robot_vsim.vsim").VSim
    well, counted = kind.get_observation, itertools.count(1)

    def get_observation(arm: object) -> object:
        seen = well(arm)
        fault = faults.get(next(counted))
        return seen if fault is None else fault(seen)

    monkeypatch.setattr(kind, "get_observation", get_observation)


def test_single_bad_readings_are_borne_with_and_do_not_get_into_a_dataset(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(_: object) -> object:
        raise ConnectionError("no status packet")

    unwell(
        monkeypatch,
        {
            40: lambda seen: {**seen, "gripper.pos": np.nan},
            60: lambda seen: {**seen, "elbow_flex.pos": 1e9},
            80: lose,
            100: lambda seen: {name: value for name, value in seen.items() if name != "wrist_roll.pos"},
            120: lambda _: None,
        },
    )
    arguments = stand.arguments("sentry", "--duration=6", *stand.dataset(), has_base=True)
    ended = integration.main(arguments).summary
    assert ended.reason is EndReason.FINISHED, ended.error
    assert ended.state_errors == 5
    state = np.array(recorded(stand)["observation.state"].tolist())
    assert np.isfinite(state).all()
    assert np.abs(state).max() < 200.0
    check_ended_well(stand)


def test_how_much_is_borne_with_is_a_setting(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    unwell(monkeypatch, {40: lambda seen: {**seen, "gripper.pos": np.nan}})
    ended = integration.main(
        stand.arguments("base", "--inference.senses.max_bad_readings=0", has_base=True)
    ).summary
    assert ended.reason is EndReason.ROBOT_ERROR
    assert "max_bad_readings is 0" in ended.error


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda frame: frame.astype(np.float32) / 255.0, "convert them to uint8"),
        (lambda frame: frame[..., 0], "a grey picture"),
        (lambda frame: frame.transpose(2, 0, 1), "channels come last"),
    ],
)
def test_frames_that_are_none_end_a_rollout_at_once_with_their_reason(
    stand: Stand,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    camera = importlib.import_module("lerobot_robot_vsim.vsim").VSimCamera
    well = camera.read
    monkeypatch.setattr(camera, "read", lambda camera: make(well(camera)))
    ended = integration.main(stand.arguments("base", "--duration=30", has_base=True)).summary
    assert ended.reason is EndReason.ROBOT_ERROR
    assert "camera 'front': wanted (48, 64, 3) uint8 RGB" in ended.error
    assert said in ended.error
    assert ended.duration_s < 5.0


def test_a_frozen_camera_is_told_and_the_arm_stands(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = importlib.import_module("lerobot_robot_vsim.vsim").VSimCamera
    picture = np.ones((48, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(camera, "read", lambda _: picture)
    flags = ["--duration=8", "--inference.senses.camera_stale_s=1"]
    ended = integration.main(stand.arguments("base", *flags, has_base=True)).summary
    assert ended.reason is EndReason.FINISHED
    assert ended.camera_errors > 0
    assert ended.motion_s[MotionState.FALLBACK] > 1.0
    assert not table(stand.sent(), BASE)[-1].any()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGTSTP]
)
def test_a_signal_ends_a_rollout_in_order(stand: Stand, number: signal.Signals) -> None:
    arguments = stand.arguments("sentry", "--duration=60", *stand.dataset(), has_base=True)
    reason = EndReason.TERMINATED if number == signal.SIGTERM else EndReason.INTERRUPTED
    with meanwhile(stand, lambda: os.kill(os.getpid(), number)):
        assert integration.main(arguments).summary.reason is reason
    check_ended_well(stand)
    assert len(recorded(stand)["action"]) > 30


def test_signals_without_end_do_not_keep_the_robot_from_being_let_go(stand: Stand) -> None:
    arguments = stand.arguments("sentry", "--duration=60", *stand.dataset(), has_base=True)

    def storm() -> None:
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGINT)

    with meanwhile(stand, storm):
        assert integration.main(arguments).summary.reason is EndReason.INTERRUPTED
    check_ended_well(stand)


def test_a_robot_that_hangs_is_noticed_and_stands(stand: Stand) -> None:
    arguments = stand.arguments("sentry", "--duration=60", "--robot.hangs_after=60", has_base=True)
    summaries: list[LoopSummary] = []
    ended = integration.main([*arguments, *stand.dataset()], summaries.append).summary
    assert ended.reason is EndReason.HUNG
    assert "robot.get_observation() hangs" in ended.error
    assert ended.is_stopped
    assert len(summaries) == 1, "its thread did not come back in time: a command would have ended the process"
    check_ended_well(stand)


def test_a_dead_link_ends_a_recording_which_is_kept(stand: Stand) -> None:
    flags = ["--duration=60", "--policy.edge.max_offline_s=3", "--policy.edge.max_action_age_s=1.5"]
    arguments = stand.arguments("sentry", *flags, *stand.dataset(), has_base=True)
    with meanwhile(stand, stand.server.close):
        ended = integration.main(arguments).summary
    assert ended.reason is EndReason.DEAD
    assert "no chunk could be merged" in ended.error
    assert ended.starved_s > 1.0
    check_ended_well(stand)
    columns = recorded(stand)
    assert len(columns["action"]) > 60
    assert (columns["vagus.step"] >= 0).any()
    assert columns["vagus.fallback"][-10:].all()


def test_a_teardown_that_fails_leaves_nothing_connected(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("lerobot.datasets.LeRobotDataset.finalize", fail)
    with pytest.raises(OSError, match="no space"):
        integration.main(stand.arguments("sentry", "--duration=1", *stand.dataset(), has_base=True))
    check_ended_well(stand)
