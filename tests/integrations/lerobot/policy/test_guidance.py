"""A checkpoint that was trained for real-time chunking is not run with guidance instead."""

from __future__ import annotations

import pytest

from vagus.errors import ConfigError
from vagus.integrations.lerobot.policy.guidance import check_guidance

GUIDED = {"enabled": True, "prefix_attention_schedule": "EXP", "max_guidance_weight": 5.0, "debug": False}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"rtc_config": None},
        {"rtc_config": GUIDED},
        {"rtc_config": {**GUIDED, "mode": "guided"}},
        {"rtc_config": {**GUIDED, "mode": None}, "rtc_training_max_delay": 0},
    ],
)
def test_guidance_is_what_is_served(config: dict[str, object]) -> None:
    check_guidance(config)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"rtc_config": {**GUIDED, "mode": "trained"}}, "rtc_config.mode"),
        ({"rtc_config": {"mode": "something else"}}, "rtc_config.mode"),
        ({"rtc_config": {**GUIDED, "soft_prefix": 3}}, "rtc_config.soft_prefix"),
        ({"rtc_training_max_delay": 6}, "rtc_training_max_delay"),
    ],
)
def test_anything_else_is_refused_by_name(config: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*guidance"):
        check_guidance(config)
