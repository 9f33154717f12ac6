"""Entrants: one policy per set of settings, and every mismatch told before the study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from vagus.demo.gates_trial import GatesTrial
from vagus.errors import ConfigError, SpecError
from vagus.features import StateFeature
from vagus.server.config import ServeConfig
from vagus.specs import UNKNOWN_UNIT, RobotSpec
from vagus.trials.entrants import StudyEntry, chosen_methods, enter
from vagus.trials.play_method import METHODS

HERE = Path(__file__).parent
IDLE = f"{HERE / 'idle_policy.py'}:Idle"
WORLD = GatesTrial().spec


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def entered(
    stack: ExitStack, *names: str, world: RobotSpec = WORLD, trust_units: bool = False, **settings: object
) -> StudyEntry:
    config = ServeConfig(**{"policy": "gates", **settings})  # type: ignore[arg-type]
    return enter(names, config, world, stack, trust_units=trust_units)


def test_each_method_has_the_policy_with_its_settings_loaded_once_each(stack: ExitStack) -> None:
    entry = entered(stack, "naive", "sync", "rtc_soft", "rtc_hard")
    by_name = {entrant.name: entrant for entrant in entry.entrants}
    assert list(by_name) == ["naive", "sync", "rtc_soft", "rtc_hard"]
    assert by_name["naive"].policy is by_name["sync"].policy is entry.plain.policy
    assert by_name["rtc_soft"].policy is not by_name["rtc_hard"].policy
    schedules = {name: one.offered.rtc.schedule for name, one in by_name.items() if one.offered.rtc}
    assert schedules == {"naive": "zeros", "sync": "zeros", "rtc_soft": "exp", "rtc_hard": "zeros"}
    assert not entry.notes


def test_the_methods_are_those_for_the_chunks_of_this_policy(stack: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text(
        "import dataclasses\n\nfrom trials.idle_policy import Idle\n\n\nclass Long(Idle):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.spec = dataclasses.replace(self.spec, horizon=50)\n"
    )
    by_name = {one.name: one.method for one in entered(stack, policy=f"{path}:Long").entrants}
    assert by_name["sync"].edge.execute_horizon == 25
    usual = {one.name: one.method for one in entered(stack).entrants}
    assert usual["sync"].edge.execute_horizon == METHODS["sync"].edge.execute_horizon == 8


def test_the_operators_settings_hold_for_every_method(stack: ExitStack) -> None:
    entry = entered(stack, rtc_prefix_horizon=7, default_task="hurry", options={"continuation": "given"})
    assert len(entry.entrants) == len(METHODS)
    for entrant in entry.entrants:
        assert entrant.offered.rtc is not None
        assert entrant.offered.rtc.prefix_horizon == 7
        assert entrant.offered.default_instruction == "hurry"
    hashes = {entrant.policy.model_hash for entrant in entry.entrants}
    assert len(hashes & {one.policy.model_hash for one in entered(stack).entrants}) == 0


def test_policies_are_closed_with_the_study() -> None:
    with ExitStack() as stack:
        policies = [entered(stack, "naive", policy=IDLE).plain.policy for _ in range(2)]
        idle = [vars(policy)["_inner"] for policy in policies]
        assert [one.is_closed for one in idle] == [False, False]
    assert [one.is_closed for one in idle] == [True, True]


def test_without_rtc_all_other_methods_are_taken_and_the_rest_is_told(stack: ExitStack) -> None:
    entry = entered(stack, policy=IDLE)
    assert {"sync", "naive", "average", "ensemble"} <= {entrant.name for entrant in entry.entrants}
    left = [
        note for note in entry.notes if note.startswith("left out: method rtc_soft: wanted a policy with")
    ]
    assert len(left) == 1
    with pytest.raises(
        ConfigError, match=r"method rtc_hard: wanted a policy with real-time chunking, got .*Idle"
    ):
        entered(stack, "naive", "rtc_hard", policy=IDLE)


def test_rtc_that_the_operator_turned_off_is_none(stack: ExitStack) -> None:
    with pytest.raises(ConfigError, match="a policy with real-time chunking"):
        entered(stack, "rtc_soft", rtc=False)


def test_a_policy_that_does_not_take_a_schedule_says_so(stack: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "own_rtc.py"
    path.write_text(
        "from vagus.demo.gates import GatesPolicy\n\n\nclass Own(GatesPolicy):\n"
        "    options_type = None\n\n"
        "    def __init__(self):\n        super().__init__()\n"
    )
    with pytest.raises(
        ConfigError, match="method rtc_hard: wanted a policy that takes rtc_schedule zeros, got"
    ):
        entered(stack, "rtc_hard", policy=f"{path}:Own")
    assert "rtc_hard" not in {one.name for one in entered(stack, policy=f"{path}:Own").entrants}


def test_methods_are_known_and_each_once() -> None:
    assert [method.name for method in chosen_methods(())] == list(METHODS)
    with pytest.raises(ConfigError, match=r"methods: wanted some of sync, naive, .*, got 'rtc'"):
        chosen_methods(["naive", "rtc"])
    with pytest.raises(ConfigError, match="methods: wanted each once, got sync twice"):
        chosen_methods(["sync", "naive", "sync"])


def test_another_rate_is_refused_with_what_to_do(stack: ExitStack) -> None:
    with pytest.raises(
        ConfigError, match=r"rate: wanted a world of 20 Hz.*got 30 Hz; --world-options rate_hz 20"
    ):
        entered(stack, world=replace(WORLD, rate_hz=30.0))
    entered(stack, world=replace(WORLD, rate_hz=30.0), trained_rate_hz=30.0)
    entered(stack, world=replace(WORLD, rate_hz=20.0 * (1 + 1e-6)))


def test_what_does_not_fit_is_refused_as_a_server_does(stack: ExitStack) -> None:
    actions = (replace(WORLD.actions[0], name="sideways"),)
    with pytest.raises(SpecError, match=r"action names: wanted .*lateral.*, got .*sideways"):
        entered(stack, world=replace(WORLD, actions=actions))
    with pytest.raises(SpecError, match="state names"):
        entered(stack, world=replace(WORLD, state=WORLD.state[:-1]))
    feet = (*WORLD.state[:-1], StateFeature("gap_right", "ft"))
    with pytest.raises(SpecError, match="unit of state 'gap_right': wanted 'm', got 'ft'"):
        entered(stack, world=replace(WORLD, state=feet))


def test_a_unit_that_is_not_stated_needs_somebody_who_vouches_for_it(stack: ExitStack) -> None:
    unsaid = replace(WORLD, state=(*WORLD.state[:-1], StateFeature("gap_right", UNKNOWN_UNIT)))
    with pytest.raises(SpecError, match="a unit stated by both sides"):
        entered(stack, "naive", world=unsaid)
    assert any("gap_right" in note for note in entered(stack, "naive", world=unsaid, trust_units=True).notes)
