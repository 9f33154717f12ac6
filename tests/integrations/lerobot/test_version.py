"""The releases of LeRobot that robots are moved with are those that are tested and installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.errors import ConfigError
from vagus.integrations.lerobot import version as lerobot_version
from vagus.integrations.lerobot.version import TESTED, check_lerobot

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def install(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.setattr(lerobot_version, "version", lambda _: release)


def test_the_extra_installs_tested_releases_only() -> None:
    assert f"]>={TESTED[0]},<={TESTED[-1]}; python" in PYPROJECT.read_text()


@pytest.mark.parametrize("release", TESTED)
def test_a_tested_release_needs_no_word(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    install(monkeypatch, release)
    check_lerobot("--it", is_vouched=False)


@pytest.mark.parametrize("release", ["0.6.2", "0.6.2.dev0", "0.5.1", "0.7.0"])
def test_any_other_is_refused_unless_somebody_vouches(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    install(monkeypatch, release)
    with pytest.raises(ConfigError, match=rf"{TESTED[-1]}.*got {release}.*--it"):
        check_lerobot("--it", is_vouched=False)
    check_lerobot("--it", is_vouched=True)
