from __future__ import annotations

import pytest

from recorded_sessions import session_of, with_frames
from vagus.errors import ConfigError
from vagus.viewing.session_view import view_of_session
from vagus.viewing.stretch import stretch_of


def test_a_stretch_has_what_lies_in_it_and_keeps_its_times() -> None:
    view = stretch_of(view_of_session(with_frames(session_of())), 3.0, 5.0)
    assert (view.begin_s, view.end_s, view.duration_s) == (3.0, 5.0, 2.0)
    curve = view.tracks[0].commanded
    assert curve is not None
    assert curve.times_s[[0, -1]].tolist() == pytest.approx([3.0, 5.0])
    assert len(curve) == 101
    assert {band.state for band in view.bands} == {"streaming", "reconnecting", "playing", "fallback"}
    assert all(3.0 <= band.begin_s <= band.end_s <= 5.0 for band in view.bands)
    assert all(3.0 <= picture.at_s <= 5.0 for picture in view.pictures)
    assert all(fan.times_s[-1] >= 3.0 and fan.captured_s <= 5.0 for fan in view.fans)
    assert view.episodes == ()


def test_without_times_it_is_the_whole() -> None:
    view = view_of_session(session_of())
    assert stretch_of(view, None, None) is view
    assert stretch_of(view, -1.0, 1e9) is view


@pytest.mark.parametrize(("begin_s", "end_s"), [(9.0, None), (None, -1.0), (5.0, 4.0)])
def test_a_stretch_with_nothing_in_it_is_refused(begin_s: float | None, end_s: float | None) -> None:
    with pytest.raises(ConfigError, match=r"goes from 0 to 8\.40 s"):
        stretch_of(view_of_session(session_of()), begin_s, end_s)
