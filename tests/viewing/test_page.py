from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from recorded_sessions import empty_session, session_of, with_frames
from vagus.viewing.description import RecordingView
from vagus.viewing.page import page_of
from vagus.viewing.session_view import view_of_session


class Joint(msgspec.Struct):
    commanded: tuple[list[float], list[float | None]] | None


class Fan(msgspec.Struct):
    outcome: str


class Frame(msgspec.Struct):
    camera: str
    uri: str


class Content(msgspec.Struct):
    facts: list[tuple[str, str]]
    tracks: list[Joint]
    fans: list[Fan]
    fans_of: int
    pictures: list[Frame]


def content_in(page: str) -> Content:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    assert found
    return msgspec.json.decode(found[1], type=Content)


def long_view(seconds: float, joints: int) -> RecordingView:
    """Return a view of a session of many joints, with its chunks."""
    session = session_of(seconds)
    repeats = -(-joints // 3)
    wide = replace(
        session,
        info=replace(session.info, action_features=(), state_features=()),
        steps=replace(
            session.steps,
            action=np.tile(session.steps.action, repeats)[:, :joints],
            state=np.tile(session.steps.state, repeats)[:, :joints],
        ),
        chunks=tuple(replace(c, robot=np.tile(c.robot, repeats)[:, :joints]) for c in session.chunks),
    )
    return view_of_session(wide)


def test_a_page_asks_nobody() -> None:
    page = page_of(view_of_session(with_frames(session_of())))
    assert "default-src 'none'" in page
    without_names = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|src=\"(?!data:)|@import|<link", without_names)


def test_what_a_person_wrote_is_text_and_no_markup() -> None:
    session = session_of()
    bad = "</script><script>alert(1)</script>%%content%%"
    page = page_of(
        view_of_session(replace(session, info=replace(session.info, robot_name=bad, instruction=bad)))
    )
    assert "<script>alert" not in page
    assert ("instruction", bad) in content_in(page).facts


def test_the_numbers_are_those_of_the_recording() -> None:
    view = view_of_session(session_of())
    content = content_in(page_of(view))
    assert len(content.fans) == content.fans_of == len(view.fans)
    times, values = content.tracks[0].commanded or ([], [])
    curve = view.tracks[0].commanded
    assert curve is not None
    assert times == pytest.approx(curve.times_s.tolist(), abs=1e-4)
    assert values[:10] == [None] * 10
    assert [value for value in values if value is not None] == pytest.approx(
        curve.values[10:].tolist(), abs=1e-4
    )


def test_frames_are_in_the_page_as_small_pictures() -> None:
    pictures = content_in(page_of(view_of_session(with_frames(session_of())))).pictures
    assert {picture.camera for picture in pictures} == {"front", "depth"}
    assert all(picture.uri.startswith("data:image/jpeg;base64,") for picture in pictures)


def test_an_hour_of_25_joints_is_a_page_of_bounded_size_with_its_peaks() -> None:
    view = long_view(3600.0, 25)
    spiked = view.tracks[7].commanded
    assert spiked is not None
    spiked.values[99_999] = 55.5
    page = page_of(view)
    assert len(page) < 12e6
    content = content_in(page)
    _, values = content.tracks[7].commanded or ([], [])
    shown = [value for value in values if value is not None]
    assert max(shown) == pytest.approx(55.5, abs=0.01)
    assert len(content.fans) < content.fans_of
    assert any(fan.outcome == "stale_chunk" for fan in content.fans)


@pytest.mark.parametrize("broken", ["nan state", "one step", "nothing", "infinite action"])
def test_sessions_with_missing_parts_have_a_page(broken: str) -> None:
    session = session_of()
    if broken == "nan state":
        session.steps.state[:] = np.nan
    elif broken == "infinite action":
        session.steps.action[5:9] = np.inf
    elif broken == "one step":
        session = replace(session_of(0.02), chunks=())
    else:
        session = empty_session(session)
    content = content_in(page_of(view_of_session(session)))
    assert len(content.tracks) == 3
