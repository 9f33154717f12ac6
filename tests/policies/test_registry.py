"""Policies by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from vagus.errors import ConfigError, LinkError
from vagus.policies.registry import (
    SERVER_OPTIONS,
    SERVERS,
    check_backend_options,
    check_places,
    is_address,
    load_policy,
    options_of,
)
from vagus.specs import ActionFeature, PolicySpec
from vagus.transport.zenoh_config import ZenohConfig

HERE = "test_registry_backend"
BACKEND = """
class Backend:
    def __init__(self, *, model="", gain=1):
        self.model, self.gain = model, gain
"""


@pytest.fixture
def backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / f"{HERE}.py").write_text(BACKEND)
    (tmp_path / f"{HERE}_lacking.py").write_text("import a_framework_that_is_not_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return {"good": f"{HERE}:Backend", "lacking": f"{HERE}_lacking:Backend"}


def test_a_backend_is_made_with_the_settings_it_takes(backends: dict[str, str]) -> None:
    loaded = load_policy(
        "good", options={"gain": 3}, settings={"model": "w", "revision": "main"}, backends=backends
    )
    assert vars(loaded) == {"model": "w", "gain": 3}


def test_an_unknown_name_lists_the_names(backends: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="good, lacking"):
        load_policy("god", backends=backends)


def test_a_missing_framework_names_the_extra(backends: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r'pip install "vagus\[lacking\]"'):
        load_policy("lacking", backends=backends)


@pytest.mark.parametrize("where", ["options", "settings"])
def test_what_a_backend_does_not_take_is_refused_with_what_it_takes(
    backends: dict[str, str], where: str
) -> None:
    with pytest.raises(ConfigError, match="gain, model"):
        load_policy("good", **{where: {"dtype": "fp8"}}, backends=backends)  # type: ignore[arg-type]


def test_a_path_is_a_policy_of_your_own(tmp_path: Path, backends: dict[str, str]) -> None:
    path = tmp_path / "own_policy.py"
    path.write_text(
        "from vagus.policies.declare import policy\n"
        "@policy(actions={'x': 'm'}, state={}, horizon=1, rate_hz=1)\n"
        "def act(observation): return [[0.0]]\n"
    )
    assert load_policy(f"{path}:act", settings={"revision": "2"}, backends=backends).spec.horizon == 1
    with pytest.raises(ConfigError, match="dtype"):
        load_policy(f"{path}:act", settings={"dtype": "fp8"}, backends=backends)


def test_a_policy_of_ones_own_gets_the_settings_of_real_time_chunking_that_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    declared = "@vagus.policy(actions={'x': 'm'}, state={'x': 'm'}, horizon=1, rate_hz=10, version='1')"
    path.write_text(
        f"import vagus\n\n{declared}\nclass Own:\n    def __init__(self, rtc_schedule='exp'):\n"
        f"        self.label = rtc_schedule\n    def infer(self, batch):\n        return [[[0.0]]]\n"
        f"\n{declared}\nclass Bare:\n    def infer(self, batch):\n        return [[[0.0]]]\n"
    )
    one = load_policy(f"{path}:Own", settings={"rtc_schedule": "zeros"})
    other = load_policy(f"{path}:Own", settings={"rtc_schedule": "exp"})
    assert one.model_hash != other.model_hash
    one.close()
    other.close()
    with pytest.raises(ConfigError, match="rtc_schedule"):
        load_policy(f"{path}:Bare", settings={"rtc_schedule": "zeros"})


@pytest.mark.parametrize("scheme", SERVERS)
def test_an_address_has_typed_options_which_need_no_extra(scheme: str) -> None:
    kind = options_of(f"{scheme}://host:1")
    assert kind is not None
    assert kind.__module__ == SERVER_OPTIONS[scheme].partition(":")[0]
    with pytest.raises(ConfigError, match="profle"):
        check_backend_options(f"{scheme}://host:1", {"profle": "droid"})
    with pytest.raises(ConfigError, match="timeout_s"):
        check_backend_options(f"{scheme}://host:1", {"timeout_s": 0.0, "policy_type": "a", "checkpoint": "b"})


def test_an_unknown_scheme_lists_those_that_there_are() -> None:
    assert is_address("openpy+ws://host:8000")
    assert options_of("openpy+ws://host:8000") is None
    with pytest.raises(ConfigError, match=r"openpi\+ws://host:port, .*lerobot\+grpc://host:port"):
        load_policy("openpy+ws://host:8000")


def test_an_address_is_asked_with_its_options() -> None:
    with pytest.raises(LinkError, match="nothing listens on port 1 of 127"):
        load_policy("openpi+ws://127.0.0.1:1", options={"profile": "droid"})
    with pytest.raises(ConfigError, match="device"):
        load_policy("openpi+ws://127.0.0.1:1", options={"profile": "droid"}, settings={"device": "cuda"})
    with pytest.raises(ConfigError, match="wanted a protocol, a host and a port"):
        load_policy("openpi+ws://host", options={"profile": "droid"})
    spec = PolicySpec("x", (ActionFeature("x", "m"),), (), (), horizon=1, model_dim=1, rate_hz=1.0)
    with pytest.raises(ConfigError, match="its profile says it"):
        load_policy("openpi+ws://127.0.0.1:1", options={"profile": "droid"}, spec=spec)
    with pytest.raises(ConfigError, match="openpi/droid"):
        load_policy("openpi+ws://127.0.0.1:1", options={"profile": "nobody"})


def test_an_option_of_an_address_among_the_servers_settings_is_told_its_place() -> None:
    for policy in ("", "openpi+ws://host:8000"):
        with pytest.raises(ConfigError, match="--options profile"):
            check_places(policy, ["profile"], lambda name: f"--options {name} …")


@pytest.mark.parametrize("scheme", SERVER_OPTIONS)
def test_no_option_of_an_address_is_called_like_a_setting_of_the_network(scheme: str) -> None:
    kind = options_of(f"{scheme}://host:1")
    assert kind is not None  # `vagus run --policy` starts `vagus serve --mode peer`
    assert not {one.name for one in fields(kind)} & {one.name for one in fields(ZenohConfig)}
