from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vagus.features import ActionFeature, StateFeature
from vagus.recording.episode import RecordedEpisode, RowFrame
from vagus.specs import CameraSpec
from vagus.viewing.description import StateBand
from vagus.viewing.episode_view import view_of_episode

FRAME = np.zeros((2, 2, 3), np.uint8)
EPISODE = RecordedEpisode(
    name="dataset folding, episode 3",
    robot_type="so101",
    action_features=(ActionFeature("a", ""), ActionFeature("b", "")),
    state_features=(StateFeature("b", ""), StateFeature("force", "")),
    cameras=(CameraSpec("front", 2, 2),),
    rate_hz=10.0,
    actions=np.arange(8.0).reshape(4, 2),
    states=np.arange(8.0, 16.0).reshape(4, 2),
    frames=(RowFrame("front", 2, lambda: FRAME),),
    instruction="fold",
    columns={
        "vagus.fallback": np.array([0.0, 0, 1, 0]),
        "vagus.step": np.array([5.0, 6, -1, -1]),
        "vagus.age_ms": np.array([40.0, 50, -1, -1]),
    },
)


def test_rows_are_curves_at_the_rate_of_the_dataset() -> None:
    view = view_of_episode(EPISODE)
    assert [track.name for track in view.tracks] == ["a", "b", "force"]
    a, b, force = view.tracks
    assert a.commanded is not None
    assert a.commanded.times_s.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert a.commanded.values.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert a.measured is None
    assert b.measured is not None
    assert b.measured.values.tolist() == [8.0, 10.0, 12.0, 14.0]
    assert (force.column, force.commanded) == (None, None)
    assert dict(view.facts)["instruction"] == "fold"
    assert view.end_s == pytest.approx(0.3)


def test_the_columns_of_vagus_are_states_ages_and_steps() -> None:
    view = view_of_episode(EPISODE)
    assert view.bands[0] == StateBand("motion", "playing", 0.0, 0.2)
    assert [(band.state, round(band.end_s, 6)) for band in view.bands[1:]] == [("fallback", 0.3)]
    assert view.age.values[:2].tolist() == [40.0, 50.0]
    assert np.isnan(view.age.values[2:]).all()
    assert view.steps.values[:2].tolist() == [5.0, 6.0]
    assert view.warnings == ()


def test_a_dataset_of_others_has_no_states_and_says_so() -> None:
    view = view_of_episode(replace(EPISODE, columns={}))
    assert view.bands == ()
    assert "no columns of vagus" in view.warnings[0]


def test_frames_have_the_time_of_their_row() -> None:
    (picture,) = view_of_episode(EPISODE).pictures
    assert (picture.camera, picture.at_s) == ("front", 0.2)
    assert picture.load() is FRAME
