"""A backend's own settings are read from `options`, typed, and refused where they do not belong."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

import pytest

from vagus.errors import ConfigError
from vagus.policies.options import OptionValue, describe_options, read_options
from vagus.policies.registry import BACKEND_OPTIONS, BACKENDS, load_policy, options_of
from vagus.server.config import ServeConfig
from vagus.server.manifest import parse_manifest


@dataclass(frozen=True)
class Settings:
    speed: float = 1.0
    """Speed of the policy,
    in metres per second."""
    names: tuple[str, ...] = ()
    """Names that are allowed."""
    is_loud: bool = False

    def __post_init__(self) -> None:
        if self.speed < 0:
            raise ConfigError("speed", wanted="0 or more", got=repr(self.speed))


def read(**given: OptionValue) -> Settings:
    return read_options("policy 'p'", Settings, given)


def test_settings_are_typed_and_a_list_may_be_typed_with_commas() -> None:
    assert read() == Settings()
    assert read(speed=3, names=["a", "b"], is_loud=True) == Settings(3.0, ("a", "b"), is_loud=True)
    assert read(names="a, b,") == Settings(names=("a", "b"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sped": 1.0}, r"options of policy 'p': wanted some of: is_loud, names, speed, got sped"),
        ({"speed": "fast"}, r"wanted speed: float; names: list of texts; is_loud: bool, got .*speed"),
        ({"names": [1]}, "names"),
        ({"speed": -1.0}, "speed: wanted 0 or more, got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, OptionValue], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(**given)


def test_each_setting_is_described_by_its_docstring() -> None:
    speed, names, is_loud = describe_options(Settings)
    assert speed.text == "Speed of the policy, in metres per second."
    assert (speed.kind, speed.default) == ("float", "1.0")
    assert (names.kind, names.default) == ("list of texts", "")
    assert (is_loud.kind, is_loud.text) == ("bool", "")


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_has_settings_with_a_help_and_needs_no_framework_to_read_them(name: str) -> None:
    kind = options_of(name)
    assert kind is not None
    assert set(BACKEND_OPTIONS) == set(BACKENDS)
    assert all(len(option.text) > 20 for option in describe_options(kind))


def test_the_server_knows_no_setting_of_a_single_backend() -> None:
    known = {entry.name for entry in fields(ServeConfig)}
    for name in BACKENDS:
        kind = options_of(name)
        assert kind is not None
        assert not known & {option.name for option in describe_options(kind)}


@pytest.mark.parametrize(
    ("manifest", "place"),
    [
        ({"policy": "reach", "inference_ms": 60}, "options: {inference_ms: 60}"),
        (
            {"policy": "lerobot", "allowed_sources": ["outputs"]},
            'options: {allowed_sources: ["outputs"]}',
        ),
        ({"allowed_classes": ["steps"]}, 'options: {allowed_classes: ["steps"]}'),
    ],
)
def test_a_manifest_of_before_is_told_the_new_place(manifest: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_manifest(json.dumps(manifest).encode(), ".json")
    assert place in str(caught.value)


def test_a_setting_of_another_backend_is_only_an_unknown_one() -> None:
    with pytest.raises(ConfigError, match="wanted settings among"):
        parse_manifest(b'{"policy": "reach", "allowed_sources": []}', ".json")
    with pytest.raises(ConfigError, match=r"options of policy 'reach': wanted some of: inference_ms"):
        load_policy("reach", options={"allowed_sources": ("outputs",)})


def test_options_in_a_manifest_reach_the_backend() -> None:
    config = parse_manifest(b'{"policy": "lerobot", "options": {"allowed_sources": ["a", "b"]}}', ".json")
    assert config.options == {"allowed_sources": ("a", "b")}
    with pytest.raises(ConfigError, match="inference_ms: wanted 0 to 60000"):
        load_policy("reach", options={"inference_ms": -1})
