"""A manifest file read into the settings."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import msgspec
import pytest

from vagus.errors import ConfigError
from vagus.server.config import ServeConfig, ServingChoice
from vagus.server.manifest import load_manifest, parse_manifest
from vagus.specs import DepthCameraSpec

YAML = b"""
policy: arm.py:act
serving_mode: exclusive
audit_path: audit.jsonl
options: {gain: 1.5, name: x, fast: true, n: 2}
spec:
  actions: {pan: rad, lift: rad}
  cameras: {front: [96, 128]}
  depth_cameras: {deep: [48, 64]}
  depth_units_per_m: 10000
zenoh:
  connect: [tcp/10.0.0.5:7447]
"""


def test_yaml_toml_and_json_give_the_same_settings() -> None:
    config = parse_manifest(YAML, ".yaml")
    table = msgspec.yaml.decode(YAML)
    assert parse_manifest(msgspec.json.encode(table), ".json") == config
    if sys.version_info >= (3, 11):
        toml = b"""
            policy = "arm.py:act"
            serving_mode = "exclusive"
            audit_path = "audit.jsonl"
            options = {gain = 1.5, name = "x", fast = true, n = 2}
            [spec]
            actions = {pan = "rad", lift = "rad"}
            cameras = {front = [96, 128]}
            depth_cameras = {deep = [48, 64]}
            depth_units_per_m = 10000
            [zenoh]
            connect = ["tcp/10.0.0.5:7447"]
        """
        assert parse_manifest(toml, ".toml") == config
    assert config.serving_mode is ServingChoice.EXCLUSIVE
    assert config.audit_path == Path("audit.jsonl")
    assert config.options == {"gain": 1.5, "name": "x", "fast": True, "n": 2}
    assert list(config.spec.actions) == ["pan", "lift"]
    assert config.spec.cameras == {"front": (96, 128)}
    assert config.spec.to_spec().depth_cameras == (DepthCameraSpec("deep", 48, 64, 10_000.0),)
    assert config.zenoh.connect == ("tcp/10.0.0.5:7447",)


def test_an_empty_manifest_is_all_defaults() -> None:
    assert parse_manifest(b"", ".yml") == ServeConfig()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"max_sesions: 3", "max_sesions; did you mean max_sessions"),
        (b"zenoh: {conect: []}", r"zenoh\.conect; did you mean connect"),
        (b"qqq: 1", "among"),
        (b"max_sessions: many", "max_sessions"),
        (b"max_sessions: 0", "wanted 1 to"),
        (b"audit_path: 7", "manifest"),
        (b"- a\n- b", "table"),
        (b"a: : b", "YAML"),
    ],
)
def test_a_wrong_manifest_gives_one_message_that_says_where(content: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_manifest(content, ".yaml")


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\.ini"):
        parse_manifest(b"", ".ini")


def test_a_missing_reader_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_yaml(name: str, *args: object, **kwargs: object) -> object:
        if name == "yaml":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    monkeypatch.delitem(sys.modules, "yaml", raising=False)
    with pytest.raises(ConfigError, match=r'pip install "vagus\[yaml\]"'):
        parse_manifest(YAML, ".yaml")


def test_a_manifest_is_read_from_its_file_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.JSON").write_text('{"max_batch": 2}')
    assert load_manifest(tmp_path / "m.JSON").max_batch == 2
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load_manifest(tmp_path / "missing.yaml")
