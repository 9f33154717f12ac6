"""Real episodes beside simulated ones: what is paired, what counts, and what agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from vagus.errors import ConfigError
from vagus.trials.agreement import MOST_LATE_TICKS, ProcessCell, compare, steps_of
from vagus.trials.delay_law import DelayLaw, read_law
from vagus.trials.recorded_trial import PlayedEpisode
from vagus.trials.trial_robot import EpisodeResult

LAW = read_law("200", read_trace=lambda _: [])
STEP_MS = 50.0
SEEDS = range(40)


def result(seed: int, success: float) -> EpisodeResult:
    return EpisodeResult(seed, success, 0.0, 1.0, 20, 0)


def played(seed: int, success: float, *, late: int = 0, delay_ms: float = 175.0) -> PlayedEpisode:
    return PlayedEpisode(result(seed, success), late, (delay_ms, delay_ms), seed + 1)


def share(seed: int) -> float:
    return (seed * 7 % 13) / 12


class Simulation:
    """Simulated results by seed, in no order; it notes the laws that it was asked for."""

    def __init__(self, *, more: float = 0.0) -> None:
        self.laws: list[DelayLaw] = []
        self.waits: list[Mapping[int, int]] = []
        self._more = more

    def __call__(self, law: DelayLaw, waits: Mapping[int, int]) -> Sequence[EpisodeResult]:
        self.laws.append(law)
        self.waits.append(waits)
        return [result(seed, share(seed) + self._more) for seed in reversed(SEEDS)]


def compared(episodes: Sequence[PlayedEpisode], simulation: Simulation | None = None) -> ProcessCell:
    return compare("naive", LAW, episodes, simulation or Simulation(), step_ms=STEP_MS)


def test_episodes_are_paired_by_their_seeds() -> None:
    cell = compared([played(seed, share(seed) + (0.1 if seed % 2 else -0.1)) for seed in SEEDS])
    assert cell.simulated.gap.mean == pytest.approx(0.0)
    assert cell.simulated.gap.half_width < 0.05 < cell.real.success.half_width
    assert cell.simulated.agrees


def test_intervals_that_overlap_do_not_agree_while_the_pairs_differ() -> None:
    cell = compared([played(seed, share(seed)) for seed in SEEDS], Simulation(more=0.05))
    assert cell.simulated.gap.mean == pytest.approx(-0.05)
    assert abs(cell.simulated.cell.success.mean - cell.real.success.mean) < cell.real.success.half_width
    assert not cell.simulated.agrees


def test_episodes_with_many_missing_ticks_are_left_out_on_both_sides() -> None:
    episodes = [played(seed, share(seed), late=MOST_LATE_TICKS) for seed in SEEDS[:20]]
    episodes += [played(seed, 9.0, late=MOST_LATE_TICKS + 1, delay_ms=900.0) for seed in SEEDS[20:]]
    simulation = Simulation()
    cell = compared(episodes, simulation)
    assert (cell.real.episodes, cell.simulated.cell.episodes, cell.left_out) == (20, 20, 20)
    assert cell.simulated.gap.mean == pytest.approx(0.0)
    assert set(simulation.laws[1].trace_ms) == {175.0}


def test_the_measured_delays_are_a_law_of_their_own() -> None:
    episodes = [played(seed, share(seed), delay_ms=175.0 if seed % 4 else 225.0) for seed in SEEDS]
    simulation = Simulation()
    cell = compared(episodes, simulation)
    told, measured = simulation.laws
    assert told == LAW
    assert len(measured.trace_ms) == 2 * len(SEEDS)
    assert (cell.delay_ms, cell.as_wanted) == (175.0, 0.75)
    assert cell.traced.cell.law == "measured"


def test_simulated_robots_ask_first_when_the_real_ones_did() -> None:
    simulation = Simulation()
    compared([played(seed, share(seed)) for seed in SEEDS], simulation)
    assert simulation.waits == [{seed: seed + 1 for seed in SEEDS}] * 2


def test_a_mixed_law_means_two_steps() -> None:
    law = read_law("mixed:200:500:0.1", read_trace=lambda _: [])
    delays = (175.0, 475.0, 225.0, 180.0)
    episodes = [PlayedEpisode(result(seed, share(seed)), 0, delays, 0) for seed in SEEDS]
    assert compare("naive", law, episodes, Simulation(), step_ms=STEP_MS).as_wanted == 0.75


def test_nothing_is_said_of_less_than_two_episodes() -> None:
    episodes = [played(0, 0.5), *(played(seed, 0.5, late=99) for seed in SEEDS[1:])]
    with pytest.raises(ConfigError, match=r"naive at 200: wanted at least two .* got 1 of 40"):
        compared(episodes)


@pytest.mark.parametrize(("delay_ms", "steps"), [(0, 1), (1, 1), (50, 1), (50.1, 2), (200, 4)])
def test_a_chunk_is_taken_at_the_next_step(delay_ms: float, steps: int) -> None:
    assert steps_of(delay_ms, STEP_MS) == steps
