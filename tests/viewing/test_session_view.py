from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from recorded_sessions import BEGAN_NS, NAMES, empty_session, session_of, with_frames
from vagus.features import StateFeature
from vagus.recording.session import SessionInfo
from vagus.viewing.session_view import view_of_session


def test_a_joint_has_its_command_its_measurement_its_unit_and_its_bounds() -> None:
    session = session_of()
    view = view_of_session(session)
    assert [(track.name, track.unit) for track in view.tracks] == [
        *zip(NAMES, ("rad", "rad", "0-1"), strict=True)
    ]
    first = view.tracks[0]
    assert (first.lower, first.upper, first.column) == (-0.9, 0.9, 0)
    assert first.commanded is not None
    assert first.measured is not None
    assert np.array_equal(first.commanded.values, session.steps.action[:, 0], equal_nan=True)
    assert np.array_equal(first.measured.values, session.steps.state[:, 0])
    assert first.commanded.times_s[:3].tolist() == pytest.approx([0.0, 0.02, 0.04])


def test_the_action_i_of_a_chunk_is_due_i_plus_1_steps_after_the_capture() -> None:
    view = view_of_session(session_of())
    fan = view.fans[2]
    assert fan.captured_s == pytest.approx(0.8)
    assert fan.times_s == pytest.approx(0.8 + (np.arange(20) + 1) / 25)
    assert fan.arrived_s == pytest.approx(0.88)
    assert fan.values.shape == (20, 3)
    assert view.latency.values == pytest.approx(80.0)


def test_a_refused_chunk_says_why_and_is_counted() -> None:
    view = view_of_session(session_of())
    assert [fan.outcome for fan in view.fans if not fan.is_merged] == ["stale_chunk"]
    assert dict(view.facts)["chunks"].endswith("merged, 1 stale_chunk")


def test_states_and_limits_are_bands_in_lanes_and_episodes_have_their_begin() -> None:
    view = view_of_session(session_of())
    assert view.lanes == ("link", "motion", "limit velocity")
    motion = [band.state for band in view.bands if band.lane == "motion"]
    assert motion == ["waiting", "playing", "fallback", "playing"]
    (limit,) = (band for band in view.bands if band.lane == "limit velocity")
    assert limit.state == "velocity"
    assert [limit.begin_s, limit.end_s] == pytest.approx([1.62, 1.76])
    assert [(episode.number, episode.at_s) for episode in view.episodes] == [(0, 0.0), (1, 6.0)]


def test_policy_steps_count_on_over_episodes() -> None:
    steps = view_of_session(session_of()).steps
    known = steps.values[np.isfinite(steps.values)]
    assert (np.diff(known) >= 0).all()
    second = steps.values[steps.times_s >= 6.0]
    assert second[0] == steps.values[steps.times_s < 6.0][-1] + 1


def test_zero_has_its_time_of_day_and_ages_their_limit() -> None:
    view = view_of_session(session_of())
    assert view.began == datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
    assert view.max_age_ms == 3000.0
    assert (view.begin_s, view.warnings) == (0.0, ())


def test_frames_are_in_order_of_time_and_load_what_was_recorded() -> None:
    view = view_of_session(with_frames(session_of()))
    assert view.cameras == ("front", "depth")
    times = [picture.at_s for picture in view.pictures]
    assert times == sorted(times)
    first = view.pictures[0]
    assert (first.kind, first.load().shape) == ("colour", (120, 160, 3))


def test_a_frame_without_a_time_has_that_of_its_step_or_is_told() -> None:
    session = with_frames(session_of())
    frame = replace(session.frames[0], captured_ns=None, episode=1, step=2)
    lost = replace(frame, episode=9)
    view = view_of_session(replace(session, frames=(frame, lost)))
    assert [picture.at_s for picture in view.pictures] == [pytest.approx(6.08)]
    assert view.warnings == ("1 frames belong to no command and are not shown",)


def test_an_old_session_without_names_units_chunks_or_end_is_shown_with_warnings() -> None:
    session = replace(session_of(), info=SessionInfo(format=1), chunks=(), summary=None)
    view = view_of_session(session)
    assert [track.name for track in view.tracks[:2]] == ["action 1", "action 2"]
    assert [track.name for track in view.tracks[3:]] == ["state 1", "state 2", "state 3"]
    assert view.began is None
    assert view.max_age_ms is None
    assert view.warnings == (
        "the recording has no chunks, so no fans are shown",
        "the recording has no end: the run still goes on, or was killed",
    )


def test_chunks_without_a_rate_are_told() -> None:
    session = session_of()
    view = view_of_session(replace(session, info=replace(session.info, step_rate_hz=None)))
    assert not view.fans
    assert "does not say its policy steps per second" in view.warnings[0]


def test_a_state_that_no_action_moves_has_a_track_of_its_own() -> None:
    session = session_of()
    features = (*session.info.state_features[:2], StateFeature("force", "N"))
    view = view_of_session(replace(session, info=replace(session.info, state_features=features)))
    assert [(track.name, track.column) for track in view.tracks][2:] == [("gripper.pos", 2), ("force", None)]
    assert view.tracks[2].measured is None
    assert view.tracks[3].commanded is None


def test_nothing_recorded_is_an_empty_view() -> None:
    view = view_of_session(empty_session(session_of()))
    assert (view.duration_s, view.fans, view.bands, view.episodes) == (0.0, (), (), ())


def test_one_step_is_shown() -> None:
    session = session_of(0.02)
    view = view_of_session(replace(session, chunks=()))
    assert len(session.steps) == 1
    assert view.duration_s == 0.0
    assert [band.state for band in view.bands] == ["streaming", "waiting"]


def test_zero_is_the_first_thing_that_happened() -> None:
    session = session_of()
    early = replace(session.chunks[0], captured_ns=BEGAN_NS - 500_000_000)
    view = view_of_session(replace(session, chunks=(early, *session.chunks[1:])))
    assert view.fans[0].captured_s == 0.0
    assert view.age.times_s[0] == 0.5
