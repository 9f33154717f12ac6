from __future__ import annotations

import math

import numpy as np
import pytest

from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError

SECONDS = (
    "buffer_time_s",
    "max_action_age_s",
    "degraded_after_s",
    "connect_timeout_s",
    "handshake_timeout_s",
    "backoff_initial_s",
    "backoff_max_s",
    "max_offline_s",
)


def config(name: str, value: float) -> EdgeConfig:
    fields: dict[str, object] = {name: value}
    return EdgeConfig(**fields)  # type: ignore[arg-type]


def test_the_defaults_are_those_of_the_documentation() -> None:
    made = EdgeConfig()
    assert (made.buffer_time_s, made.max_action_age_s, made.degraded_after_s) == (0.5, 3.0, 1.0)
    assert (made.connect_timeout_s, made.handshake_timeout_s, made.max_offline_s) == (5.0, 2.0, 60.0)
    assert made.execute_horizon == "auto"
    assert (made.backoff_initial_s, made.backoff_max_s, made.max_worker_errors) == (0.5, 10.0, 10)


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_durations_are_finite_and_above_zero(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        config(name, value)


@pytest.mark.parametrize("name", ["execute_horizon", "prefix_horizon", "max_worker_errors"])
@pytest.mark.parametrize("value", [1.5, 2.0, True, math.nan])
def test_counts_are_whole_numbers(name: str, value: float) -> None:
    config(name, np.int64(4))
    with pytest.raises(ConfigError, match=f"{name}: wanted a whole number"):
        config(name, value)


@pytest.mark.parametrize("name", ["execute_horizon", "prefix_horizon", "max_worker_errors"])
def test_counts_are_at_least_one(name: str) -> None:
    config(name, 1)
    with pytest.raises(ConfigError, match=name):
        config(name, 0)


@pytest.mark.parametrize("value", ["", "AUTO", "8", "always"])
def test_an_execute_horizon_in_words_is_auto(value: str) -> None:
    assert EdgeConfig(execute_horizon="auto").execute_horizon == "auto"
    with pytest.raises(ConfigError, match="execute_horizon: wanted a number of actions, auto, or None"):
        EdgeConfig(execute_horizon=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, 101, -1])
def test_a_quality_of_frames_is_1_to_100(value: int) -> None:
    assert (config("jpeg_quality", 1).jpeg_quality, config("jpeg_quality", 100).jpeg_quality) == (1, 100)
    with pytest.raises(ConfigError, match="jpeg_quality"):
        config("jpeg_quality", value)


@pytest.mark.parametrize("value", [0.0, -30.0, math.nan, math.inf])
def test_a_rate_is_finite_and_above_zero(value: float) -> None:
    config("rate_hz", 30.0)
    with pytest.raises(ConfigError, match="rate_hz"):
        config("rate_hz", value)


def test_a_buffer_longer_than_the_age_bound_is_refused() -> None:
    with pytest.raises(ConfigError, match="never played"):
        EdgeConfig(buffer_time_s=3.0)


@pytest.mark.parametrize("pin", ["", "0123abcd", "a" * 64])
def test_a_pin_is_the_beginning_of_a_hash(pin: str) -> None:
    assert EdgeConfig(pin_model=pin).pin_model == pin


@pytest.mark.parametrize("pin", ["0123abc", "reach/main", "0123ABCD", "a" * 65, "0123abcd "])
def test_a_pin_that_is_none_is_refused(pin: str) -> None:
    with pytest.raises(ConfigError, match="vagus status"):
        EdgeConfig(pin_model=pin)
