"""Every setting of the server, spelled once."""

from __future__ import annotations

import dataclasses

import pytest

from vagus.errors import ConfigError
from vagus.server.config import COUNTS, NAMES, POSITIVES, TIMES, ServeConfig


def replaced(**changes: object) -> ServeConfig:
    return dataclasses.replace(ServeConfig(), **changes)  # type: ignore[arg-type]


def test_the_model_is_called_after_the_policy_unless_it_has_a_name() -> None:
    assert ServeConfig(policy="reach").model_name == "reach"
    assert ServeConfig().model_name == "policy"
    assert ServeConfig(model="pi05").model_name == "pi05"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_must_not_be_empty(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        replaced(**{name: ""})


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_at_least_one(name: str) -> None:
    assert getattr(replaced(**{name: 1}), name) == 1
    with pytest.raises(ConfigError, match=name):
        replaced(**{name: 0})


@pytest.mark.parametrize("name", TIMES + POSITIVES)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_or_rate_is_a_finite_number_above_zero(name: str, value: float) -> None:
    assert getattr(replaced(**{name: 0.5}), name) == 0.5
    with pytest.raises(ConfigError, match=name):
        replaced(**{name: value})


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port: int) -> None:
    assert replaced(health_port=65535).health_port == 65535
    with pytest.raises(ConfigError, match="health_port"):
        replaced(health_port=port)
