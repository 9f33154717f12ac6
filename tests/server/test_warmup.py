"""The whole request path, run and timed."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from server.raw_client import SPEC, Calls, CountingPolicy
from vagus.clock import NS_PER_MS
from vagus.errors import ActionsRefusedError, PolicyError, ProtocolError
from vagus.policies.policy import Row, failure_of
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.server.warmup import try_policy, warm_up
from vagus.specs import DepthCameraSpec
from vagus.types import ActionChunk, Observation


class TimedPolicy(CountingPolicy):
    """Takes as many milliseconds as there are rows, ten times as many the first time, by its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.time_ns = 0
        self.rows: list[list[Row[Calls]]] = []

    def now_ns(self) -> int:
        return self.time_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        is_first = not any(len(rows) == len(batch) for rows in self.rows)
        self.rows.append(list(batch))
        self.time_ns += len(batch) * NS_PER_MS * (10 if is_first else 1)
        return super().infer(batch)


def test_every_batch_size_is_run_with_and_without_a_prefix_and_the_first_run_is_not_timed() -> None:
    policy = TimedPolicy()
    rows = warm_up(
        ServedPolicy.of(policy, ServeConfig()), max_batch=3, max_pixels=10_000, runs=2, clock=policy
    )
    assert [(row.batch_size, row.p50_ms, row.max_ms) for row in rows] == [
        (1, 1.0, 1.0),
        (2, 2.0, 2.0),
        (3, 3.0, 3.0),
    ]
    kinds = {(len(batch), batch[0].prefix is None) for batch in policy.rows}
    assert kinds == {(size, is_plain) for size in (1, 2, 3) for is_plain in (True, False)}
    assert all(set(row.observation.images) == {"front"} for batch in policy.rows for row in batch)


def test_a_policy_without_real_time_chunking_is_run_without_a_prefix() -> None:
    policy = TimedPolicy()
    model = ServedPolicy.of(policy, ServeConfig(rtc=False))
    warm_up(model, max_batch=1, max_pixels=10_000, runs=1, clock=policy)
    assert all(row.prefix is None for batch in policy.rows for row in batch)


def test_a_policy_with_depth_is_run_with_a_wall_one_metre_away() -> None:
    class Deep(TimedPolicy):
        spec = dataclasses.replace(
            SPEC,
            depth_cameras=(DepthCameraSpec("deep", 4, 6), DepthCameraSpec("fine", 2, 2, 1_000_000.0)),
        )

    policy = Deep()
    warm_up(ServedPolicy.of(policy, ServeConfig()), max_batch=1, max_pixels=10_000, runs=1, clock=policy)
    seen = [row.observation.depth for batch in policy.rows for row in batch]
    assert {(depth["deep"].shape, *depth["deep"].ravel()[:1].tolist()) for depth in seen} == {((4, 6), 1000)}
    assert {int(np.max(depth["fine"])) for depth in seen} == {65535}


def test_a_policy_that_cannot_answer_its_own_spec_is_refused() -> None:
    class Failing(TimedPolicy):
        def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
            return [PolicyError("out of memory") for _ in batch]

    policy = Failing()
    with pytest.raises(PolicyError, match="out of memory"):
        warm_up(ServedPolicy.of(policy, ServeConfig()), max_batch=1, max_pixels=10_000, runs=1, clock=policy)


def test_a_policy_whose_frames_are_larger_than_allowed_is_refused() -> None:
    class Wide(TimedPolicy):
        spec = dataclasses.replace(SPEC)

    policy = Wide()
    with pytest.raises(ProtocolError, match="pixels"):
        warm_up(ServedPolicy.of(policy, ServeConfig()), max_batch=1, max_pixels=10, runs=1, clock=policy)


STATE = np.array([42.0], np.float32)


def test_a_policy_that_brings_a_sample_is_asked_with_it() -> None:
    class Picky(TimedPolicy):
        def sample(self) -> Observation:
            return Observation(STATE, {"front": np.full((8, 12, 3), 40, np.uint8)}, "", 0)

        def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
            if any(not np.array_equal(row.observation.state, STATE) for row in batch):
                return [PolicyError("a state that no robot has") for _ in batch]
            return super().infer(batch)

    policy = Picky()
    model = ServedPolicy.of(policy, ServeConfig())
    warm_up(model, max_batch=2, max_pixels=10_000, runs=1, clock=policy)
    assert try_policy(model, policy) == ""
    frames = [row.observation.images["front"] for batch in policy.rows for row in batch]
    assert all(frame.shape == (8, 12, 3) and abs(int(frame.mean()) - 40) < 3 for frame in frames)


def test_a_policy_that_refuses_its_own_actions_works_all_the_same() -> None:
    class Refusing(TimedPolicy):
        def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
            return [ActionsRefusedError("out of reach") for _ in batch]

    policy = Refusing()
    model = ServedPolicy.of(policy, ServeConfig())
    assert warm_up(model, max_batch=1, max_pixels=10_000, runs=1, clock=policy)
    assert try_policy(model, policy) == ""


@pytest.mark.parametrize("kind", [PolicyError, ActionsRefusedError])
def test_a_failure_keeps_its_kind_and_nothing_else_of_the_policys(kind: type[PolicyError]) -> None:
    class Own(kind):  # type: ignore[misc,valid-type]
        pass

    assert type(failure_of(Own("no"))) is kind
