"""What can be wrong with a checkpoint, its source or the machine, and what the error says to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from lerobot.policies.diffusion import modeling_diffusion

import lerobot_checkpoints as tiny
from lerobot_backend import TABLE, UNITS, act_config, diffusion_config, save, served
from vagus.errors import ConfigError, PolicyError, VagusError
from vagus.policies import lerobot_source
from vagus.policies.declare import SpecTable
from vagus.policies.lerobot import LeRobotPolicy
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.model import load_model

HUB = {"allowed_sources": ["someone"], "stated": TABLE, "trained_rate_hz": 30.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(act_config(), tmp_path_factory.mktemp("act"))


@pytest.fixture
def act(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "act"))


def change(path: Path, changes: Mapping[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# -- sources ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["", "/not/there", "./not_there", "~/not_there", "not a name", "a/b/c"])
def test_what_is_neither_directory_nor_hub_id_is_said(model: str) -> None:
    with pytest.raises(ConfigError, match="a directory or a hub id"):
        LeRobotPolicy(model=model, allowed_sources=["/", "not a name", "a"])


def test_a_source_that_the_manifest_does_not_list_is_refused_unread(act: Path) -> None:
    for model in (str(act), "someone/act"):
        with pytest.raises(ConfigError, match="allowed_sources"):
            LeRobotPolicy(model=model)


def test_an_unreachable_hub_is_one_clear_error() -> None:
    with pytest.raises(PolicyError, match="'someone/act' at revision 'v2': the hub cannot be reached"):
        LeRobotPolicy(model="someone/act", revision="v2", **HUB)  # type: ignore[arg-type]


def test_the_revision_reaches_the_hub(act: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hub(model: str, *, revision: str, **_: object) -> str:
        asked.append((model, revision))
        return str(act)

    monkeypatch.setattr(lerobot_source, "snapshot_download", hub)
    LeRobotPolicy(model="someone/act", revision="v2", **HUB)  # type: ignore[arg-type]
    assert asked == [("someone/act", "v2")]


# -- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "policy_preprocessor.json"])
def test_a_missing_file_is_named(act: Path, name: str) -> None:
    (act / name).unlink()
    with pytest.raises(ConfigError, match=f"no {name}"):
        served(act)


def test_missing_statistics_are_named(act: Path) -> None:
    (statistics,) = act.glob("policy_preprocessor_step_*.safetensors")
    statistics.unlink()
    with pytest.raises(ConfigError, match=statistics.name):
        served(act)


def test_weights_of_another_shape_are_refused(act: Path) -> None:
    change(act / "config.json", {"dim_model": 64})
    with pytest.raises(VagusError, match=r"fit each other|did not reach"):
        served(act)


def test_weights_that_are_cut_off_are_refused(act: Path) -> None:
    weights = act / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(VagusError, match=r"model"):
        served(act)


def test_a_family_that_would_go_on_with_random_weights_is_stopped(tmp_path: Path) -> None:
    tiny.make_pi0(tmp_path)
    shutil.copy(save(act_config(), tmp_path / "act") / "model.safetensors", tmp_path)
    arm = dict.fromkeys(tiny.ACTION_NAMES, "rad")
    with tiny.tiny_gemma(), pytest.raises(PolicyError, match="did not reach the network"):
        served(tmp_path, stated=SpecTable(actions=arm, state=arm))


def test_a_processor_step_from_elsewhere_is_not_imported(act: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    change(act / "policy_preprocessor.json", {"steps": [{"class": "evil.Step", "config": {}}]})
    with pytest.raises(ConfigError, match="allowed_classes"):
        served(act)


# -- families and packages --------------------------------------------------------------------------------


def test_a_policy_without_chunks_is_refused_with_the_reason(act: Path) -> None:
    change(act / "config.json", {"type": "gaussian_actor"})
    with pytest.raises(ConfigError, match="no chunk of actions"):
        served(act)


def test_a_family_that_this_lerobot_does_not_have_is_said(act: Path) -> None:
    change(act / "config.json", {"type": "of_next_year"})
    with pytest.raises(ConfigError, match="not registered"):
        served(act)


def test_a_package_that_is_missing_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(diffusion_config(), tmp_path)

    def missing(name: str, *, extra: str) -> None:
        raise ImportError(f"'{name}' is required but not installed: pip install 'lerobot[{extra}]'")

    monkeypatch.setattr(modeling_diffusion, "require_package", missing)
    with pytest.raises(ConfigError, match=r"diffusers.*lerobot\[diffusion\]"):
        served(path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"device": "banana"}, "device: wanted cpu"),
        ({"device": "cuda:99"}, "one that this machine has"),
        ({"dtype": "fp4"}, "bfloat16"),
    ],
)
def test_what_the_machine_cannot_do_is_said(act: Path, changes: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        served(act, **changes)


# -- what must be stated ----------------------------------------------------------------------------------


def test_the_manifest_that_the_error_prints_serves_the_policy(act: Path, tmp_path: Path) -> None:
    said = ServeConfig(policy="lerobot", model=str(act), allowed_sources=(str(act),), device="cpu")
    with pytest.raises(ConfigError) as caught:
        load_model(said)
    manifest = tmp_path / "serve.yaml"
    manifest.write_text(caught.value.fix.partition("\n\n")[2])
    spec = load_model(load_manifest(manifest)).spec
    assert [action.name for action in spec.actions] == [f"action_{n}" for n in range(6)]
    assert {action.unit for action in spec.actions} == {"lerobot_norm"}


def test_names_in_another_order_than_the_checkpoints_are_refused(tmp_path: Path) -> None:
    tiny.make_pi0(tmp_path)
    turned = dict.fromkeys(reversed(tiny.ACTION_NAMES), "rad")
    with pytest.raises(ConfigError, match="in another order"):
        served(tmp_path, stated=SpecTable(actions=turned, state=turned))


def test_a_camera_by_another_name_lists_those_of_the_policy(act: Path) -> None:
    table = SpecTable(actions=UNITS, state=UNITS, cameras={"wrist": (64, 64)})
    with pytest.raises(ConfigError, match=r"\['front'\].*--rename"):
        served(act, stated=table)
