"""A place of recorded data is recognised, loaded, and refused in words where it is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from replay.rig import captured
from replay.test_captures import damage
from server.raw_client import SPEC, serving
from vagus.errors import ConfigError
from vagus.policies.registry import check_backend_options, found_policy, load_policy
from vagus.replay.options import ReplayOptions
from vagus.replay.place import Place, PlaceKind, kind_of, parse_place
from vagus.replay.policy import ReplayPolicy
from vagus.replay.robot import ReplayRobot
from vagus.replay.sources import load_steps, load_ticks
from vagus.robots.registry import load_robot
from vagus.server.config import ServeConfig
from vagus.wire.codec import encode_tensor

LINE = (
    '{"t_ns":%d,"epoch":7,"seq":1,"episode":0,"step":%d,"index":0,"age_ms":1.0,"link":"streaming",'
    '"motion":"playing","limited":[],"is_moving":false,"action":[%g],"state":[%g]}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a session of ten steps as an earlier version recorded it, cut in the middle of a line."""
    metadata = {"tick_rate_hz": 10.0, "step_rate_hz": 10.0, "actions": ["joint"], "state": ["joint"]}
    lines = [LINE % (step, step, 0.1 * step, 0.1 * step) for step in range(11)]
    place = tmp_path / "session"
    place.mkdir()
    (place / "metadata.json").write_text(json.dumps(metadata))
    (place / "steps.jsonl").write_text("".join(lines)[:-20])
    return place


def test_a_place_is_a_path_perhaps_with_an_episode(tmp_path: Path) -> None:
    assert parse_place("runs/a") == Place(Path("runs/a"))
    assert parse_place("runs/a#episode=12") == Place(Path("runs/a"), 12)
    assert str(parse_place("a#episode=1")) == "a#episode=1"
    (tmp_path / "odd#name").mkdir()
    assert parse_place(f"{tmp_path}/odd#name").episode is None
    for wrong in ("", "a#episode=", "a#episode=x", "a#step=3"):
        with pytest.raises(ConfigError, match="#episode=3"):
            parse_place(wrong)


def test_each_kind_of_recorded_data_is_recognised(folder: Path, tmp_path: Path) -> None:
    assert kind_of(folder) is PlaceKind.SESSION
    assert kind_of(captured(tmp_path / "captures")) is PlaceKind.CAPTURES
    (tmp_path / "data" / "meta").mkdir(parents=True)
    (tmp_path / "data" / "meta" / "info.json").write_text("{}")
    assert kind_of(tmp_path / "data") is PlaceKind.DATASET


def test_a_path_that_is_none_of_them_is_refused_with_all_three(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "nothing").mkdir()
    for path in (tmp_path / "absent", tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(ConfigError, match=r"recorded session .* captures .* LeRobot dataset"):
            kind_of(path)
    with pytest.raises(ConfigError, match=r"name one of the 1 sessions in it.*session"):
        kind_of(folder.parent)


def test_a_session_that_was_cut_off_is_played_up_to_there(folder: Path) -> None:
    episode = load_steps(Place(folder))
    np.testing.assert_allclose(episode.actions[:, 0], np.arange(10) * 0.1)
    (ticks,) = load_ticks(Place(folder))
    assert len(ticks) == 10


def test_an_episode_that_is_not_there_is_refused(folder: Path) -> None:
    for load in (load_steps, load_ticks):
        with pytest.raises(ConfigError, match=r"wanted one of \[0\], got 3"):
            load(Place(folder, 3))


def test_a_policy_and_a_robot_are_loaded_by_their_prefix(folder: Path) -> None:
    policy = load_policy(f"replay:{folder}", options={"approach_s": 2})
    assert isinstance(policy, ReplayPolicy)
    assert found_policy(f"replay:{folder}") is None
    assert isinstance(load_robot(f"replay:{folder}#episode=0"), ReplayRobot)


def test_options_that_do_not_exist_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean approach_s"):
        check_backend_options(f"replay:{folder}", {"aproach_s": 2})
    with pytest.raises(ConfigError, match="options of robot"):
        load_robot(f"replay:{folder}", {"rate_hz": 2})
    with pytest.raises(ConfigError, match="it says it itself"):
        load_policy(f"replay:{folder}", spec=SPEC)


def test_a_capture_is_played_as_its_robot_was_answered(tmp_path: Path) -> None:
    captured(tmp_path)
    with pytest.raises(ConfigError, match="an action for each step"):
        load_steps(Place(tmp_path))
    for path in sorted(tmp_path.iterdir()):
        if not path.name.endswith("0001.capture"):
            path.unlink()
    with pytest.raises(ConfigError, match="none for 10 steps, the first of them 0"):
        load_steps(Place(tmp_path))


def test_a_later_captured_chunk_takes_over_where_its_robot_expected_it(tmp_path: Path) -> None:
    with serving(ServeConfig(warm_up=False, capture_dir=tmp_path, capture_every=1)) as stand:
        client = stand.opened("arm")
        client.ask(1.0, changes={"step": 0})
        prefix = encode_tensor(np.zeros((2, 2), np.float32))
        plan = {"prefix_model": prefix, "prefix_robot": prefix, "inference_delay": 1, "prefix_horizon": 2}
        client.ask(2.0, changes={"step": 2, **plan})
        client.ask(3.0, changes={"step": 6})
    episode = load_steps(Place(tmp_path))
    assert episode.actions[:, 1].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    assert episode.states[[0, 2, 6], 0].tolist() == [1, 2, 3]
    assert np.isnan(episode.states[1]).all()
    policy = ReplayPolicy(episode, ReplayOptions(trust_path=True))
    assert (policy.spec.horizon, policy.spec.rate_hz) == (SPEC.horizon, SPEC.rate_hz)
    with pytest.raises(ConfigError, match=r"wanted one of \[0\], got 4"):
        load_steps(Place(tmp_path, 4))


def test_captures_that_say_nothing_are_not_played(tmp_path: Path) -> None:
    captured(tmp_path)
    for path in tmp_path.iterdir():
        damage(path, format=None, captured=None, opening=None)
    with pytest.raises(ConfigError, match="an earlier version"):
        load_steps(Place(tmp_path))


def test_captures_are_no_robot(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vagus replay"):
        load_ticks(Place(captured(tmp_path)))


def test_a_dataset_needs_lerobot(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    try:
        import lerobot  # noqa: F401, PLC0415 - whether it is there
    except ModuleNotFoundError:
        with pytest.raises(ConfigError, match=r"vagus\[lerobot\]"):
            load_steps(Place(tmp_path))
