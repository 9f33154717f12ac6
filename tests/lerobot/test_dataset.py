"""A run recorded as a LeRobot dataset, read back by LeRobot itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray

from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.loop_stats import EndReason
from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.integrations.lerobot.dataset.messages import OpenDataset, WriteFrame
from vagus.integrations.lerobot.dataset.provenance import COLUMNS
from vagus.integrations.lerobot.dataset.writer import DatasetWriter
from vagus.policies.policy import Row
from vagus.policies.registry import load_policy
from vagus.robots.registry import load_robot
from vagus.robots.robot import Robot
from vagus.types import Observation
from vagus.viewing.sources import view_of
from vsim_rig import NAMES, RATE_HZ, STRIDE, Towards, drive, events

PATIENCE_S = 90.0
TESTS = Path(__file__).parents[1]


def recorded(root: Path) -> RecorderConfig:
    return RecorderConfig(directory=str(root), format="lerobot", repo_id="local/test")


def loaded(root: Path) -> LeRobotDataset:
    return LeRobotDataset("local/test", root=root)


def rows_of(dataset: LeRobotDataset) -> list[dict[str, object]]:
    """Read every row once: each read of one decodes its picture."""
    return [dataset[at] for at in range(len(dataset))]


def column(rows: Sequence[Mapping[str, object]], name: str) -> NDArray[np.float64]:
    return np.stack([np.asarray(row[name], dtype=np.float64) for row in rows])


def vsim(journal: Path, **options: Option) -> Robot:
    return load_robot("lerobot:vsim", {"id": "sim", "journal": str(journal), **options})


@pytest.fixture(scope="module")
def two_episodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of two episodes, which no test changes."""
    folder = tmp_path_factory.mktemp("two_episodes")
    root = folder / "set"
    drive(vsim(folder / "journal"), Towards(), LoopConfig(duration_s=3.0, episode_s=1.5), recorded(root))
    return root


def test_a_run_is_a_dataset_with_provenance_and_a_second_run_goes_on_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, journal = tmp_path / "set", tmp_path / "journal"
    summary = drive(vsim(journal), Towards(), LoopConfig(duration_s=3.0, episode_s=1.5), recorded(root))
    assert summary.reason is EndReason.FINISHED
    dataset = loaded(root)
    assert dataset.fps == RATE_HZ
    assert dataset.meta.robot_type == "vsim"
    assert (
        dataset.features["action"]["names"] == dataset.features["observation.state"]["names"] == list(NAMES)
    )
    assert dataset.num_episodes == 2
    assert dataset.num_frames >= 0.8 * summary.commands
    assert dataset[0]["task"] == "reach"

    rows = rows_of(dataset)
    actions, states = column(rows, "action"), column(rows, "observation.state")
    sent = [list(e["action"].values()) for e in events(journal) if isinstance(e["action"], dict)]
    assert set(map(tuple, actions)) <= set(
        map(tuple, np.array(sent, np.float32))
    )  # what was recorded was sent
    np.testing.assert_allclose(actions[:20] - states[:20], STRIDE, atol=3 * STRIDE)
    strides = np.diff(column(rows, "vagus.step")[:20].ravel())
    assert (strides >= 1).all()
    assert (strides == 1).all() or "the dataset lacks frames" in caplog.text  # never without a word
    assert (column(rows, "vagus.seq") > 0).any()
    assert len(set(column(rows, "vagus.session").ravel()) - {-1}) == 1
    ages = column(rows, "vagus.age_ms")[~column(rows, "vagus.fallback").astype(bool)]
    assert ((ages >= 0) & (ages < 3000)).all()

    reds = column(rows, "observation.images.front")[:, 0].mean(axis=(1, 2)) * 255
    np.testing.assert_allclose(reds - 128, states[:, 0], atol=6)  # each picture is of its own row

    drive(vsim(journal), Towards(), LoopConfig(duration_s=1.0), recorded(root))
    resumed = loaded(root)
    assert resumed.num_episodes == 3
    assert resumed.num_frames > dataset.num_frames
    assert resumed[resumed.num_frames - 1]["observation.images.front"].shape == (3, 48, 64)
    assert len(set(column(rows_of(resumed), "vagus.session").ravel()) - {-1}) == 2


