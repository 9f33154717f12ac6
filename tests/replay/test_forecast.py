"""A recorded session on another network: what would have happened, on a simulated clock."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from replay.recordings import POLICY, TICK_NS, chunk, session, without_plan
from vagus.errors import ConfigError
from vagus.recording.session import RecordedSession
from vagus.replay.forecast import Forecast, forecast
from vagus.replay.network import NetworkChange
from vagus.specs import RtcSpec

STEPS = 60
SETTINGS = {"edge": {"buffer_time_s": 0.2}, "loop": {"max_limited_s": 100.0}, "rename": {}}


def recorded(episodes: tuple[int, ...] = (0,), **info: object) -> RecordedSession:
    """Return a session of an arm that hardly moves, with a chunk of four steps for every third step."""
    made = session(STEPS, episodes=episodes)
    calm = tuple(
        dataclasses.replace(c, robot=c.robot * 0, model=c.model * 0, captured_ns=c.t_ns - TICK_NS)
        for c in made.chunks
    )
    steps = dataclasses.replace(made.steps, action=made.steps.action * 0, state=made.steps.state * 0)
    described = dataclasses.replace(made.info, **{"settings": SETTINGS, **info})  # type: ignore[arg-type]
    return dataclasses.replace(made, chunks=calm, steps=steps, info=described)


def told(**change: float) -> Forecast:
    return forecast(recorded(), NetworkChange(**change))  # type: ignore[arg-type]


def test_with_the_recorded_network_no_tick_is_without_a_plan() -> None:
    found = told()
    assert found.is_as_smooth, found.verdict
    assert found.verdict.startswith("yes")
    assert found.simulated.ticks == found.recorded.ticks == 0
    assert found.outcomes["merged"] > STEPS / 4
    assert max(joint.max for joint in found.joints) == 0.0
    assert found.least_spare_ms == pytest.approx(200.0)
    assert {request["fate"] for request in found.requests} <= {"arrived", "unknown"}


def test_a_later_answer_is_a_hold_as_long_as_it_is_late() -> None:
    found = told(latency_ms=400)
    assert not found.is_as_smooth
    assert found.verdict.startswith("safe, but not smooth")
    assert found.simulated.first_s == pytest.approx(0.4, abs=0.1)
    assert found.simulated.share > 0.3
    assert found.simulated.times > 3
    assert found.requests[0]["latency_ms"] == pytest.approx(450.0)


def test_a_robot_asks_ahead_on_another_network_if_its_server_continued_what_is_awaited() -> None:
    rtc = dataclasses.replace(POLICY, rtc=RtcSpec(2))
    settings = {**SETTINGS, "edge": {"execute_horizon": "auto", "buffer_time_s": 0.05}}
    one, ahead = (
        forecast(
            recorded(policy=rtc, settings=settings, continues_awaited=said), NetworkChange(latency_ms=150)
        )
        for said in (False, True)
    )
    assert len(ahead.requests) > 1.5 * len(one.requests)
    assert ahead.simulated.share <= one.simulated.share


def test_more_latency_is_never_better() -> None:
    shares = [told(latency_ms=ms).simulated.share for ms in (0, 200, 400, 800)]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0]


@pytest.mark.parametrize("change", [{"loss": 1.0}, {"latency_ms": 60_000.0}])
def test_a_robot_without_any_answer_never_had_a_plan(change: dict[str, float]) -> None:
    found = told(**change)
    assert found.verdict.startswith("no: the robot would never have had a plan")
    assert found.simulated.first_s is None
    assert not found.is_as_smooth


def test_a_cut_ends_the_session_and_another_one_opens() -> None:
    found = told(cut_every_s=2.0, cut_for_s=0.5)
    assert found.outcomes["sessions_lost"] >= 2
    assert found.outcomes["sessions_opened"] == found.outcomes["sessions_lost"] + 1
    assert found.simulated.ticks > 0


def test_a_run_that_would_have_been_ended_says_when_and_why() -> None:
    edge = {"buffer_time_s": 0.2, "max_offline_s": 1.0}
    found = forecast(recorded(settings={**SETTINGS, "edge": edge}), NetworkChange(loss=1.0))
    assert found.ended_s is not None
    assert 0.5 < found.ended_s < 1.5
    assert "no chunk could be merged for 1 s" in found.verdict
    assert not found.is_as_smooth


def test_the_same_seed_gives_the_same_and_another_one_another() -> None:
    one, same, other = (told(loss=0.3, network_seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.requests != other.requests


def test_episodes_begin_anew_and_a_long_silence_is_a_pause() -> None:
    made = recorded(episodes=(0, 1))
    later = np.where(made.steps.episode == 1, 3_000_000_000, 0)
    chunks = tuple(
        dataclasses.replace(
            c,
            t_ns=c.t_ns + c.episode * (3_000_000_000 + 2 * STEPS * TICK_NS),
            captured_ns=c.captured_ns + c.episode * (3_000_000_000 + 2 * STEPS * TICK_NS),
        )
        for c in made.chunks
    )
    steps = dataclasses.replace(made.steps, t_ns=made.steps.t_ns + later)
    found = forecast(dataclasses.replace(made, chunks=chunks, steps=steps), NetworkChange())
    assert found.pauses == 1
    assert {request["episode"] for request in found.requests} == {0, 1}
    assert found.requests[-1]["fate"] in ("arrived", "unknown")


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (dataclasses.replace(recorded(), chunks=()), "chunks as they came"),
        (recorded(policy=None), "the policy and both rates"),
        (recorded(tick_rate_hz=None), "both rates"),
        (recorded(settings={}), "edge settings"),
        (recorded(settings={"edge": {}}), "loop settings"),
        (recorded(settings={**SETTINGS, "edge": {"buffer_time_s": "x"}}), "edge settings"),
        (recorded(state_features=()), "fit together"),
        (dataclasses.replace(session(0), chunks=(chunk(0, 0),)), "wanted commands"),
    ],
)
def test_a_session_that_says_too_little_is_refused(made: RecordedSession, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        forecast(made, NetworkChange())


def test_a_recording_without_a_plan_action_holds_all_the_time() -> None:
    found = forecast(without_plan(recorded()), NetworkChange())
    assert found.recorded.share == 1.0
    assert found.recorded.first_s is None


def test_what_cannot_be_known_is_said() -> None:
    assert len(told().cannot_know) >= 3
