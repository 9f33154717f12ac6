"""Numbers in settings: times that a wait can take, and counts that somebody can count to."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import fields

import pytest

from vagus.cli.chaos import ChaosCommand
from vagus.cli.status import StatusCommand
from vagus.control.config import LoopConfig, RecorderConfig, SensesConfig
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError
from vagus.server.config import ServeConfig
from vagus.setting_ranges import MAX_S, check_seconds
from vagus.transport.zenoh_config import RouterConfig, ZenohConfig

SETTINGS: dict[str, Callable[[float], object]] = {
    "handshake_timeout_s": lambda value: EdgeConfig(handshake_timeout_s=value),
    "start_timeout_s": lambda value: EdgeConfig(start_timeout_s=value),
    "backoff_max_s": lambda value: EdgeConfig(backoff_max_s=value),
    "duration_s": lambda value: LoopConfig(duration_s=value),
    "robot_connect_timeout_s": lambda value: LoopConfig(robot_connect_timeout_s=value),
    "flush_s": lambda value: RecorderConfig(flush_s=value),
    "drain_timeout_s": lambda value: ServeConfig(drain_timeout_s=value),
    "open_timeout_s": lambda value: ZenohConfig(open_timeout_s=value),
    "lease_s": lambda value: RouterConfig(lease_s=value),
    "interval_s": lambda value: StatusCommand(watch=True, interval_s=value).run(),
    "cut_for_s": lambda value: ChaosCommand("a:1", "b:2", cut_every_s=1.0, cut_for_s=value).run(),
}


@pytest.mark.parametrize("value", [1e10, 1e300, math.nan, math.inf, -1.0, 0.0])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_time_that_no_wait_can_take_is_refused_where_it_is_set(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        SETTINGS[name](value)


@pytest.mark.parametrize("value", [1e10, math.nan, math.inf, -1.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: ZenohConfig(watchdog_s=value),
        lambda value: ChaosCommand("a:1", "b:2", cut_every_s=value).run(),
    ],
)
def test_where_zero_means_never_the_rest_is_checked_all_the_same(
    make: Callable[[float], object], value: float
) -> None:
    with pytest.raises(ConfigError):
        make(value)


COUNTED = [
    (made, field.name)
    for made in (EdgeConfig, LoopConfig, RecorderConfig, SensesConfig, ServeConfig, ZenohConfig, RouterConfig)
    for field in fields(made)
    if str(field.type) in {"int", "int | None"} and field.name != "seed"
]
"""Every number of things in the settings; a seed may be any."""


@pytest.mark.parametrize("count", [10**30, 2**63, -1])
@pytest.mark.parametrize(("made", "name"), COUNTED)
def test_a_count_that_no_part_can_count_to_is_refused_where_it_is_set(
    made: Callable[..., object], name: str, count: int
) -> None:
    with pytest.raises(ConfigError, match=name):
        made(**{name: count})


def test_what_is_tried_one_by_one_has_an_end() -> None:
    made: Callable[..., object] = ServeConfig
    for name in ("max_batch", "decode_workers", "warm_up_runs"):
        with pytest.raises(ConfigError, match=name):
            made(**{name: 100_000})
    assert len(COUNTED) > 15


def test_the_longest_is_a_wait_that_the_system_takes() -> None:
    check_seconds("pause_s", MAX_S)
    check_seconds("pause_s", 0.0, or_zero=True)
    assert MAX_S < threading.TIMEOUT_MAX