def test_an_episode_is_viewed_with_its_states_ages_and_frames(two_episodes: Path) -> None:
    recorded_rows = rows_of(loaded(two_episodes))
    view = view_of(two_episodes, episode=1)
    shown = view.tracks[0].commanded
    assert shown is not None
    rows = column(recorded_rows, "episode_index").ravel() == 1
    np.testing.assert_allclose(shown.values, column(recorded_rows, "action")[rows, 0])
    assert "playing" in {band.state for band in view.bands}
    assert np.isfinite(view.age.values).any()
    assert len(view.pictures) == rows.sum()
    assert view.pictures[0].load().shape == (48, 64, 3)


def test_the_files_are_their_owners_alone(two_episodes: Path) -> None:
    root = two_episodes
    assert {path.stat().st_mode & 0o077 for path in (root, *root.rglob("*"))} == {0}  # its owner's alone


def test_a_robot_that_fails_leaves_a_finished_dataset(tmp_path: Path) -> None:
    root, journal = tmp_path / "set", tmp_path / "journal"
    robot = vsim(journal, fails_after=120)  # a busy machine may wait for its first chunk for a second
    summary = drive(robot, Towards(), LoopConfig(duration_s=30.0), recorded(root))
    assert summary.reason is EndReason.ROBOT_ERROR
    assert events(journal)[-1]["event"] == "disconnect"
    assert loaded(root).num_frames >= 20


def test_a_process_that_is_killed_leaves_a_finished_dataset(tmp_path: Path) -> None:
    root, journal = tmp_path / "set", tmp_path / "journal"
    script = f"""
        from vagus.control.config import LoopConfig, RecorderConfig
        from vagus.robots.registry import load_robot
        from vsim_rig import Towards, drive

        record = RecorderConfig(directory={str(root)!r}, format="lerobot", repo_id="local/test")
        robot = load_robot("lerobot:vsim", {{"id": "sim", "journal": {str(journal)!r}}})
        drive(robot, Towards(), LoopConfig(duration_s=120.0), record)
    """
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment) as process:
        await_lines(journal, 90)  # what is on its way to the writer when it is killed may be lost
        process.send_signal(signal.SIGKILL)
    info = root / "meta" / "info.json"
    end = time.monotonic() + PATIENCE_S
    while not (info.is_file() and msgspec.json.decode(info.read_bytes())["total_episodes"]):
        assert time.monotonic() < end
        time.sleep(0.1)
    await_parquet_footers(root)
    dataset = loaded(root)
    assert dataset.num_frames >= 30
    assert dataset[dataset.num_frames - 1]["observation.images.front"].shape == (3, 48, 64)


