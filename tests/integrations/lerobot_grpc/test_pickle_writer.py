from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_pickles import golden, pickled
from vagus.errors import SpecError
from vagus.integrations.lerobot_grpc.messages import (
    HelpersModule,
    RemotePolicyConfig,
    RobotFeature,
    TimedAction,
    TimedObservation,
)
from vagus.integrations.lerobot_grpc.pickle_reader import read_actions, read_observation, read_policy_config
from vagus.integrations.lerobot_grpc.pickle_writer import (
    write_actions,
    write_observation,
    write_policy_config,
)

NEW = HelpersModule.SINCE_0_4
NUMBERS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


def actions_of(rows: np.ndarray) -> list[TimedAction]:
    return [TimedAction(10.0 + at, 5 + at, row) for at, row in enumerate(rows)]


def test_a_setup_and_an_observation_have_the_bytes_of_a_real_client() -> None:
    setup, observation = golden("policy_setup.pickle.bin"), golden("observation.pickle.bin")
    assert write_policy_config(read_policy_config(setup)) == setup
    assert write_observation(read_observation(observation)) == observation


@pytest.mark.parametrize("name", ["actions.pickle.bin", "actions_torchfree.pickle.bin"])
def test_the_actions_of_a_real_server_mean_the_same_in_fewer_bytes(name: str) -> None:
    sent = golden(name)
    written = write_actions(read_actions(sent), NEW)
    assert len(written) < len(sent)
    for one, two in zip(read_actions(sent), read_actions(written), strict=True):
        assert (one.timestamp_s, one.timestep) == (two.timestamp_s, two.timestep)
        np.testing.assert_array_equal(one.action, two.action)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="another module name in numpy 1")
@pytest.mark.parametrize("count", [0, 1, 2, 300, 999, 1001, 2500])
@pytest.mark.parametrize("side", [3, 40, 300])
def test_an_observation_of_any_size_has_the_bytes_of_pickle(count: int, side: int) -> None:
    values: dict[str, object] = {sys.intern(f"motor_{at}.pos"): at * 0.5 for at in range(count)}
    values |= {"front": np.ones((side, side, 3), np.uint8), "wrist": np.zeros((side, side, 3), np.uint8)}
    values |= {
        "touch": np.arange(5.0),
        "task": "x" * 300,
        "count": 70_000,
        "minus": -1,
        "long": -(2**40),
        "longest": -(2**63),
    }
    fields = {"timestamp": 1.5, "timestep": 300, "observation": values, "must_go": False}
    written = write_observation(TimedObservation(1.5, 300, values, must_go=False))  # type: ignore[arg-type]
    assert written == pickled("TimedObservation", fields)


@given(
    st.dictionaries(st.text(max_size=60), NUMBERS | st.text(max_size=300), max_size=30),
    st.integers(0, 2**62),
    st.booleans(),
    st.sampled_from(HelpersModule),
)
def test_any_observation_comes_back(
    values: dict[str, bool | int | float | str], step: int, must_go: bool, module: HelpersModule
) -> None:
    read = read_observation(write_observation(TimedObservation(0.25, step, values, must_go, module)))
    assert (read.timestep, read.must_go, read.module) == (step, must_go, module)
    assert repr(dict(read.observation)) == repr(values)


@given(
    st.text(max_size=300),
    st.lists(st.text(max_size=20), max_size=40),
    st.lists(st.integers(0, 2**40), max_size=6),
    st.none() | st.dictionaries(st.text(max_size=9), NUMBERS | st.none() | st.text(max_size=9), max_size=4),
    st.none() | st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4),
)
def test_any_setup_comes_back(
    word: str,
    names: list[str],
    shape: list[int],
    info: dict[str, bool | int | float | str | None] | None,
    renames: dict[str, str] | None,
) -> None:
    feature = RobotFeature(word, tuple(shape), tuple(names), info)
    config = RemotePolicyConfig(word, word[::-1], {"a": feature, "b": feature}, 50, "cuda", renames)
    assert read_policy_config(write_policy_config(config)) == config


@given(st.integers(1, 300), st.integers(1, 40), st.sampled_from(HelpersModule))
def test_any_chunk_comes_back(horizon: int, dim: int, module: HelpersModule) -> None:
    rows = np.arange(horizon * dim, dtype=np.float32).reshape(horizon, dim)
    written = write_actions(actions_of(rows), module)
    assert written == write_actions(actions_of(rows.copy()), module)
    read = read_actions(written)
    np.testing.assert_array_equal(np.stack([action.action for action in read]), rows)
    assert [action.timestep for action in read] == list(range(5, 5 + horizon))
    assert [action.timestamp_s for action in read] == [10.0 + at for at in range(horizon)]
    assert module.value.encode() in written


def test_a_chunk_grows_with_its_numbers_only() -> None:
    rows = np.zeros((50, 6), np.float32)
    assert len(write_actions(actions_of(rows), NEW)) < 5000  # a policy server sends 75,905 bytes


def test_a_frame_says_its_length() -> None:
    written = write_actions(actions_of(np.zeros((900, 60), np.float32)), NEW)
    assert written[2] == 0x95
    assert struct.unpack("<Q", written[3:11])[0] < len(written)
    assert len(read_actions(written)) == 900


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [np.zeros(2, np.float64)],
        [np.zeros((1, 2), np.float32)],
        [np.zeros(2, np.float32), np.zeros(3, np.float32)],
    ],
)
def test_what_is_no_chunk_is_refused(rows: list[np.ndarray]) -> None:
    with pytest.raises(SpecError, match="float32"):
        write_actions([TimedAction(0.0, 0, row) for row in rows], NEW)


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.zeros(1, complex), np.array([None]), np.zeros(1, "f4,i4")]
)
def test_an_array_of_other_things_is_not_written(array: np.ndarray) -> None:
    with pytest.raises(SpecError, match="booleans, integers or floats"):
        write_observation(TimedObservation(0.0, 0, {"x": array}, must_go=True))
