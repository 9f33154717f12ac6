"""Trials through the real engine: what is compared is what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from vagus.demo.gates import GatesPolicy
from vagus.demo.gates_options import GatesOptions
from vagus.demo.gates_trial import GatesTrial
from vagus.demo.gates_world import DT_S, TOP_SPEED_M_S
from vagus.edge.config import AUTO, DelayEstimate, EdgeConfig
from vagus.errors import PolicyError
from vagus.features import Limits
from vagus.policies.policy import Policy, Row
from vagus.trials.delay_law import DelayLaw, read_law
from vagus.trials.play_method import METHODS, PlayMethod
from vagus.trials.trial_robot import EpisodeResult, TrialRobot, phase_of
from vagus.trials.trial_run import DelayTrial, run_trials
from vagus.types import ActionArray, ActionChunk


def law(text: str) -> DelayLaw:
    return read_law(text, read_trace=lambda _: [])


def run(
    name: str, delay: str, *, count: int = 6, policy: Policy[None] | None = None, robots: int = 4
) -> list[EpisodeResult]:
    method = METHODS[name]
    made = policy or GatesPolicy(rtc_schedule=str(method.policy.get("rtc_schedule", "exp")))
    return run_trials(DelayTrial(GatesTrial, made, method, law(delay)), range(count), robots=robots)


class Noting:
    """The policy `gates`, which notes what it was asked."""

    def __init__(self) -> None:
        self._inner = GatesPolicy()
        self.spec, self.serving_mode = self._inner.spec, self._inner.serving_mode
        self.model_hash = "noting"
        self.rows: list[Row[None]] = []
        self.batches: list[int] = []

    def open_session(self) -> None: ...

    def begin_episode(self, session: None) -> None: ...

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        self.rows += batch
        self.batches.append(len(batch))
        return self._inner.infer(batch)

    def close(self) -> None: ...


@pytest.mark.parametrize("name", METHODS)
def test_every_method_plays_an_episode_to_its_end(name: str) -> None:
    results = run(name, "100", count=2)
    assert [one.seed for one in results] == [0, 1]
    assert all(0 <= one.success <= 1 and 0 <= one.starved < 1 for one in results)
    assert all(one.requests > 5 and one.acceleration > 0 for one in results)


def test_the_result_of_a_seed_does_not_depend_on_what_runs_beside_it_first() -> None:
    trial = DelayTrial(GatesTrial, GatesPolicy(), METHODS["naive"], law("100"))
    alone = run_trials(trial, [3])
    beside = run_trials(trial, [3, 4, 5], robots=3)
    assert (beside[0].success, beside[0].requests) == (alone[0].success, alone[0].requests)
    assert beside[0].acceleration == pytest.approx(alone[0].acceleration, rel=1e-3)


def test_the_first_request_of_an_episode_can_be_put_off() -> None:
    def requests(waits: dict[int, int]) -> list[int]:
        trial = DelayTrial(GatesTrial, GatesPolicy(), METHODS["naive"], law("100"), waits=waits)
        return [one.requests for one in run_trials(trial, [3, 4])]

    drawn = requests({3: phase_of(3), 4: phase_of(4)})
    assert requests({}) == drawn
    late = requests({3: 90})
    assert late[0] < drawn[0] - 5
    assert late[1] == drawn[1]


def test_a_robot_that_waits_for_its_chunks_starves_as_long_as_they_take() -> None:
    short, long = (np.mean([one.starved for one in run("sync", delay)]) for delay in ("50", "400"))
    assert 0.1 < short < long < 0.7
    assert np.mean([one.starved for one in run("naive", "200")]) == 0


def test_a_robot_that_waits_stands_after_each_eight_actions_just_as_long_as_the_answer_takes() -> None:
    """180 steps, up to six of them before the first request; then 4 steps of waiting and 8 actions."""
    for one in run("sync", "200", count=7):
        assert one.requests in (15, 16)
        assert one.starved == pytest.approx(4 / 12, abs=0.03)
    assert all(not METHODS[name].is_offered for name in ("sync", "average", "ensemble"))
    assert all(METHODS[name].is_offered for name in ("naive", "rtc_soft", "rtc_hard", "vagus"))


def test_a_world_that_does_not_end_an_episode_in_its_time_is_ended() -> None:
    class Endless(GatesTrial):
        max_steps = 40
        is_over = False

    (result,) = run_trials(DelayTrial(Endless, GatesPolicy(), METHODS["naive"], law("100")), [1])
    assert 0 < result.requests < 20


def test_without_rtc_nothing_is_continued_and_with_it_the_delay_is_told() -> None:
    plain = Noting()
    run("naive", "200", policy=plain)
    assert all(row.prefix is None and row.inference_delay == 0 for row in plain.rows)
    rtc = Noting()
    run("rtc_hard", "200", policy=rtc, count=8, robots=8)
    continued = [row for row in rtc.rows if row.prefix is not None]
    assert len(continued) > 0.8 * len(rtc.rows)
    assert {row.inference_delay for row in continued} == {4}
    assert max(rtc.batches) > 1


def test_a_delay_is_underestimated_where_the_told_one_was_shorter() -> None:
    def late(text: str) -> float:
        return float(np.mean([one.underestimated / one.requests for one in run("rtc_hard", text)]))

    assert late("200") == 0
    assert 0.01 < late("mixed:100:400:0.2") < 0.5


@pytest.mark.parametrize("estimate", [DelayEstimate.MAX, DelayEstimate.MEDIAN])
def test_a_reply_earlier_or_later_than_told_lets_no_robot_jump(estimate: DelayEstimate) -> None:
    """Some replies take three steps more than the others."""
    limits = Limits(-TOP_SPEED_M_S, TOP_SPEED_M_S, acceleration=8.0)
    steps: list[float] = []

    class Careful(GatesTrial):
        def __init__(self) -> None:
            super().__init__()
            self.spec = replace(self.spec, actions=(replace(self.spec.actions[0], limits=limits),))
            self._last = 0.0

        def reset(self, seed: int) -> None:
            super().reset(seed)
            self._last = 0.0

        def advance(self, action: ActionArray | None) -> None:
            now = 0.0 if action is None else float(action[0])
            if self._last:  # the first one begins at the measured velocity, which nobody commanded
                steps.append(abs(now - self._last))
            self._last = now
            super().advance(action)

    edge = replace(METHODS["rtc_hard"].edge, execute_horizon=1, delay_estimate=estimate)
    method = replace(METHODS["rtc_hard"], edge=edge)
    trial = DelayTrial(Careful, GatesPolicy(rtc_schedule="zeros"), method, law("mixed:100:250:0.15"))
    results = run_trials(trial, range(4))
    assert sum(one.underestimated for one in results) > 0
    assert 0.9 < max(steps) / (8.0 * DT_S) <= 1 + 1e-6


def test_a_prefix_keeps_more_walls_than_a_switch_and_averages_keep_fewest() -> None:
    """The order that this world was made for; with few episodes, so only where it is wide."""
    given = PlayMethod("given", METHODS["rtc_hard"].edge)
    policy = GatesPolicy(rtc_schedule="zeros", options=GatesOptions(continuation="given"))
    edge = replace(given.edge, execute_horizon=1)
    kept = run_trials(DelayTrial(GatesTrial, policy, replace(given, edge=edge), law("200")), range(40))
    switched = run("naive", "200", count=40, robots=32)
    assert np.mean([one.success for one in kept]) > np.mean([one.success for one in switched]) + 0.1


AHEAD, ALONE = (
    METHODS["vagus"],
    replace(METHODS["vagus"], edge=EdgeConfig(execute_horizon=AUTO, max_in_flight=1)),
)


def played(
    method: PlayMethod, delay: str, *, count: int = 32, inference_ms: float = 0
) -> list[EpisodeResult]:
    trial = DelayTrial(GatesTrial, GatesPolicy(), method, law(delay), inference_ms=inference_ms)
    return run_trials(trial, range(count))


def test_who_asks_ahead_passes_more_because_what_is_under_way_is_continued() -> None:
    ahead, alone = played(AHEAD, "300"), played(ALONE, "300")
    assert np.mean([one.success for one in ahead]) > np.mean([one.success for one in alone]) + 0.05
    assert np.mean([one.requests for one in ahead]) > 2 * np.mean([one.requests for one in alone])
    assert not any(one.underestimated for one in ahead)


def test_what_is_continued_is_what_the_robot_then_executes() -> None:
    """The plan that each chunk continues, for as long as it is told, against the commands that were sent."""
    policy, executed = Noting(), list[float]()

    class Watched(GatesTrial):
        def advance(self, action: ActionArray | None) -> None:
            executed.append(np.nan if action is None else float(action[0]))
            super().advance(action)

    run_trials(DelayTrial(Watched, policy, AHEAD, law("300")), [5])
    begin = int(np.flatnonzero(np.abs(np.nan_to_num(executed)) > 0)[0])  # step 0 of the plan
    compared = 0
    for row in policy.rows:
        if row.prefix is None:
            continue
        told = row.prefix.robot[: row.inference_delay, 0]
        sent = np.array(executed[begin + row.step :][: len(told)])
        np.testing.assert_allclose(told[: len(sent)], sent, atol=1e-6)
        compared += len(sent)
    assert compared > 5 * len(policy.rows)


def test_a_device_that_is_busy_for_the_whole_delay_is_not_asked_ahead() -> None:
    ahead, alone = (played(method, "300", count=6, inference_ms=300) for method in (AHEAD, ALONE))
    assert ahead == alone
    assert [one.requests for one in played(AHEAD, "300", count=6, inference_ms=75)] > [
        one.requests for one in ahead
    ]


@pytest.mark.parametrize("name", [name for name in METHODS if name != "vagus"])
def test_only_the_default_way_asks_ahead(name: str) -> None:
    """So the others are what was published, and what a server makes of robots without real-time chunking."""
    results = run(name, "400", count=2)
    assert max(one.requests for one in results) <= 9_000 / 400 + 1
    assert min(one.requests for one in played(AHEAD, "400", count=2)) > 60


def test_no_reply_overtakes_another() -> None:
    robot = TrialRobot(GatesTrial(), GatesPolicy().spec, AHEAD, law("lognormal:200:1"))
    robot.begin_episode(3)
    due: list[int] = []
    chunk = np.zeros((16, 1), np.float32)
    while not robot.is_over:
        made = robot.advance()
        if made is not None:
            due.append(made.due_ns)
            step = made.request.draft.step
            made.answer(ActionChunk(step, np.zeros((16, 2), np.float32), chunk))
    assert len(due) > 20
    assert due == sorted(due)
    assert len(set(due)) < len(due), "some would have"


def test_a_policy_that_fails_ends_the_trials_with_its_reason() -> None:
    class Failing(Noting):
        def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
            return [PolicyError("out of ideas") for _ in batch]

    with pytest.raises(PolicyError, match="out of ideas"):
        run("naive", "0", policy=Failing())
