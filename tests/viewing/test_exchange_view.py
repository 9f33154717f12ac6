"""A debug folder is viewed: points, pictures, joints and answers over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exchanges import PICTURE, POINTS, keep
from vagus.errors import ConfigError
from vagus.viewing.page import page_of
from vagus.viewing.sources import view_of
from vagus.viewing.stretch import stretch_of

JOINTS = [[1.0, 2.0], [3.0, 4.0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keep(tmp_path, 1, at="2026-01-02T03:04:05+00:00", step=10, joints=JOINTS)
    keep(
        tmp_path, 2, at="2026-01-02T03:04:05.500000+00:00", step=15, state=(0.3, 0.4), refused="out of reach"
    )
    keep(tmp_path, 3, at="2026-01-02T03:04:07+00:00", step=30, joints=JOINTS[:1], refused="a jump")
    return tmp_path


def test_points_pictures_joints_and_answers_are_at_their_times(folder: Path) -> None:
    view = view_of(folder)
    assert [cloud.at_s for cloud in view.clouds] == [picture.at_s for picture in view.pictures] == [0, 0.5, 2]
    np.testing.assert_allclose(view.clouds[1].load(), POINTS, atol=0.002)
    np.testing.assert_array_equal(view.pictures[1].load(), PICTURE)
    tracks = {track.name: track for track in view.tracks}
    assert list(tracks) == ["shoulder", "elbow", "gripper x", "gripper y", "gripper z"]
    elbow = tracks["elbow"].measured
    assert elbow is not None
    assert (tracks["elbow"].unit, elbow.values.tolist()) == ("deg", [0.2, 0.4, 0.2])
    assert [(fan.step, fan.captured_s, fan.times_s.tolist()) for fan in view.fans] == [
        (10, 0.0, [0.1, 0.2]),
        (30, 2.0, [2.1]),
    ]
    assert view.fans[0].values.tolist() == JOINTS
    assert view.steps.values.tolist() == [10, 15, 30]
    facts = dict(view.facts)
    assert facts["exchanges"] == "2 answered, 1 refused"
    assert facts["cut before a pose that was refused"] == "1"
    assert facts["last refusal"] == "a jump"
    assert view.began is not None
    assert view.warnings == ()


def test_a_stretch_has_the_points_of_its_time(folder: Path) -> None:
    assert [cloud.at_s for cloud in stretch_of(view_of(folder), 0.4, 1.0).clouds] == [0.5]


def test_it_is_a_page_too(folder: Path) -> None:
    assert "shoulder" in page_of(view_of(folder))


def test_exchanges_of_an_earlier_version_say_no_time(tmp_path: Path) -> None:
    keep(tmp_path, 1, at="2026-01-02T03:04:05+00:00")
    keep(tmp_path, 2)
    view = view_of(tmp_path)
    assert [cloud.at_s for cloud in view.clouds] == [0.0, 1.0]


def test_a_clock_that_was_set_back_does_not_turn_the_order(folder: Path) -> None:
    keep(folder, 4, at="2026-01-02T03:00:00+00:00")
    assert [cloud.at_s for cloud in view_of(folder).clouds] == [0.0, 0.5, 2.0, 2.0]


def test_what_cannot_be_shown_is_told(folder: Path) -> None:
    (folder / "00000001" / "exchange.json").write_bytes(b"{")
    keep(folder, 4, at="2026-01-02T03:04:08+00:00", state=(0.0, 0.0))
    keep(folder, 0, state=(0.0,))
    view = view_of(folder)
    assert len(view.clouds) == 3
    (warning,) = view.warnings
    assert "2 exchanges cannot be shown" in warning
    for number in (0, 1, 2, 3, 4):
        (folder / f"{number:08d}" / "exchange.json").write_bytes(b"{")
    with pytest.raises(ConfigError, match="wanted exchanges that can be read"):
        view_of(folder)
