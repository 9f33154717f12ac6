"""The same episodes on simulated time, through the real engine: independent of the machine.

python simulate_sides.py outputs/weights.npz --delays 0 200 300
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tyro
from sides_results import FIRST, HERE, in_row

from vagus.edge.config import EdgeConfig
from vagus.policies.registry import load_policy
from vagus.trials.delay_law import DelayLaw
from vagus.trials.play_method import PlayMethod, play_methods
from vagus.trials.registry import world_maker
from vagus.trials.study import cell_of, difference
from vagus.trials.trial_robot import EpisodeResult
from vagus.trials.trial_run import DelayTrial, run_trials

METHODS = play_methods(16)
WAYS: Mapping[str, tuple[PlayMethod, dict[str, str]]] = {
    "naive": (METHODS["naive"], {}),
    "sync": (METHODS["sync"], {}),
    "rtc_soft": (METHODS["rtc_soft"], {"continuation": "guided", "rtc_schedule": "exp"}),
    "rtc_hard": (METHODS["rtc_hard"], {"continuation": "guided", "rtc_schedule": "zeros"}),
    "vagus": (PlayMethod("vagus", EdgeConfig()), {"continuation": "given"}),
}
"""Name → way of playing, and options of the policy. But for sync all ask by the rule `auto`."""


def simulate(
    weights: Path,
    /,
    delays: tuple[int, ...] = (0, 200, 300),
    ways: tuple[str, ...] = tuple(WAYS),
    episodes: int = 60,
    *,
    jumps: bool = True,
) -> None:
    """Play the same episodes in each way at each delay, and print a table.

    Args:
        weights: file of the policy's weights.
        delays: times from an observation to its chunk, in ms.
        ways: ways of playing.
        episodes: episodes of each cell.
        jumps: whether posts jump.
    """
    robot = str(HERE / "robot.toml")
    make_world = world_maker("gym:sides_arm/Sides-v0", {"mapping": robot, "env_jumps": jumps})
    seeds = range(FIRST, FIRST + episodes)
    print("| delay | way | success, % | against the first, points | steps without a plan | requests |")
    print("|---|---|---|---|---|---|")
    for delay_ms in delays:
        first: list[EpisodeResult] = []
        for way in ways:
            method, options = WAYS[way]
            place = f"{HERE / 'sides_policy.py'}:SidesPolicy"
            policy = load_policy(place, options={"weights": str(weights.resolve()), **options})
            trial = DelayTrial(make_world, policy, method, DelayLaw(float(delay_ms)))
            results = run_trials(trial, seeds, robots=20)
            policy.close()
            cell = cell_of(way, str(delay_ms), results)
            gain = difference(results, first) if first else None
            first = first or results
            starved, requests = f"{cell.starved:.0%}", f"{cell.requests:.0f}"
            print(in_row(f"{delay_ms} ms", way, cell.success, gain, starved, requests), flush=True)


if __name__ == "__main__":
    tyro.cli(simulate)
