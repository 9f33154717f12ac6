"""What a row costs the embedded policy in a batch of eight, against a row alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.report import Report, Table, number
from benchmarks.sampling import percentile, turns
from vagus.demo.robot import SimRobot
from vagus.errors import PolicyError
from vagus.policies.policy import Policy, Row
from vagus.policies.registry import load_policy
from vagus.types import Observation, Prefix

__all__ = ["run"]

SIZES = (1, 2, 4, 8)
ROUNDS, QUICK_ROUNDS = 40, 4
PREFIX_STEPS = 25


@dataclass(slots=True)
class Contestant:
    """Batches of one size, and what each took per row."""

    size: int
    has_prefix: bool
    row_ms: list[float] = field(default_factory=list)

    def take_turn(self, policy: Policy[object], rows: Sequence[Row[object]]) -> None:
        """Infer one batch."""
        begin_ns = time.perf_counter_ns()
        results = policy.infer(rows[: self.size])
        self.row_ms.append((time.perf_counter_ns() - begin_ns) / 1e6 / self.size)
        failures = [result for result in results if isinstance(result, PolicyError)]
        if failures:
            raise failures[0]


def run(*, quick: bool) -> Report:
    """Infer batches of one to eight robots, each with its own frames, noise, prefix and delay."""
    policy = load_policy("reach")
    tables = []
    for has_prefix in (False, True):
        rows = _rows(policy, has_prefix=has_prefix)
        contestants = [Contestant(size, has_prefix) for size in SIZES]
        for contestant in contestants:
            contestant.take_turn(policy, rows)
            contestant.row_ms.clear()
        for contestant in turns(contestants, QUICK_ROUNDS if quick else ROUNDS):
            contestant.take_turn(policy, rows)
        tables.append(_table(contestants, has_prefix=has_prefix))
    return Report("Batching: the embedded policy", tables)


def _rows(policy: Policy[object], *, has_prefix: bool) -> list[Row[object]]:
    rows = []
    for number_of_robot in range(max(SIZES)):
        robot = SimRobot(seed=number_of_robot)
        robot.connect()
        observation = Observation(robot.read_state(), robot.draw(), "", captured_ns=0)
        robot.close()
        row = Row(
            session=policy.open_session(),
            observation=observation,
            step=0,
            prefix=None,
            inference_delay=0,
            prefix_horizon=0,
            seed=number_of_robot,
        )
        rows.append(_continued(policy, row, number_of_robot) if has_prefix else row)
    return rows


def _continued(policy: Policy[object], row: Row[object], number_of_robot: int) -> Row[object]:
    """Return a row that continues the policy's own plan, with a delay that differs from row to row."""
    (chunk,) = policy.infer([row])
    if isinstance(chunk, PolicyError):
        raise chunk
    prefix = Prefix(model=np.array(chunk.model[:PREFIX_STEPS]), robot=np.array(chunk.robot[:PREFIX_STEPS]))
    return Row(
        session=row.session,
        observation=row.observation,
        step=0,
        prefix=prefix,
        inference_delay=number_of_robot,
        prefix_horizon=PREFIX_STEPS,
        seed=row.seed,
    )


def _table(contestants: Sequence[Contestant], *, has_prefix: bool) -> Table:
    base = percentile(contestants[0].row_ms, 50)
    rows = [
        (
            f"batch of {c.size}",
            number(percentile(c.row_ms, 50) / base),
            number(percentile(c.row_ms, 50)),
            number(percentile(c.row_ms, 50) * c.size),
        )
        for c in contestants
    ]
    kind = "each row with its own RTC prefix and delay" if has_prefix else "without prefix"
    return Table(f"reach, {kind}", ("", "ratio per row", "ms per row", "ms per batch"), rows)
