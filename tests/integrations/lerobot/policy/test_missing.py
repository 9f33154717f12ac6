"""Without LeRobot, asking for it says what to install."""

from __future__ import annotations

import importlib.util

import pytest

from vagus.errors import ConfigError
from vagus.policies.registry import load_policy


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="LeRobot is installed here")
def test_a_missing_framework_names_the_extra() -> None:
    with pytest.raises(ConfigError, match=r'pip install "vagus\[lerobot\]"'):
        load_policy("lerobot", settings={"model": "someone/act"})
