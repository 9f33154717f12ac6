"""What can be wrong with a checkpoint or the machine, and what the error says to do."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import lerobot.policies
import pytest
import torch
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.processor import ProcessorStepRegistry

import lerobot_checkpoints as tiny
from lerobot_backend import UNITS, act_config, save, served
from vagus.clock import MonotonicClock
from vagus.errors import ConfigError, PolicyError, VagusError
from vagus.integrations.lerobot.policy.checkpoint import PLAIN_STEPS
from vagus.integrations.lerobot.policy.families import family_of
from vagus.policies.declare import SpecTable
from vagus.server.config import ServeConfig
from vagus.server.manifest import load_manifest
from vagus.server.served_policy import ServedPolicy, load_model
from vagus.server.warmup import warm_up


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(act_config(), tmp_path_factory.mktemp("act"))


@pytest.fixture
def act(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "act"))


def change(path: Path, changes: Mapping[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


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


@pytest.mark.parametrize("place", ["act", "elsewhere"])
def test_code_beside_weights_or_tokenizers_is_not_run(act: Path, tmp_path: Path, place: str) -> None:
    folder, proof = tmp_path / place, tmp_path / "proof"
    folder.mkdir(exist_ok=True)
    code = f"import pathlib\n\npathlib.Path({str(proof)!r}).touch()\n\nclass Evil:\n    pass\n"
    (folder / "evil.py").write_text(code)
    names = {"processor_class": "Evil", "auto_map": {"AutoProcessor": "evil.Evil"}}
    (folder / "processor_config.json").write_text(json.dumps(names))
    step = {"registry_name": "action_tokenizer_processor", "config": {"action_tokenizer_name": str(folder)}}
    steps = json.loads((act / "policy_preprocessor.json").read_text())["steps"]
    change(act / "policy_preprocessor.json", {"steps": [step, *steps]})
    with pytest.raises(ConfigError, match="allowed_classes"):
        served(act)
    assert not proof.exists()
    with pytest.raises(VagusError):  # no tokenizer in the end
        served(act, allowed_classes=(str(folder),))
    assert proof.exists()  # so that would have been run


def test_what_runs_named_code_in_this_lerobot_is_known_to() -> None:
    trusting = re.compile(r"trust_remote_code\W+True")
    (policies,) = lerobot.policies.__path__
    found = {
        path.relative_to(policies).parts[0]
        for path in Path(policies).rglob("*.py")
        if trusting.search(path.read_text())
    }
    assert {"pi0_fast", "groot", "wall_x"} <= found
    assert {name for name in found if not family_of(name).runs_named_code} == set()
    for name in PLAIN_STEPS & set(ProcessorStepRegistry.list()):
        assert "trust_remote_code" not in inspect.getsource(ProcessorStepRegistry.get(name))


# -- families and packages --------------------------------------------------------------------------------


def test_a_policy_without_chunks_is_refused_with_the_reason(act: Path) -> None:
    change(act / "config.json", {"type": "gaussian_actor"})
    with pytest.raises(ConfigError, match="no chunk of actions"):
        served(act)


def test_a_family_that_this_lerobot_does_not_have_is_said(act: Path) -> None:
    change(act / "config.json", {"type": "of_next_year"})
    with pytest.raises(ConfigError, match=r"of_next_year.*(not registered|choice class)"):
        served(act)


def test_a_policy_that_does_not_implement_chunks_is_told_in_a_sentence(
    act: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in may be one of those; nothing but calling it tells."""

    def empty(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(ACTPolicy, "predict_action_chunk", empty)
    model = ServedPolicy.of(served(act), ServeConfig(policy="lerobot"))
    with pytest.raises(
        PolicyError, match=r"failed: a act policy lacks .* chunk API is empty\); run it beside"
    ):
        warm_up(model, max_batch=1, max_pixels=10**6, runs=1, clock=MonotonicClock())


def test_what_does_not_fit_into_memory_is_said(act: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 14.00 GiB")

    monkeypatch.setattr(ACTPolicy, "from_pretrained", full)
    with pytest.raises(PolicyError, match=r"does not fit into memory; choose another device, or --dtype"):
        served(act)


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


def test_a_bound_of_zero_is_not_taken_for_none(act: Path) -> None:
    with pytest.raises(ConfigError, match="rtc_max_guidance: wanted a finite number above 0"):
        served(act, rtc_max_guidance=0.0)


# -- what must be stated ----------------------------------------------------------------------------------


def test_the_manifest_that_the_error_prints_serves_the_policy(act: Path, tmp_path: Path) -> None:
    said = ServeConfig(
        policy="lerobot", model=str(act), options={"allowed_sources": (str(act),)}, device="cpu"
    )
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
