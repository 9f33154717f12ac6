"""What is on the hub, or is not, or is not shown: policies, tokenizers, backbones, and LeRobot's packages."""

from __future__ import annotations

import json
import re
from importlib.metadata import metadata
from pathlib import Path

import httpx
import numpy as np
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from lerobot.policies.diffusion import modeling_diffusion

import lerobot_checkpoints as tiny
from lerobot_backend import TABLE, act_config, diffusion_config, good, row, save, seen, served
from vagus.errors import ConfigError, PolicyError, VagusError
from vagus.integrations.lerobot.policy import source
from vagus.integrations.lerobot.policy.families import FAMILIES
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.integrations.lerobot.policy.policy import LeRobotPolicy
from vagus.policies.declare import SpecTable
from vagus.policies.registry import options_of

HUB = {"options": LeRobotOptions(allowed_sources=("someone",)), "stated": TABLE, "trained_rate_hz": 30.0}
ARM = dict.fromkeys(tiny.ACTION_NAMES, "rad")
VLA_TABLE = SpecTable(actions=ARM, state=ARM)
GATED = "google/paligemma-3b-pt-224"


@pytest.fixture
def act(tmp_path: Path) -> Path:
    return save(act_config(), tmp_path / "act")


@pytest.mark.parametrize("model", ["", "/not/there", "./not_there", "~/not_there", "not a name", "a/b/c"])
def test_what_is_neither_directory_nor_hub_id_is_said(model: str) -> None:
    with pytest.raises(ConfigError, match="a directory or a hub id"):
        LeRobotPolicy(model=model, options=LeRobotOptions(("/", "not a name", "a")))


def test_the_table_and_the_class_of_the_backend_name_one_dataclass() -> None:
    assert options_of("lerobot") is LeRobotPolicy.options_type


def test_a_source_that_the_manifest_does_not_list_is_refused_unread(act: Path) -> None:
    for model in (str(act), "someone/act"):
        with pytest.raises(ConfigError, match="allowed_sources"):
            LeRobotPolicy(model=model)


def test_an_unreachable_hub_is_one_clear_error() -> None:
    with pytest.raises(PolicyError, match=r"'someone/act' at revision 'v2': .*hub cannot be reached"):
        LeRobotPolicy(model="someone/act", revision="v2", **HUB)  # type: ignore[arg-type]


def test_the_revision_reaches_the_hub(act: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hub(model: str, *, revision: str, **_: object) -> str:
        asked.append((model, revision))
        return str(act)

    monkeypatch.setattr(source, "snapshot_download", hub)
    LeRobotPolicy(model="someone/act", revision="v2", **HUB)  # type: ignore[arg-type]
    assert asked == [("someone/act", "v2")]


@pytest.mark.parametrize(
    ("kind", "wanted", "match"),
    [
        (GatedRepoError, PolicyError, r"'v2' is gated: accept its terms .* \(HF_TOKEN\)"),
        (RevisionNotFoundError, ConfigError, r"revision: wanted one that 'someone/act' has, got 'v2'"),
        (RepositoryNotFoundError, ConfigError, r"no such directory here, nor does the hub have it"),
    ],
)
def test_what_the_hub_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[RepositoryNotFoundError],
    wanted: type[VagusError],
    match: str,
) -> None:
    answer = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid/someone/act"))

    def hub(*_: object, **__: object) -> str:
        raise kind("no", response=answer)

    monkeypatch.setattr(source, "snapshot_download", hub)
    with pytest.raises(wanted, match=match):
        LeRobotPolicy(model="someone/act", revision="v2", **HUB)  # type: ignore[arg-type]


@pytest.mark.parametrize("allowed", [(), ("outputs",)])
def test_a_directory_that_is_not_here_is_not_only_looked_for_on_the_hub(allowed: tuple[str, ...]) -> None:
    with pytest.raises(VagusError, match="there is no such directory here"):
        LeRobotPolicy(model="outputs/act", options=LeRobotOptions(allowed))


# -- tokenizers and backbones -----------------------------------------------------------------------------


@pytest.fixture
def pi0(tmp_path: Path) -> Path:
    """Return a π0 whose tokenizer is what that of the published one is: on the hub, and gated."""
    path = tmp_path / "pi0"
    tiny.make_pi0(path)
    settings = path / "policy_preprocessor.json"
    settings.write_text(settings.read_text().replace(json.dumps(str(path / "tokenizer")), json.dumps(GATED)))
    return path


def test_a_tokenizer_that_cannot_be_had_is_named_with_both_ways_out(pi0: Path) -> None:
    with (
        tiny.tiny_gemma(),
        pytest.raises(PolicyError, match=rf"{GATED}, which cannot be had.*HF_TOKEN.*options\.tokenizer"),
    ):
        served(pi0, stated=VLA_TABLE)


def test_a_tokenizer_of_the_manifest_takes_the_place_of_the_checkpoints(pi0: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    tiny.make_pi0(whole)
    one = row(seen(1, instruction="go", cameras=tiny.CAMERAS))
    with tiny.tiny_gemma():
        policies = (
            served(pi0, stated=VLA_TABLE, tokenizer=str(pi0 / "tokenizer")),
            served(whole, stated=VLA_TABLE),
        )
    (ours,), (wanted,) = (good(policy.infer([one])) for policy in policies)
    np.testing.assert_array_equal(ours.robot, wanted.robot)


def test_a_tokenizer_for_a_policy_that_reads_nothing_is_refused(act: Path) -> None:
    with pytest.raises(ConfigError, match=r"options\.tokenizer: wanted none"):
        served(act, tokenizer="someone/tokenizer")


def test_a_backbone_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    tiny.make_smolvla(tmp_path)
    config = tmp_path / "config.json"
    names = {"vlm_model_name": "someone/vlm", "repo_id": "me/mine"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **names}))
    with pytest.raises(PolicyError, match=r"needs files of someone/vlm, which .* directory in config\.json"):
        served(tmp_path, stated=VLA_TABLE)


# -- packages ---------------------------------------------------------------------------------------------


def test_a_package_that_is_missing_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(diffusion_config(), tmp_path)

    def missing(name: str, *, extra: str) -> None:
        raise ImportError(f"'{name}' is required but not installed: pip install 'lerobot[{extra}]'")

    monkeypatch.setattr(modeling_diffusion, "require_package", missing)
    with pytest.raises(ConfigError, match=r"diffusers.*lerobot\[diffusion\]"):
        served(path)


def test_every_extra_that_is_named_exists() -> None:
    known = {re.sub(r"[-_.]+", "-", name) for name in metadata("lerobot").get_all("Provides-Extra") or ()}
    named = {family.extra for family in FAMILIES.values() if family.extra}
    assert named <= known
    assert {"pi", "wallx", "smolvla", "diffusion"} <= named