def await_lines(journal: Path, count: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while not (journal.is_file() and journal.read_text().count("\n") >= count):
        assert time.monotonic() < end
        time.sleep(0.05)


def await_parquet_footers(root: Path) -> None:
    """A parquet file that is finished ends with its magic."""
    end = time.monotonic() + PATIENCE_S
    while not all(file.read_bytes()[-4:] == b"PAR1" for file in root.rglob("*.parquet")):
        assert time.monotonic() < end
        time.sleep(0.1)


# -- the writer itself ----------------------------------------------------------------------------------


def order(root: Path) -> OpenDataset:
    return OpenDataset(
        root=str(root),
        repo_id="local/test",
        fps=30,
        robot_type="vsim",
        actions=("x", "y"),
        state=("x",),
        cameras={"front": (32, 48)},
        columns=dict(COLUMNS),
        codec="h264",
        encoder_threads=1,
    )


FRONT = {"front": (32, 48)}


def write(writer: DatasetWriter, frames: int, cameras: Mapping[str, tuple[int, int]] = FRONT) -> None:
    for at in range(frames):
        images = {name: np.full((*size, 3), at, np.uint8) for name, size in cameras.items()}
        writer.add(WriteFrame("t", [at], [at, 0.5], dict.fromkeys(COLUMNS, 1.0)), images)
    writer.close()


@pytest.mark.parametrize("codec", ["h264", ""])
def test_pictures_are_videos_or_single_images(tmp_path: Path, codec: str) -> None:
    root = tmp_path / "set"
    for _ in range(2):
        write(DatasetWriter(replace_order(order(root), codec=codec)), 12)
    dataset = loaded(root)
    assert (dataset.num_episodes, dataset.num_frames) == (2, 24)
    assert bool(dataset.meta.video_keys) == bool(codec)
    assert dataset[13]["observation.images.front"].shape == (3, 32, 48)


def test_two_cameras_and_none(tmp_path: Path) -> None:
    sets: tuple[dict[str, tuple[int, int]], ...] = ({"a": (32, 48), "b": (48, 32)}, {})
    for cameras in sets:
        root = tmp_path / f"set{len(cameras)}"
        write(DatasetWriter(replace_order(order(root), cameras=cameras)), 3, cameras)
        assert len(loaded(root).meta.camera_keys) == len(cameras)


def replace_order(given: OpenDataset, **changes: object) -> OpenDataset:
    return msgspec.structs.replace(given, **changes)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"fps": 25}, "25 fps"),
        ({"actions": ("y", "x")}, "action"),
        ({"cameras": {"front": (48, 32)}}, "observation.images.front"),
        ({"cameras": {}}, "observation.images.front"),
        ({"codec": ""}, "video"),
        ({"columns": {}}, "vagus.session"),
    ],
)
def test_another_dataset_is_not_gone_on_with(shared_set: Path, change: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match="dataset to resume") as caught:
        DatasetWriter(replace_order(order(shared_set), **change))
    assert part in str(caught.value)


@pytest.fixture(scope="module")
def shared_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shared") / "set"
    write(DatasetWriter(order(root)), 3)
    return root


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="a new or empty folder"):
        DatasetWriter(order(tmp_path))
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_dataset_that_never_got_a_frame_is_begun_anew(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    DatasetWriter(order(root)).close()
    write(DatasetWriter(order(root)), 3)
    assert loaded(root).num_frames == 3


def test_a_burst_faster_than_the_encoder_loses_no_picture(tmp_path: Path) -> None:
    root = tmp_path / "set"
    cameras = {"front": (480, 640)}
    write(DatasetWriter(replace_order(order(root), cameras=cameras)), 200, cameras)
    dataset = loaded(root)
    brightness = [float(dataset[at]["observation.images.front"].mean()) * 255 for at in (0, 50, 100, 199)]
    np.testing.assert_allclose(brightness, [0, 50, 100, 199], atol=4)


def test_what_the_settings_ask_for_wrongly_is_said_before_the_robot_is_connected(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    record = replace(recorded(tmp_path / "set"), codec="mp3")
    with pytest.raises(ConfigError, match="mp3"):
        drive(vsim(journal), Towards(), LoopConfig(duration_s=1.0), record)
    assert not journal.exists()


def test_an_episode_is_played_as_a_policy_and_fed_as_a_robot(two_episodes: Path) -> None:
    root = two_episodes
    rows = [row for row in rows_of(loaded(root)) if row["episode_index"] == 1]
    policy = load_policy(f"replay:{root}#episode=1", options={"trust_path": True})
    state = np.asarray(rows[0]["observation.state"], np.float32)
    row = Row(policy.open_session(), Observation(state, {}, "", 0), 0, None, 0, 0, 0)
    (answer,) = policy.infer([row])
    assert not isinstance(answer, Exception)
    actions = np.stack([np.asarray(row["action"], np.float32) for row in rows])
    np.testing.assert_array_equal(answer.robot[: len(rows)], actions[: len(answer)])
    robot = load_robot(f"replay:{root}#episode=1")
    np.testing.assert_array_equal(robot.read_state(), state)
    images = robot.read_images()
    assert {name: image.shape for name, image in images.items()} == {
        camera.name: (camera.height, camera.width, 3) for camera in robot.spec.cameras
    }
    with pytest.raises(ConfigError, match="episode"):
        load_policy(f"replay:{root}#episode=7")
