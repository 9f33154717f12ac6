"""The policy as this server offers it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import pytest

from server.raw_client import SPEC, CountingPolicy
from vagus.errors import ConfigError, PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import Policy, Row, ServingMode
from vagus.server.config import ServeConfig, ServingChoice
from vagus.server.served_policy import ServedPolicy, check_result, infer_rows, load_model
from vagus.types import ActionChunk, Observation


def model(**changes: object) -> ServedPolicy[list[int]]:
    config = dataclasses.replace(ServeConfig(), **changes)  # type: ignore[arg-type]
    return ServedPolicy.of(CountingPolicy(), config)


def chunk(*, step: int = 3, length: int = 2) -> ActionChunk:
    return ActionChunk(step, np.zeros((length, 2), np.float32), np.zeros((length, 2), np.float32))


def test_the_operators_settings_win_over_the_policys() -> None:
    spec = model(
        trained_rate_hz=20.0,
        default_task="other",
        rtc_prefix_horizon=1,
        rtc_schedule="ones",
        rtc_max_guidance=2.0,
    ).spec
    assert (spec.rate_hz, spec.default_instruction) == (20.0, "other")
    assert spec.rtc is not None
    assert (spec.rtc.prefix_horizon, spec.rtc.schedule, spec.rtc.max_guidance) == (1, "ones", 2.0)
    assert model(rtc=False).spec.rtc is None
    assert model().spec == SPEC


def test_the_identity_changes_with_all_that_changes_outputs_and_with_nothing_else() -> None:
    same = model().model_hash
    assert model(max_sessions=3, server_name="x", service_name="y", trained_rate_hz=20.0).model_hash == same
    changes: list[dict[str, object]] = [
        {"dtype": "bf16"},
        {"rtc_schedule": "ones"},
        {"rtc_prefix_horizon": 1},
        {"rtc": False},
        {"default_task": "x"},
    ]
    hashes = {model(**change).model_hash for change in changes}
    assert len(hashes | {same}) == 6


def test_the_family_or_the_operator_makes_it_exclusive() -> None:
    class Exclusive(CountingPolicy):
        serving_mode = ServingMode.EXCLUSIVE

    assert not model().is_exclusive
    assert model(serving_mode=ServingChoice.EXCLUSIVE).is_exclusive
    assert ServedPolicy.of(Exclusive(), ServeConfig()).is_exclusive


def test_a_family_without_chunks_and_a_pin_without_a_task_are_refused() -> None:
    class Refused(CountingPolicy):
        serving_mode = ServingMode.REFUSED

    class Mute(CountingPolicy):
        spec = dataclasses.replace(SPEC, default_instruction="")

    with pytest.raises(ConfigError, match="chunks"):
        ServedPolicy.of(Refused(), ServeConfig())
    with pytest.raises(ConfigError, match="pin_task"):
        ServedPolicy.of(Mute(), ServeConfig(pin_task=True))
    assert (
        ServedPolicy.of(Mute(), ServeConfig(pin_task=True, default_task="x")).spec.default_instruction == "x"
    )


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, np.float64, np.longdouble, np.int64, np.uint8, np.bool_]
)
def test_numbers_of_any_kind_become_what_robots_read(kind: type[np.generic]) -> None:
    numbers = np.array([[0, 1], [1, 0]], kind)
    checked = check_result(ActionChunk(3, numbers, numbers), SPEC, 3)
    assert isinstance(checked, ActionChunk)
    for actions in (checked.model, checked.robot):
        assert actions.dtype == np.float32
        np.testing.assert_array_equal(actions, [[0.0, 1.0], [1.0, 0.0]])


def test_nothing_of_the_policys_own_making_is_passed_on() -> None:
    class OwnArray(np.ndarray):
        pass

    class OwnChunk(ActionChunk):
        pass

    own = np.zeros((2, 2), np.float32).view(OwnArray)
    checked = check_result(OwnChunk(3, own, own), SPEC, 3)
    assert type(checked) is ActionChunk
    assert type(checked.robot) is np.ndarray


class MuteError(PolicyError):
    def __str__(self) -> str:
        raise asyncio.CancelledError


class Trap:
    """Raises whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> object:
        raise object.__getattribute__(self, "error")

    def __repr__(self) -> str:
        raise object.__getattribute__(self, "error")


TRAPS: tuple[BaseException, ...] = (
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
    asyncio.CancelledError(),
    MemoryError(),
    StopIteration(1),
    RecursionError(),
    RuntimeError("\ud800" * 2_000_000),
    MuteError("x"),
)


