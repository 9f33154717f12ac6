"""A recorded session as rows: by policy step for a policy, by tick for a robot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from replay.recordings import ACTIONS, STATE, TICKS_PER_STEP, knot, session, without_plan
from vagus.errors import ConfigError
from vagus.features import ActionFeature, ActionKind
from vagus.recording.session import RecordedSession
from vagus.replay.session_rows import choose_episode, episodes_of, rows_by_step, rows_by_tick


def changed(recorded: RecordedSession, **steps: object) -> RecordedSession:
    return dataclasses.replace(recorded, steps=dataclasses.replace(recorded.steps, **steps))  # type: ignore[arg-type]


def test_a_step_has_the_action_of_its_chunk_and_the_state_of_its_beginning() -> None:
    episode = rows_by_step(session(6), 0)
    np.testing.assert_allclose(episode.actions, [knot(step) for step in range(6)], atol=1e-6)
    np.testing.assert_allclose(episode.states[:, 1], [knot(step)[0] - 0.02 for step in range(6)])
    assert (episode.rate_hz, episode.horizon, episode.instruction) == (10.0, 4, "go")
    assert (episode.action_features, episode.state_features) == (ACTIONS, STATE)


def test_without_chunks_a_step_has_the_last_command_of_its_ticks() -> None:
    episode = rows_by_step(session(6, has_chunks=False), 0)
    np.testing.assert_allclose(episode.actions, [knot(step) for step in range(6)])


def test_deltas_without_chunks_are_refused_because_a_command_is_a_share_of_one() -> None:
    recorded = session(6, has_chunks=False)
    deltas = (ActionFeature("joint", "rad", kind=ActionKind.DELTA), ACTIONS[1])
    info = dataclasses.replace(recorded.info, action_features=deltas)
    with pytest.raises(ConfigError, match=r"\['joint'\] are changes"):
        rows_by_step(dataclasses.replace(recorded, info=info), 0)


def test_a_step_that_was_passed_over_repeats_the_one_before() -> None:
    recorded = session(4)
    steps = np.array([0, 0, 1, 1, 3, 3, 3, 3])
    episode = rows_by_step(changed(recorded, step=steps, seq=np.full(8, 99)), 0)
    assert len(episode) == 4
    np.testing.assert_array_equal(episode.actions[2], episode.actions[1])


def test_holds_between_the_steps_are_left_out_and_an_episode_is_taken_alone() -> None:
    recorded = session(3, episodes=(0, 4))
    steps = recorded.steps.step.copy()
    steps[2] = -1
    assert episodes_of(recorded) == (0, 4)
    episode = rows_by_step(changed(recorded, step=steps), 4)
    np.testing.assert_allclose(episode.actions, [knot(step, 4) for step in range(3)], atol=1e-6)


def test_rows_by_tick_are_the_commands_with_the_frames_of_their_steps() -> None:
    episode = rows_by_tick(session(6), 0)
    assert len(episode) == 6 * TICKS_PER_STEP
    assert episode.rate_hz == 20.0
    assert [(frame.camera, frame.row) for frame in episode.frames] == [("front", 0), ("front", 6)]
    assert [int(frame.load()[0, 0, 0]) for frame in episode.frames] == [0, 3]


def test_the_first_episode_is_meant_unless_another_is_named() -> None:
    assert choose_episode((2, 5), None, "x") == 2
    assert choose_episode((2, 5), 5, "x") == 5
    with pytest.raises(ConfigError, match=r"episode of x: wanted one of \[2, 5\], got 3"):
        choose_episode((2, 5), 3, "x")


def test_a_session_without_commands_of_a_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match="12 commands, none of a plan"):
        episodes_of(without_plan(session(6)))
    with pytest.raises(ConfigError, match="no command at all"):
        episodes_of(session(0))


def test_a_session_that_does_not_say_its_rates_is_refused() -> None:
    recorded = session(6)
    silent = dataclasses.replace(recorded, info=dataclasses.replace(recorded.info, step_rate_hz=None))
    with pytest.raises(ConfigError, match="rates"):
        rows_by_step(silent, 0)
