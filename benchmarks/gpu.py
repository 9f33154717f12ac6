"""What a batch costs LeRobot's policies on the GPU of this machine, and how many robots that carries."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile
from vagus.edge.config import EdgeConfig
from vagus.errors import PolicyError
from vagus.planning.carried import SLO_STARVED_SHARE
from vagus.planning.planner import Device, Limit, capacity_of
from vagus.planning.robot_kinds import RobotKind
from vagus.planning.trial import simulated
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Row
from vagus.server.capacity import RobotDemand
from vagus.types import Observation, Prefix

if TYPE_CHECKING:
    from vagus.integrations.lerobot.policy.batch import Memory
    from vagus.integrations.lerobot.policy.policy import LeRobotPolicy

__all__ = ["FAMILIES", "Variant", "batch_table", "robots_table", "run"]

FAMILIES = ("act", "diffusion", "smolvla", "pi0", "pi05")
TINY_FAMILIES = FAMILIES[:3]
"""LeRobot hard-codes the sizes of π0 and π0.5: they do not fit a processor."""
SIZES, TINY_SIZES = (1, 2, 4, 8, 16, 32), (1, 2)
ROUNDS, TINY_ROUNDS = 20, 2
RATE_HZ = 30.0
ROUND_TRIP_S = 0.02
USUAL = EdgeConfig()
MOST_ROBOTS = 256
"""More are not simulated."""
PREFIX_STEPS = 20
INSTRUCTIONS = ("pick up the red cube", "put it into the box on the left, slowly", "stop", "fold the towel")
NEEDS = ("torch", "lerobot", "transformers", "diffusers")


@dataclass(frozen=True, slots=True)
class Variant:
    """How the policies are loaded.

    Attributes:
        dtype: number format.
        is_compiled: whether the network is compiled, with a graph for each batch size.
    """

    dtype: str
    is_compiled: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}, compiled" if self.is_compiled else self.dtype


VARIANTS = (Variant("bfloat16"), Variant("bfloat16", is_compiled=True))
TINY_VARIANTS = (Variant("float32"),)


def run(*, quick: bool) -> Report:
    """Measure all families on the GPU; `quick`: tiny networks, on the processor, to see that it works."""
    report = Report("LeRobot policies on a GPU: batches, and robots per device")
    lacking = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        report.notes.append(
            f"not measured: {', '.join(lacking)} not installed here; run python -m benchmarks gpu in an "
            'environment that has "vagus[lerobot]"'
        )
        return report
    import torch  # noqa: PLC0415 - most benchmarks run without it

    if not (quick or torch.cuda.is_available()):
        report.notes.append(
            "not measured: torch finds no GPU here; --quick runs tiny networks on the processor, to see that "
            "the program works"
        )
        return report
    device = "cpu" if quick else "cuda"
    card = "processor, tiny networks" if quick else torch.cuda.get_device_name()
    tables: dict[str, dict[Variant, dict[int, float]]] = {}
    horizons: dict[str, int] = {}
    for family in TINY_FAMILIES if quick else FAMILIES:
        tables[family] = {}
        with tempfile.TemporaryDirectory() as folder:
            for variant in TINY_VARIANTS if quick else VARIANTS:
                tables[family][variant], horizons[family] = batch_table(
                    family, variant, Path(folder), device=device, is_tiny=quick
                )
        report.tables.append(_latency_table(family, card, tables[family]))
    report.tables.append(robots_table(card, tables, horizons))
    report.notes.append(
        "random weights; every row has frames, noise and instruction of its own, and every second row of "
        "SmolVLA, π0 and π0.5 a plan; from decoded frames to chunks in the robot's units, median of "
        f"{TINY_ROUNDS if quick else ROUNDS}"
    )
    return report


def batch_table(
    family: str, variant: Variant, folder: Path, *, device: str, is_tiny: bool
) -> tuple[dict[int, float], int]:
    """Return batch size → median time in ms of a policy with random weights, and its horizon.

    Args:
        family: one of `FAMILIES`.
        variant: how it is loaded.
        folder: gets the checkpoint, unless it is there.
        device: e.g. "cuda".
        is_tiny: a small network and few batches.

    Raises:
        PolicyError: not even one row works.
    """
    from benchmarks.programs.random_checkpoints import make_checkpoint  # noqa: PLC0415 - needs LeRobot

    if not (folder / "config.json").is_file():
        make_checkpoint(family, folder, device=device, is_tiny=is_tiny)
    policy = _loaded(folder, variant, device)
    table: dict[int, float] = {}
    for size in TINY_SIZES if is_tiny else SIZES:
        rows = [_row(policy, robot) for robot in range(size)]
        try:
            times_ms = [_infer_ms(policy, rows) for _ in range(2 + (TINY_ROUNDS if is_tiny else ROUNDS))]
        except PolicyError:
            if not table:
                raise
            break  # no memory for more rows
        table[size] = max(percentile(times_ms[2:], 50), *table.values(), 0.0)  # a planner's table never falls
    horizon = policy.spec.horizon
    policy.close()
    return table, horizon


def robots_table(
    card: str, tables: Mapping[str, Mapping[Variant, Mapping[int, float]]], horizons: Mapping[str, int]
) -> Table:
    """Return how many robots each policy carries with batches and without, by simulation.

    Args:
        card: name of the device.
        tables: family → variant → batch size → time in ms.
        horizons: family → actions in a chunk.
    """
    rows = []
    for family, variants in tables.items():
        demand = _usual_robot(horizons[family])
        for variant, table in variants.items():
            alone, batched = (_robots(table, demand, most) for most in (1, max(table)))
            ratio = number(batched / alone) if alone else "–"
            rows.append((f"{family}, {variant}", f"{horizons[family]}", f"{alone}", f"{batched}", ratio))
    return Table(
        f"robots on one {card}: {RATE_HZ:g} Hz, buffer {USUAL.buffer_time_s:g} s, round trip "
        f"{ROUND_TRIP_S * 1000:g} ms, at most {SLO_STARVED_SHARE:.0%} of the steps without an action "
        f"({MOST_ROBOTS} at most were tried)",
        ("", "horizon", "unbatched", "batched", "ratio"),
        rows,
    )


def _usual_robot(horizon: int) -> RobotDemand:
    return RobotDemand(
        rate_hz=RATE_HZ,
        horizon=horizon,
        buffer_s=USUAL.buffer_time_s,
        round_trip_s=ROUND_TRIP_S,
        max_action_age_s=USUAL.max_action_age_s,
    )


def _robots(table: Mapping[int, float], demand: RobotDemand, max_batch: int) -> int:
    device = Device(table, max_batch, max_robots=MOST_ROBOTS)
    return capacity_of(device, (RobotKind(1, demand),), Limit(SLO_STARVED_SHARE, simulated)).robots


def _latency_table(family: str, card: str, variants: Mapping[Variant, Mapping[int, float]]) -> Table:
    sizes = sorted({size for table in variants.values() for size in table})
    rows = [
        (f"batch of {size}", *(cell for table in variants.values() for cell in _cells(table, size)))
        for size in sizes
    ]
    columns = [column for variant in variants for column in (f"{variant}: ms", "ms per row")]
    return Table(f"{family} on {card}", ("", *columns), rows)


def _cells(table: Mapping[int, float], size: int) -> tuple[str, str]:
    if size not in table:
        return "no memory", ""
    return number(table[size]), number(table[size] / size)


def _loaded(folder: Path, variant: Variant, device: str) -> LeRobotPolicy:
    from benchmarks.programs.random_checkpoints import JOINTS  # noqa: PLC0415 - needs LeRobot
    from vagus.integrations.lerobot.policy.options import LeRobotOptions  # noqa: PLC0415 - likewise
    from vagus.integrations.lerobot.policy.policy import LeRobotPolicy  # noqa: PLC0415 - likewise

    units = dict.fromkeys(JOINTS, "rad")
    return LeRobotPolicy(
        model=str(folder),
        device=device,
        dtype=variant.dtype,
        stated=SpecTable(actions=units, state=units),
        trained_rate_hz=RATE_HZ,
        options=LeRobotOptions(allowed_sources=(str(folder),), compile=variant.is_compiled),
    )


def _row(policy: LeRobotPolicy, robot: int) -> Row[Memory]:
    """Return the request of one robot; every second one continues a plan, if the policy can."""
    spec = policy.spec
    random = np.random.default_rng(robot)
    frames = {
        camera.name: random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        for camera in spec.cameras
    }
    state = random.standard_normal(spec.state_dim).astype(np.float32)
    observation = Observation(state, frames, INSTRUCTIONS[robot % len(INSTRUCTIONS)], captured_ns=0)
    prefix = None
    if spec.rtc is not None and robot % 2:
        actions = random.standard_normal((PREFIX_STEPS, spec.model_dim)).astype(np.float32)
        prefix = Prefix(actions, actions)
    return Row(policy.open_session(), observation, 0, prefix, robot % 5, PREFIX_STEPS, seed=robot)


def _infer_ms(policy: LeRobotPolicy, rows: Sequence[Row[Memory]]) -> float:
    begin_ns = time.perf_counter_ns()
    results = policy.infer(rows)
    took_ms = (time.perf_counter_ns() - begin_ns) / 1e6
    for result in results:
        if isinstance(result, PolicyError):
            raise result
    return took_ms
