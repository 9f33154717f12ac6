"""Policies by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.policies.registry import load_policy

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
