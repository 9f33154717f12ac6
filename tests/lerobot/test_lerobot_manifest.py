"""The manifest of a checkpoint is written to a new file, with what a dataset says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lerobot.utils.constants import HF_LEROBOT_HOME

from lerobot_backend import act_config, save
from vagus.cli.serve import ServeCommand
from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.manifest import lerobot_home, read_dataset, write_manifest
from vagus.policies.declare import SpecTable
from vagus.server.manifest import load_manifest

NAMES = [f"joint_{number}.pos" for number in range(6)]


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(act_config(), tmp_path_factory.mktemp("act"))


def dataset(folder: Path, **changes: object) -> Path:
    """Make what there is to read of a dataset."""
    info = {
        "fps": 25,
        "features": {"action": {"names": {"motors": NAMES}}, "observation.state": {"names": NAMES}},
        **changes,
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    return folder


def test_names_and_rate_are_those_of_the_dataset(act: Path, tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    write_manifest(path, model=str(act), dataset=str(dataset(tmp_path / "data")))
    config = load_manifest(path)
    assert (config.policy, config.model, config.trained_rate_hz) == ("lerobot", str(act), 25.0)
    assert list(config.spec.actions) == list(config.spec.state) == NAMES


def test_what_is_said_on_the_command_line_wins(act: Path, tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    stated = SpecTable(actions={f"j{number}": "deg" for number in range(6)})
    data = str(dataset(tmp_path / "data"))
    write_manifest(path, model=str(act), table=stated, trained_rate_hz=10.0, dataset=data)
    config = load_manifest(path)
    assert config.spec.actions == stated.actions
    assert list(config.spec.state) == NAMES
    assert config.trained_rate_hz == 10.0


def test_without_a_dataset_numbers_are_names(act: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "serve.yml", model=str(act))
    assert list(load_manifest(tmp_path / "serve.yml").spec.actions) == [f"action_{n}" for n in range(6)]


def test_a_file_that_is_there_is_kept(act: Path, tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match=r"wanted a new file, got .*serve\.yaml: File exists"):
        write_manifest(path, model=str(act))
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "words"), [("serve.txt", "wanted a new file, .yaml"), ("no/a.yaml", "No such")]
)
def test_a_place_that_does_not_do_is_refused(act: Path, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        write_manifest(tmp_path / name, model=str(act))


def test_a_dataset_of_another_robot_is_refused_with_both_counts(act: Path, tmp_path: Path) -> None:
    other = dataset(tmp_path / "data", features={"action": {"names": NAMES[:4]}})
    with pytest.raises(ConfigError, match="names of actions: wanted 6, as many as the policy has, got"):
        write_manifest(tmp_path / "serve.yaml", model=str(act), dataset=str(other))
    assert not (tmp_path / "serve.yaml").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {}},
        {"features": {"action": {"names": None}}},
        {"features": {"action": {}}},
        {"features": "none"},
        {"fps": "fast"},
    ],
)
def test_a_dataset_that_names_nothing_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"wanted fps, and names of action and observation\.state"):
        read_dataset(str(dataset(tmp_path / "data", **changes)))


def test_a_dataset_is_found_by_name_where_lerobot_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lerobot_home() == HF_LEROBOT_HOME
    dataset(tmp_path / "me" / "data")
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path))
    assert read_dataset("me/data").rate_hz > 0


def test_a_folder_that_is_no_dataset_is_refused_with_what_fetches_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hf download --repo-type dataset"):
        read_dataset(str(tmp_path))


def test_a_policy_that_says_what_it_wants_needs_no_file(tmp_path: Path) -> None:
    command = ServeCommand.from_arguments(
        ["--policy", "reach", "--write-manifest", str(tmp_path / "serve.yaml")]
    )
    with pytest.raises(ConfigError, match="write_manifest: wanted --policy lerobot"):
        command.run()


def test_a_dataset_alone_says_nothing() -> None:
    with pytest.raises(ConfigError, match="dataset: wanted --write-manifest, too"):
        ServeCommand.from_arguments(["--policy", "lerobot", "--dataset", "me/data"])
