"""The policy as this server offers it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from server.raw_client import SPEC, CountingPolicy
from vagus.errors import ConfigError, PolicyError
from vagus.policies.declare import SpecTable
from vagus.policies.policy import ServingMode
from vagus.server.config import ServeConfig, ServingChoice
from vagus.server.model import Model, check_result, load_model
from vagus.types import ActionChunk


def model(**changes: object) -> Model[list[int]]:
    config = dataclasses.replace(ServeConfig(), **changes)  # type: ignore[arg-type]
    return Model.of(CountingPolicy(), config)


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
    assert Model.of(Exclusive(), ServeConfig()).is_exclusive


def test_a_family_without_chunks_and_a_pin_without_a_task_are_refused() -> None:
    class Refused(CountingPolicy):
        serving_mode = ServingMode.REFUSED

    class Mute(CountingPolicy):
        spec = dataclasses.replace(SPEC, default_instruction="")

    with pytest.raises(ConfigError, match="chunks"):
        Model.of(Refused(), ServeConfig())
    with pytest.raises(ConfigError, match="pin_task"):
        Model.of(Mute(), ServeConfig(pin_task=True))
    assert Model.of(Mute(), ServeConfig(pin_task=True, default_task="x")).spec.default_instruction == "x"


def test_a_good_chunk_passes_untouched() -> None:
    good = chunk()
    assert check_result(good, SPEC, 3) is good


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
        (dataclasses.replace(chunk(), robot=np.zeros((2, 2), np.int64)), "int64"),
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
