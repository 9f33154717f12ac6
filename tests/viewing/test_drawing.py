from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from recorded_sessions import empty_session, session_of, with_frames
from vagus.errors import ConfigError
from vagus.recording.session import RecordedSession
from vagus.viewing.drawing import drawing_of
from vagus.viewing.palette import COMMANDED, STATE_COLOURS, rgb_of
from vagus.viewing.session_view import view_of_session

pytest.importorskip("matplotlib")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def texts_in(svg: bytes) -> str:
    return " ".join(re.findall(r"<!-- (.*?) -->", svg.decode()))


def test_joints_units_states_and_ages_are_named() -> None:
    said = texts_in(drawing_of(view_of_session(with_frames(session_of())), "svg"))
    for text in ("shoulder.pos", "(rad)", "link", "motion", "fallback", "reconnecting", "limit velocity"):
        assert text in said, text
    for text in (
        "age (ms)",
        "time (s)",
        "episode 1",
        "commanded",
        "chunks that were refused",
        "front",
        "2.40 s",
    ):
        assert text in said, text


def test_the_picture_has_the_colours_of_the_states() -> None:
    image = pytest.importorskip("matplotlib.image")
    content = drawing_of(view_of_session(session_of()), "png")
    assert content.startswith(PNG_SIGNATURE)
    pixels = (image.imread(io.BytesIO(content))[..., :3] * 255).round().astype(int)
    for state in ("playing", "fallback", "reconnecting"):
        is_there = (np.abs(pixels - rgb_of(STATE_COLOURS[state])).sum(axis=2) < 6).sum()
        assert is_there > 500, state


@pytest.mark.parametrize("broken", ["nan state", "one step", "nothing"])
def test_sessions_with_missing_parts_are_drawn(broken: str) -> None:
    session = session_of()
    if broken == "nan state":
        session.steps.state[:] = np.nan
    else:
        session = replace(session_of(0.02), chunks=()) if broken == "one step" else empty_session(session)
    assert drawing_of(view_of_session(session), "png").startswith(PNG_SIGNATURE)


def test_a_command_between_two_gaps_is_a_dot() -> None:
    image = pytest.importorskip("matplotlib.image")

    def blue(session: RecordedSession) -> int:
        content = drawing_of(view_of_session(replace(session, chunks=())), "png")
        pixels = (image.imread(io.BytesIO(content))[..., :3] * 255).round().astype(int)
        return int((np.abs(pixels - rgb_of(COMMANDED)).sum(axis=2) < 6).sum())

    session = session_of()
    session.steps.action[:] = np.nan
    without = blue(session)
    session.steps.action[100] = 0.5
    assert blue(session) > without + 10


def test_a_name_with_a_dollar_is_no_formula() -> None:
    session = session_of()
    view = view_of_session(replace(session, info=replace(session.info, robot_name="a$\\frac$b$")))
    assert drawing_of(view, "png").startswith(PNG_SIGNATURE)


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r'pip install "vagus\[view\]"'):
        drawing_of(view_of_session(session_of()), "png")


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_numbers_that_are_too_large_are_refused_in_a_sentence() -> None:
    session = session_of()
    action = np.where(np.isnan(session.steps.action), 1.0, np.sign(session.steps.action) + 0.5) * 1e308
    action[::2] *= -1
    huge = replace(session, steps=replace(session.steps, action=action))
    with pytest.raises(ConfigError, match="wanted numbers that can be drawn"):
        drawing_of(view_of_session(huge), "png")
