"""A policy's own settings are read from `options`, typed, and refused where they do not belong."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path

import pytest

from documents import ROOT, put_files
from vagus.demo.reach import ReachPolicy
from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.options import LeRobotOptions
from vagus.policies.options import BackendOption, OptionValue, describe_options, parted, read_options
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


def test_settings_are_typed() -> None:
    assert read() == Settings()
    assert read(speed=3, names=["a", "b"], is_loud=True) == Settings(3.0, ("a", "b"), is_loud=True)


def test_a_list_has_commas_on_a_command_line_only() -> None:
    assert parted(Settings, {"names": "a, b,", "speed": "a,b", "other": "a,b"}) == {
        "names": ("a", "b"),
        "speed": "a,b",
        "other": "a,b",
    }
    with pytest.raises(ConfigError, match="names: list of texts"):
        read(names="a,b")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"sped": 1.0},
            r"options of policy 'p': wanted some of: is_loud, names, speed, got sped; did you mean speed\?",
        ),
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


def test_settings_of_any_dataclass_are_described() -> None:
    @dataclass(frozen=True)
    class Wider(Settings):
        gain: float | None = None
        """Gain of the controller."""

    sourceless = make_dataclass("sourceless", [("depth", int, 3)], frozen=True)
    speed, *_, gain = describe_options(Wider)
    assert speed.text == "Speed of the policy, in metres per second."
    assert (gain.kind, gain.text) == ("float | None", "Gain of the controller.")
    assert describe_options(sourceless) == [BackendOption("depth", "int", "3", "")]


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


@pytest.mark.parametrize(
    "manifest",
    [{"inference_ms": "fast"}, {"inference_ms": -1}, {"inference_md": 1}, {"inference_ms": True}],
)
def test_a_manifest_with_a_wrong_option_is_refused_before_a_policy_is_loaded(
    manifest: dict[str, object],
) -> None:
    content = json.dumps({"policy": "reach", "options": manifest}).encode()
    with pytest.raises(ConfigError, match="inference_ms"):
        parse_manifest(content, ".json")


def test_a_text_is_no_list_of_sources_in_a_manifest() -> None:
    """A comma may belong to the name of a directory; its parts would allow others."""
    with pytest.raises(ConfigError, match="allowed_sources: list of texts"):
        parse_manifest(b'{"policy": "lerobot", "options": {"allowed_sources": "a,b"}}', ".json")


@pytest.mark.parametrize("listed", ["/data", ("",), ("a", 1), ["a"]])
@pytest.mark.parametrize("name", ["allowed_sources", "allowed_classes"])
def test_what_would_allow_more_than_it_says_is_refused(name: str, listed: object) -> None:
    with pytest.raises(ConfigError, match=f"{name}: wanted a tuple of texts"):
        LeRobotOptions(**{name: listed})  # type: ignore[arg-type] # that is the point


def test_a_network_is_compiled_for_one_size_at_least() -> None:
    with pytest.raises(ConfigError, match="graphs_per_doubling: wanted 1 or more, got 0"):
        LeRobotOptions(graphs_per_doubling=0)


OWN = """
from dataclasses import dataclass

from vagus.specs import ActionFeature, PolicySpec


@dataclass(frozen=True)
class Settings:
    gain: float = 2.0
    \"\"\"Gain of the controller.\"\"\"
    joints: tuple[str, ...] = ("x",)


class Own:
    options_type = Settings

    def __init__(self, options):
        self.options = options
        self.spec = PolicySpec("own", (ActionFeature("x", "m"),), (), (), 1, 1, 10.0)

    def infer(self, batch):
        raise AssertionError(self.options)
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own_with_options.py").write_text(OWN)
    return f"{tmp_path / 'own_with_options.py'}:Own"


def test_a_class_of_your_own_gets_its_dataclass_of_options(own: str) -> None:
    loaded = load_policy(own, options={"gain": 3, "joints": ["a", "b"]})
    with pytest.raises(AssertionError, match=r"Settings\(gain=3.0, joints=\('a', 'b'\)\)"):
        loaded.infer([])
    with pytest.raises(AssertionError, match=r"gain=2.0"):
        load_policy(own).infer([])
    assert loaded.model_hash != load_policy(own).model_hash
    with pytest.raises(ConfigError, match=r"wanted some of: gain, joints, got gian; did you mean gain\?"):
        load_policy(own, options={"gian": 3})
    with pytest.raises(ConfigError, match="gain: float"):
        load_policy(own, options={"gain": "much"})


def test_a_class_that_carries_something_else_as_its_options_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own_without.py").write_text("class Own:\n    options_type = dict\n")
    with pytest.raises(ConfigError, match=r"options_type of .*: wanted a frozen dataclass"):
        load_policy(f"{tmp_path / 'own_without.py'}:Own")


def test_the_table_and_the_class_of_a_backend_name_one_dataclass() -> None:
    assert options_of("reach") is ReachPolicy.options_type


def test_the_documented_class_with_options_can_be_loaded(tmp_path: Path) -> None:
    put_files(ROOT / "docs" / "quickstart.md", tmp_path)
    place = f"{tmp_path / 'my_options.py'}:MyPolicy"
    assert load_policy(place, options={"gain": 2, "joints": ["x"]}).spec.horizon == 10
    with pytest.raises(ConfigError, match="gain: wanted 0 or more, got -1"):
        load_policy(place, options={"gain": -1})
