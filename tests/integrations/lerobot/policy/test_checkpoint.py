"""Files of a checkpoint: what must be there, what they may name, and when two are one model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.checkpoint import check_source, read_checkpoint

CONFIG = {"type": "act", "device": "cuda", "chunk_size": 20}
DEVICE_STEP = {"registry_name": "device_processor", "config": {"device": "cuda"}}


def write(path: Path, name: str, table: Mapping[str, object]) -> None:
    (path / name).write_text(json.dumps(table))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    write(path, "config.json", CONFIG)
    write(path, "policy_preprocessor.json", {"steps": [DEVICE_STEP]})
    write(path, "policy_postprocessor.json", {"steps": [DEVICE_STEP]})
    (path / "policy_preprocessor_step_1_normalizer.safetensors").write_bytes(b"stats")
    (path / "model.safetensors").write_bytes(b"weights")
    return path


def test_a_checkpoint_is_read(model: Path) -> None:
    found = read_checkpoint(model)
    assert found.policy_type == "act"
    assert found.has_step(found.preprocessor, "device_processor")
    assert not found.has_step(found.postprocessor, "tokenizer_processor")


def test_a_file_that_a_step_names_must_be_there(model: Path) -> None:
    step = {"registry_name": "normalizer_processor", "config": {}, "state_file": "statistics.safetensors"}
    write(model, "policy_postprocessor.json", {"steps": [DEVICE_STEP, step]})
    with pytest.raises(ConfigError, match=r"policy_postprocessor\.json.*no statistics\.safetensors"):
        read_checkpoint(model)
    (model / "statistics.safetensors").write_bytes(b"stats")
    assert read_checkpoint(model).policy_type == "act"


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"]
)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(ConfigError, match=f"no {name}"):
        read_checkpoint(model)


def test_an_adapter_is_told_to_be_merged(model: Path) -> None:
    (model / "model.safetensors").rename(model / "adapter_config.json")
    with pytest.raises(ConfigError, match="merge"):
        read_checkpoint(model)


@pytest.mark.parametrize("nested", ["pretrained_model", "checkpoints/last/pretrained_model"])
def test_the_folder_above_points_to_the_policy(model: Path, nested: str) -> None:
    run = model.parent / "run"
    (run / nested).parent.mkdir(parents=True)
    model.rename(run / nested)
    with pytest.raises(ConfigError, match=f"did you mean .*run/{nested}"):
        read_checkpoint(run)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"{}"])
def test_a_malformed_configuration_is_named(model: Path, content: bytes) -> None:
    (model / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_checkpoint(model)


@pytest.mark.parametrize("name", ["policy_preprocessor.json", "policy_postprocessor.json"])
@pytest.mark.parametrize(
    "named",
    [
        "os.system",
        "lerobotx.Evil",
        "evil",
        "",
        ".lerobot.x",
        "lerobot.envs.factory.make_env",  # runs a file of the repository that it is given
        "lerobot.policies.factory.make_policy",
        "lerobot.rewards.XStep",
    ],
)
def test_a_step_from_elsewhere_is_refused_with_what_would_allow_it(
    model: Path, name: str, named: str
) -> None:
    write(model, name, {"steps": [DEVICE_STEP, {"class": named, "config": {}}]})
    with pytest.raises(ConfigError, match="allowed_classes"):
        read_checkpoint(model)


def test_listed_and_lerobots_own_steps_are_accepted(model: Path) -> None:
    steps = [{"class": "lerobot.processor.x.XStep"}, {"class": "my_arm.steps.Y"}]
    write(model, "policy_preprocessor.json", {"steps": steps})
    assert read_checkpoint(model, allowed_classes=["my_arm.steps"]).policy_type == "act"
    with pytest.raises(ConfigError, match=r"my_arm\.steps"):
        read_checkpoint(model, allowed_classes=["my_arm.step"])


ACTION_TOKENIZER = {"registry_name": "action_tokenizer_processor", "config": {"trust_remote_code": True}}


@pytest.mark.parametrize(
    "place", ["someone/tokenizer", "/opt/tokenizer", "../tokenizer", "tokenizer", "a\\b"]
)
@pytest.mark.parametrize("name", ["policy_preprocessor.json", "policy_postprocessor.json"])
def test_a_registered_step_names_no_place_that_code_could_come_from(
    model: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    (model.parent / "tokenizer").mkdir()
    monkeypatch.chdir(model.parent)
    step = {**ACTION_TOKENIZER, "config": {"deep": [{"action_tokenizer_name": place}]}}
    write(model, name, {"steps": [step]})
    with pytest.raises(ConfigError, match="files that name no code") as caught:
        read_checkpoint(model)
    listed = json.loads(caught.value.fix.partition("allowed_classes: ")[2])
    assert read_checkpoint(model, allowed_classes=listed).policy_type == "act"


def test_not_even_the_folder_of_the_model_itself_holds_code(model: Path) -> None:
    """It is in `allowed_sources` whenever it is read: being read is not being run."""
    step = {**ACTION_TOKENIZER, "config": {"action_tokenizer_name": str(model)}}
    write(model, "policy_preprocessor.json", {"steps": [step]})
    with pytest.raises(ConfigError, match="files that name no code"):
        read_checkpoint(model, allowed_classes=[str(model.parent)])


def test_a_tokenizer_that_is_only_read_needs_no_permission(model: Path) -> None:
    step = {
        "registry_name": "tokenizer_processor",
        "config": {"tokenizer_name": "google/paligemma-3b-pt-224"},
    }
    write(model, "policy_preprocessor.json", {"steps": [step]})
    assert read_checkpoint(model).policy_type == "act"


@pytest.mark.parametrize(
    ("policy_type", "is_refused"), [("smolvla", False), ("pi0_fast", True), ("of_next_year", True)]
)
def test_names_in_the_configuration_count_where_the_family_runs_what_it_finds(
    model: Path, policy_type: str, is_refused: bool
) -> None:
    names = {"backbone": "someone/network", "repo_id": "me/x", "output_dir": "./out"}
    write(model, "config.json", {"type": policy_type, **names})
    if not is_refused:
        assert read_checkpoint(model).policy_type == policy_type
        return
    with pytest.raises(ConfigError, match=r"\['someone/network'\]"):
        read_checkpoint(model)
    assert read_checkpoint(model, allowed_classes=["someone/network"]).policy_type == policy_type


def test_a_copy_elsewhere_for_another_device_is_the_same_model(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    reordered = {"chunk_size": 20, "device": "cpu", "type": "act", "repo_id": "me/copy"}
    (copy / "config.json").write_text(json.dumps(reordered, indent=1))
    write(copy, "policy_preprocessor.json", {"steps": [{**DEVICE_STEP, "config": {"device": "cpu"}}]})
    (copy / "README.md").write_text("another text")
    assert read_checkpoint(copy).digest == read_checkpoint(model).digest


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"weightz"),
        ("policy_preprocessor_step_1_normalizer.safetensors", b"statz"),
        ("config.json", b'{"type": "act", "chunk_size": 21}'),
        ("policy_postprocessor.json", b'{"steps": []}'),
        ("policy_extra.safetensors", b""),
    ],
)
def test_whatever_changes_an_output_changes_the_hash(model: Path, name: str, content: bytes) -> None:
    before = read_checkpoint(model).digest
    (model / name).write_bytes(content)
    assert read_checkpoint(model).digest != before


@pytest.mark.parametrize("entry", ["me", "me/", "me/act"])
def test_a_hub_id_is_allowed_by_itself_or_its_owner(entry: str) -> None:
    check_source("me/act", ["you", entry], is_local=False)


@pytest.mark.parametrize("entries", [[], ["m"], ["me/ac"], ["me/act/x"], ["/me"]])
def test_a_hub_id_that_no_entry_covers_is_refused_with_a_line_to_paste(entries: list[str]) -> None:
    with pytest.raises(ConfigError, match=r'allowed_sources: \["me/act"\]'):
        check_source("me/act", entries, is_local=False)


def test_a_directory_is_allowed_by_itself_or_one_above_it(model: Path) -> None:
    for entry in (model, model.parent, os.path.relpath(model.parent)):
        check_source(str(model), [str(entry)], is_local=True)


def test_a_directory_beside_or_linked_out_of_an_allowed_one_is_refused(model: Path) -> None:
    allowed = model.parent / "mod"
    allowed.mkdir()
    (allowed / "link").symlink_to(model)
    for path in (model, allowed / "link", allowed / ".." / "model"):
        with pytest.raises(ConfigError, match="allowed_sources"):
            check_source(str(path), [str(allowed)], is_local=True)
