"""LeRobot's own rollout, its strategies unchanged, driven by a served policy."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rollout_rig import BASE, DRIVE, DRIVES_BASES, Stand, Sway, add_plugin, stand_in, table
from vagus.control.loop_stats import EndReason
from vagus.errors import ConfigError, LinkError, SessionRefusedError
from vagus.integrations.lerobot.rollout import rollout as integration


@pytest.fixture(autouse=True)
def arm() -> None:
    add_plugin()


def wave(stand: Stand, count: int) -> np.ndarray:
    """Return the first `count` actions of the policy, whatever chunk they come from."""
    rows = [stand.policy.actions(step)[0] for step in range(count)]
    return np.array(rows)


def test_base_plays_the_plan_by_name_and_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    sent_s: list[float] = []
    arm_type = importlib.import_module("lerobot_robot_vsim").VSim
    send = arm_type.send_action

    def timed(robot: object, action: dict[str, float]) -> dict[str, float]:
        sent_s.append(time.monotonic())
        sent: dict[str, float] = send(robot, action)
        return sent

    monkeypatch.setattr(arm_type, "send_action", timed)
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3"))
        played = table(stand.sent(), stand.policy.names)
    assert len(played) > 60
    np.testing.assert_allclose(played, wave(stand, len(played)), atol=1e-4)
    assert stand.events()[0]["event"] == "connect"
    assert stand.events()[-1]["event"] == "disconnect"
    gaps_ms = (
        np.diff(np.array(sent_s, dtype=np.float64)) * 1e3
    )  # reported, not judged: the machine may be busy with others
    said = f"median {np.median(gaps_ms):.1f}, p99 {np.percentile(gaps_ms, 99):.1f}, max {np.max(gaps_ms):.1f}"
    record_property("gaps_ms", said)


def test_between_policy_steps_lerobot_interpolates(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3", "--interpolation_multiplier=3"))
        played = table(stand.sent(), stand.policy.names)
    steps = played[::3]  # the first action is sent alone, then three per step
    np.testing.assert_allclose(steps, wave(stand, len(steps)), atol=1e-4)
    np.testing.assert_allclose(played[1], (2 * played[0] + played[3]) / 3, atol=1e-4)


def test_at_a_higher_rate_than_the_policys_vagus_interpolates(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=3", "--fps=60"))
        played = table(stand.sent(), stand.policy.names)
    steps = played[1::2]  # a step's action is reached at the end of its two ticks
    np.testing.assert_allclose(steps, wave(stand, len(steps)), atol=1e-3)


def test_a_slower_loop_than_the_policys_is_refused_and_the_robot_let_go(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match="rate"):
        integration.main(stand.arguments("base", "--duration=3", "--fps=10"))
    assert [event["event"] for event in stand.events()] == ["connect", "disconnect"]


@pytest.mark.skipif(not DRIVES_BASES, reason="LeRobot 0.6.0 commands positions only")
def test_a_base_is_told_to_stand_before_the_first_chunk_and_at_the_end(tmp_path: Path) -> None:
    with stand_in(tmp_path, Sway(has_base=True, inference_s=0.3)) as stand:
        integration.main(stand.arguments("base", "--duration=2", has_base=True))
        base = table(stand.sent(), BASE)
    assert not base[0].any()
    np.testing.assert_allclose(base.max(axis=0), DRIVE, rtol=1e-5)
    assert not base[-1].any()


def test_without_a_server_the_robot_is_never_connected(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand:
        arguments = stand.arguments("base", "--duration=3", "--policy.edge.connect_timeout_s=0.5")
        stand.server.close()
        with pytest.raises(LinkError, match="vagus serve"):
            integration.main(arguments)
    assert not stand.journal.exists()


def test_a_robot_that_does_not_fit_is_let_go_without_a_command(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(SessionRefusedError, match=r"wrist_roll\.pos"):
        integration.main(stand.arguments("base", "--duration=3", "--robot.use_degrees=false"))
    assert [event["event"] for event in stand.events()] == ["connect", "disconnect"]


@pytest.fixture
def no_destructor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector comes late, or never: LeRobot disconnects in `__del__` what it left connected."""
    monkeypatch.setattr(importlib.import_module("lerobot_robot_vsim").VSim, "__del__", lambda _: None)


EYE = "--robot.cameras={eye: {type: vsim, fps: 30, width: 64, height: 48}}"


@pytest.mark.usefixtures("no_destructor")
def test_a_camera_of_another_name_is_refused_with_the_map_that_may_be_meant(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(SessionRefusedError, match="--rename eye front"):
        integration.main(stand.arguments("base", "--duration=3", EYE))
    assert [event["event"] for event in stand.events()] == ["connect", "disconnect"]


@pytest.mark.parametrize(
    "rename",
    [
        "--policy.rename={eye: front}",
        '--rename_map={"observation.images.eye": "observation.images.front"}',
    ],
)
def test_a_renamed_camera_is_seen_by_the_policy_under_its_own_name(tmp_path: Path, rename: str) -> None:
    with stand_in(tmp_path) as stand:
        integration.main(stand.arguments("base", "--duration=2", EYE, rename))
        played = table(stand.sent(), stand.policy.names)
    assert len(played) > 30
    np.testing.assert_allclose(played, wave(stand, len(played)), atol=1e-4)
    pictures = [row.observation.images["front"] for row in stand.policy.rows]
    assert int(np.max(pictures[-1][..., 0])) > int(np.max(pictures[0][..., 0]))  # the arm was seen to move


@pytest.mark.usefixtures("no_destructor")
def test_what_lerobot_refuses_once_it_has_connected_the_robot_is_let_go(tmp_path: Path) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match="must start with"):
        integration.main(stand.arguments("sentry", *stand.dataset("no_such_prefix")))
    assert [event["event"] for event in stand.events()] == ["connect", "disconnect"]


@pytest.mark.parametrize("flag", ["--inference.type=sync", "--inference.type=rtc"])
def test_another_engine_is_refused_before_anything_is_connected(tmp_path: Path, flag: str) -> None:
    with stand_in(tmp_path) as stand, pytest.raises(ConfigError, match=r"inference\.type"):
        integration.main(stand.arguments("base", flag))
    assert not stand.journal.exists()


@pytest.mark.skipif(not DRIVES_BASES, reason="LeRobot 0.6.0 commands positions only")
def test_when_the_server_stays_away_the_rollout_ends_by_its_event(tmp_path: Path) -> None:
    with stand_in(tmp_path, Sway(has_base=True)) as stand:
        flags = ["--policy.edge.max_offline_s=3", "--policy.edge.max_action_age_s=1.5"]
        arguments = stand.arguments("base", "--duration=60", *flags, has_base=True)

        def kill() -> None:
            stand.await_actions(30)
            stand.server.close()

        killer = threading.Thread(target=kill)
        killer.start()
        ended = integration.main(arguments)
        killer.join()
        sent, names = stand.sent(), stand.policy.names
    assert ended.summary.reason is EndReason.DEAD
    assert "no chunk could be merged" in ended.summary.error
    base, joints = table(sent, BASE), table(sent, names[:6])
    assert np.abs(base).max() > 0
    assert not base[-10:].any()
    np.testing.assert_allclose(joints[-10:], joints[[-10] * 10], atol=1e-6)  # the pose is held
    assert stand.events()[-1]["event"] == "disconnect"
