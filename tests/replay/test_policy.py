"""A recording as a policy: chunk k for step k, no jump to where it begins, and a stand at its end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from replay.recordings import knot, session
from vagus.errors import ConfigError, PolicyError
from vagus.features import ActionFeature, ActionKind, Limits
from vagus.policies.policy import Row
from vagus.recording.episode import RecordedEpisode
from vagus.replay.options import ReplayOptions
from vagus.replay.policy import PlaybackState, ReplayPolicy
from vagus.replay.session_rows import rows_by_step
from vagus.types import ActionChunk, Observation

STEPS = 6


def episode(**changes: object) -> RecordedEpisode:
    return dataclasses.replace(rows_by_step(session(STEPS), 0), **changes)  # type: ignore[arg-type]


def ask(
    policy: ReplayPolicy, at: float, step: int = 0, *, state: PlaybackState | None = None
) -> ActionChunk | PolicyError:
    observation = Observation(np.array([9.0, at], np.float32), {}, "", 0)
    row = Row(state or policy.open_session(), observation, step, None, 0, 0, 0)
    (answer,) = policy.infer([row])
    return answer


def played(answer: ActionChunk | PolicyError) -> np.ndarray:
    assert isinstance(answer, ActionChunk), answer
    np.testing.assert_array_equal(answer.robot, answer.model)
    return answer.robot


def refused(answer: ActionChunk | PolicyError) -> str:
    assert isinstance(answer, PolicyError), answer
    return str(answer)


@pytest.mark.parametrize("step", range(STEPS))
def test_a_chunk_holds_the_recorded_actions_from_its_step_on(step: int) -> None:
    policy = ReplayPolicy(episode())
    rows = played(ask(policy, knot(step)[0] - 0.02, step))
    assert len(rows) == policy.spec.horizon == 4
    wanted = [knot(at) for at in range(step, min(step + 4, STEPS))]
    np.testing.assert_allclose(rows[: len(wanted)], wanted, atol=1e-6)


@pytest.mark.parametrize("step", [STEPS - 2, STEPS, STEPS + 100])
def test_after_the_end_positions_stay_and_velocities_are_zero(step: int) -> None:
    rows = played(ask(ReplayPolicy(episode()), knot(min(step, STEPS - 1))[0], step))
    over = rows[max(STEPS - step, 0) :]
    np.testing.assert_allclose(over, [[knot(STEPS - 1)[0], 0.0]] * len(over), atol=1e-6)


def test_a_robot_that_stands_elsewhere_is_refused_with_both_places() -> None:
    text = refused(ask(ReplayPolicy(episode()), 0.8))
    assert "joint is at 0.8, recorded at -0.02 (at most 0.1 apart)" in text
    assert "approach_s" in text


def test_a_robot_that_leaves_the_path_is_refused_also_later() -> None:
    policy = ReplayPolicy(episode())
    state = policy.open_session()
    played(ask(policy, 0.0, 0, state=state))
    assert "at its step 4" in refused(ask(policy, 0.0, 4, state=state))


def test_the_distance_is_a_share_of_the_range_or_a_number() -> None:
    for at, share, tolerance, is_played in [
        (0.15, 0.05, 0.0, False),
        (0.15, 0.1, 0.0, True),
        (0.15, 0.0, 0.2, True),
        (0.25, 0.5, 0.2, False),
    ]:
        options = ReplayOptions(path_share=share, path_tolerance=tolerance)
        assert isinstance(ask(ReplayPolicy(episode(), options), at), ActionChunk) is is_played


def test_without_bounds_the_range_is_that_of_what_was_recorded() -> None:
    free = tuple(dataclasses.replace(f, limits=Limits()) for f in episode().action_features)
    policy = ReplayPolicy(episode(action_features=free), ReplayOptions(path_share=0.1))
    assert "at most 0.05 apart" in refused(ask(policy, 0.8))


def test_a_joint_that_nothing_measures_is_refused_unless_trusted() -> None:
    blind = (ActionFeature("joint", "rad", is_measured=False), episode().action_features[1])
    recorded = episode(action_features=blind)
    assert "nothing measures ['joint']" in refused(ask(ReplayPolicy(recorded), 0.0))
    played(ask(ReplayPolicy(recorded, ReplayOptions(trust_path=True)), 0.0))


def test_an_approach_brings_the_robot_to_the_beginning_without_a_jump() -> None:
    policy = ReplayPolicy(episode(), ReplayOptions(approach_s=1.0, horizon=12))
    rows = played(ask(policy, 0.8))
    joint = rows[:, 0]
    assert abs(joint[0] - 0.8) < 0.03
    assert np.abs(np.diff(joint)).max() < 0.2
    np.testing.assert_allclose(joint[9:12], [0.0, 0.0, 0.1], atol=1e-6)
    assert not rows[:10, 1].any(), "the wheel rests until the recording begins"


def test_after_the_approach_steps_count_from_its_end() -> None:
    policy = ReplayPolicy(episode(), ReplayOptions(approach_s=1.0))
    state = policy.open_session()
    first = played(ask(policy, 0.8, state=state))
    second = played(ask(policy, float(first[1, 0]), 2, state=state))
    np.testing.assert_allclose(second[:2], first[2:4], atol=1e-6)
    np.testing.assert_allclose(played(ask(policy, knot(2)[0], 12, state=state))[0], knot(2), atol=1e-6)
    assert "at its step 2" in refused(ask(policy, 0.9, 12, state=state))


def test_an_approach_begins_anew_from_where_a_push_has_left_the_robot() -> None:
    policy = ReplayPolicy(episode(), ReplayOptions(approach_s=1.0))
    state = policy.open_session()
    played(ask(policy, 0.8, state=state))
    rows = played(ask(policy, -0.9, 3, state=state))
    assert abs(rows[0, 0] + 0.9) < 0.05
    np.testing.assert_allclose(played(ask(policy, 0.0, 13, state=state))[0], knot(0), atol=1e-6)


def test_a_new_episode_begins_at_the_beginning() -> None:
    policy = ReplayPolicy(episode(), ReplayOptions(approach_s=1.0))
    state = policy.open_session()
    played(ask(policy, 0.8, state=state))
    policy.begin_episode(state)
    assert abs(played(ask(policy, 0.5, state=state))[0, 0] - 0.5) < 0.03


def test_an_effort_ends_with_the_recording() -> None:
    effort = ActionFeature("wheel", "N", kind=ActionKind.EFFORT, safe=0.0)
    policy = ReplayPolicy(episode(action_features=(episode().action_features[0], effort)))
    assert len(played(ask(policy, knot(4)[0], 4))) == 2
    assert "an effort cannot be held" in refused(ask(policy, knot(5)[0], STEPS))


def test_a_new_session_goes_on_where_the_robot_is() -> None:
    np.testing.assert_allclose(played(ask(ReplayPolicy(episode()), knot(3)[0], 3))[0], knot(3), atol=1e-6)


def test_another_recording_or_setting_is_another_model() -> None:
    one = ReplayPolicy(episode())
    assert one.model_hash == ReplayPolicy(episode()).model_hash
    others = [
        ReplayPolicy(episode(actions=episode().actions + 1e-6)),
        ReplayPolicy(episode(), ReplayOptions(path_share=0.06)),
        ReplayPolicy(episode(rate_hz=11.0)),
    ]
    assert len({one.model_hash, *(other.model_hash for other in others)}) == 4


def test_its_spec_says_nothing_that_only_a_robot_can_say_and_needs_no_camera() -> None:
    spec = ReplayPolicy(episode()).spec
    assert all(feature.limits == Limits() and feature.feedback is None for feature in spec.actions)
    assert [camera.is_required for camera in spec.cameras] == [False]


def test_its_own_sample_is_answered() -> None:
    policy = ReplayPolicy(episode())
    played(ask(policy, float(policy.sample().state[1])))


@pytest.mark.parametrize(
    "wrong", [{"approach_s": -1.0}, {"approach_s": 1e9}, {"path_share": -0.1}, {"horizon": 10**6}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ReplayOptions(**wrong)  # type: ignore[arg-type]
