from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.rig import capabilities
from vagus.edge.client.pace import Pace, check_pace
from vagus.edge.config import EdgeConfig
from vagus.errors import SessionRefusedError
from vagus.wire.schema import Capabilities, LatencyRow

CONFIG = EdgeConfig()


def served(p50_s: float, *, horizon: int = 50, rate_hz: float = 10.0, worst_s: float = 0.0) -> Capabilities:
    alone = LatencyRow(batch_size=1, p50_ms=p50_s * 1000, max_ms=max(worst_s, p50_s) * 1000)
    crowd = LatencyRow(batch_size=8, p50_ms=1e6, max_ms=1e6)  # what eight robots wait for is another question
    return msgspec.structs.replace(
        capabilities(), horizon=horizon, rate_hz=rate_hz, latency=(alone, crowd) if p50_s else ()
    )


def test_a_quick_policy_is_nothing_to_speak_of() -> None:
    assert check_pace(served(0.1), CONFIG) == []


def test_where_nobody_measured_nothing_is_known() -> None:
    assert check_pace(served(0.0, horizon=1), CONFIG) == []


@pytest.mark.parametrize("p50_s", [3.0, 3.5, 7.0, 12.0])
def test_what_could_never_move_the_robot_is_refused_with_the_numbers_and_the_way_out(p50_s: float) -> None:
    with pytest.raises(SessionRefusedError) as caught:
        check_pace(served(p50_s), CONFIG)
    text = str(caught.value)
    assert caught.value.code == "too_slow"
    assert f"{p50_s:g} s per chunk, and" in text
    assert "max_action_age_s 3 " in text
    _, _, advised = text.partition("--max-action-age-s ")
    age_s = float(advised.partition(",")[0])
    assert not any("never" in w for w in check_pace(served(p50_s), EdgeConfig(max_action_age_s=age_s)))


def test_one_slow_run_of_the_warm_up_refuses_nobody() -> None:
    assert check_pace(served(0.2, worst_s=9.0), CONFIG) == []
    assert Pace.of(served(0.2, worst_s=9.0), worst=True, round_trip_s=0.5).latency_s == 9.5


@pytest.mark.parametrize(
    ("horizon", "rate_hz", "p50_s"), [(1, 5.0, 0.35), (16, 30.0, 0.8), (16, 30.0, 0.52), (1, 30.0, 0.033)]
)
def test_a_chunk_shorter_than_its_successor_takes_is_told(horizon: int, rate_hz: float, p50_s: float) -> None:
    (warning,) = check_pace(served(p50_s, horizon=horizon, rate_hz=rate_hz), CONFIG)
    assert "shorter than" in warning
    assert "stop and go" in warning


def test_a_buffer_shorter_than_the_latency_is_told_with_one_that_would_do() -> None:
    (warning,) = check_pace(served(0.8), CONFIG)
    assert "--buffer-time-s 1.4 would keep it moving" in warning
    assert "will stop and go, unless the server has room to be asked sooner;" in warning
    (warning,) = check_pace(served(0.8), EdgeConfig(execute_horizon=None))
    assert "will stop and go; --buffer-time-s 1.4" in warning
    assert check_pace(served(0.8), EdgeConfig(buffer_time_s=1.4)) == []


def test_where_the_age_bound_is_in_the_way_it_is_named_too() -> None:
    (warning,) = check_pace(served(1.5), CONFIG)
    assert "--buffer-time-s 2.45 --max-action-age-s 7.37 would keep it moving" in warning
    assert check_pace(served(1.5), EdgeConfig(buffer_time_s=2.45, max_action_age_s=7.37)) == []


def test_a_buffer_that_no_plan_reaches_is_told() -> None:
    (warning,) = check_pace(served(0.15, horizon=2, rate_hz=5.0), CONFIG)
    assert "cannot be reached" in warning
    assert "0.4 s" in warning


def test_a_robot_at_another_rate_is_judged_by_its_own() -> None:
    assert check_pace(served(0.8, horizon=16, rate_hz=30.0), EdgeConfig(rate_hz=5.0, buffer_time_s=1.6)) == []


@given(
    share=st.floats(0.0, 1.2),
    horizon=st.integers(1, 1000),
    rate_hz=st.floats(1.0, 250.0),
    age_s=st.floats(0.1, 60.0),
    buffer=st.floats(0.01, 0.99),
)
def test_what_is_advised_is_accepted_and_helps(
    share: float, horizon: int, rate_hz: float, age_s: float, buffer: float
) -> None:
    config = EdgeConfig(buffer_time_s=buffer * age_s, max_action_age_s=age_s)
    latency_s = max(share * horizon / rate_hz, 0.001)  # of what a chunk lasts
    pace = Pace.of(served(latency_s, horizon=horizon, rate_hz=rate_hz))
    assume(not pace.is_stop_and_go)
    buffer_s, advised_age_s = pace.settings(config)
    assume(buffer_s > 0)  # a chunk of less than a millisecond
    better = replace(config, buffer_time_s=buffer_s, max_action_age_s=advised_age_s)  # accepts both
    assert pace.why_never(advised_age_s) == ""
    assert list(pace.warnings(better)) == []


@given(latency_s=st.floats(0.001, 60.0), horizon=st.integers(1, 1000), rate_hz=st.floats(1.0, 250.0))
def test_the_age_bound_that_a_refusal_names_is_enough(latency_s: float, horizon: int, rate_hz: float) -> None:
    pace = Pace.of(served(latency_s, horizon=horizon, rate_hz=rate_hz))
    assert pace.playable_s(pace.wanted_age_s) == pytest.approx(pace.chunk_s)