@pytest.mark.parametrize("error", TRAPS, ids=lambda error: type(error).__name__)
def test_whatever_a_result_is_made_of_it_becomes_an_error_that_can_travel(error: BaseException) -> None:
    results: list[object] = [
        error,
        Trap(error),
        ActionChunk(Trap(error), np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)),  # type: ignore[arg-type]
        dataclasses.replace(chunk(), robot=Trap(error)),  # type: ignore[arg-type]
        dataclasses.replace(chunk(), robot=np.full((2, 2), None, object)),
    ]
    for result in results:
        checked = check_result(result, SPEC, 3)
        assert type(checked) is PolicyError
        assert len(str(checked).encode()) < 5000


@pytest.mark.parametrize("error", TRAPS, ids=lambda error: type(error).__name__)
def test_whatever_a_policy_raises_its_rows_fail_and_nothing_else(error: BaseException) -> None:
    class Raising(CountingPolicy):
        def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
            raise error

    class Yielding(CountingPolicy):
        def infer(self, batch: Sequence[Row[list[int]]]) -> Iterator[ActionChunk]:  # type: ignore[override]
            yield chunk()
            raise error

    for policy in (Raising(), Yielding()):
        failure = infer_rows(cast("Policy[list[int]]", policy), SPEC, [])
        assert type(failure) is PolicyError
        assert len(str(failure).encode()) < 5000


def row(step: int) -> Row[list[int]]:
    seen = Observation(np.zeros(2, np.float32), {}, "", 0)
    return Row([], seen, step, None, inference_delay=0, prefix_horizon=0, seed=0)


def test_one_buffer_for_all_rows_gives_no_robot_the_actions_of_another() -> None:
    buffer = np.zeros((2, 2), np.float32)

    class Reusing(CountingPolicy):
        def infer(self, batch: Sequence[Row[list[int]]]) -> Iterator[ActionChunk]:  # type: ignore[override]
            for one in batch:
                buffer[:] = one.step
                yield ActionChunk(one.step, buffer, buffer)

    results = infer_rows(cast("Policy[list[int]]", Reusing()), SPEC, [row(3), row(7)])
    buffer[:] = 99.0  # as it will be with the next batch
    assert isinstance(results, list)
    assert [np.unique(result.robot).tolist() for result in results if isinstance(result, ActionChunk)] == [
        [3.0],
        [7.0],
    ]


def test_a_policy_that_empties_its_batch_empties_its_own() -> None:
    class Greedy(CountingPolicy):
        def infer(self, batch: Sequence[Row[list[int]]]) -> list[ActionChunk | PolicyError]:
            own = cast("list[Row[list[int]]]", batch)
            return [chunk(step=own.pop(0).step) for _ in range(len(own))]

    results = infer_rows(cast("Policy[list[int]]", Greedy()), SPEC, [row(3), row(7)])
    assert isinstance(results, list)
    assert [result.step for result in results if isinstance(result, ActionChunk)] == [3, 7]


def test_results_without_end_are_not_waited_for() -> None:
    class Endless(CountingPolicy):
        def infer(self, batch: Sequence[Row[list[int]]]) -> Iterator[ActionChunk]:  # type: ignore[override]
            return itertools.repeat(chunk())

    assert "more results for 0 rows" in str(infer_rows(cast("Policy[list[int]]", Endless()), SPEC, []))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (PolicyError("own words"), "own words"),
        (None, "NoneType"),
        (chunk(step=4), "step 4"),
        (chunk(length=0), "shape"),
        (chunk(length=5), "shape"),
        (dataclasses.replace(chunk(), robot=np.zeros((2, 3), np.float32)), "shape"),
        (dataclasses.replace(chunk(), robot=np.zeros(2, np.float32)), "shape"),
        (dataclasses.replace(chunk(), robot=np.zeros((1, 2), np.float32)), "model space"),
        (dataclasses.replace(chunk(), robot=np.full((2, 2), np.inf, np.float32)), "NaN or infinity"),
        (dataclasses.replace(chunk(), model=np.full((2, 2), np.nan, np.float32)), "model"),
        (dataclasses.replace(chunk(), robot=np.zeros((2, 2), np.complex64)), "complex64"),
        (dataclasses.replace(chunk(), robot=np.full((2, 2), 1e39)), "beyond"),
        (dataclasses.replace(chunk(), robot=[[0.0, 0.0]]), "list"),  # type: ignore[arg-type]
    ],
)
def test_a_result_that_must_not_be_commanded_becomes_an_error(result: object, says: str) -> None:
    checked = check_result(result, SPEC, 3)
    assert isinstance(checked, PolicyError)
    assert says in str(checked)


def test_a_model_is_loaded_by_its_name_in_the_settings(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="reach"):
        load_model(ServeConfig(policy="no_such_policy"))
    config = ServeConfig(policy="json:loads", spec=SpecTable(actions={"x": "m"}))
    assert load_model(config).spec.actions[0].name == "x"
