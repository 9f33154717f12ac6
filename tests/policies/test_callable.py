"""Your own policy by import path."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from vagus.errors import ConfigError, PolicyError
from vagus.policies.callable import called, load_callable, policy_of
from vagus.policies.declare import SpecTable, policy
from vagus.policies.policy import BringsSample, CountsEvents, CountsForwards, Row, ServingMode, SplitsBatches
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy
from vagus.types import ActionChunk, Observation

FUNCTION = """
    import numpy as np
    from vagus.policies.declare import policy

    @policy(actions={"x": "m"}, state={"x": "m"}, horizon=4, rate_hz=10, shared=True)
    def act(observation):
        return np.repeat(observation.state[None], 4, axis=0)

    @policy(actions={"x": "m"}, state={"x": "m"}, horizon=4, rate_hz=10)
    def count(observation, row):
        row.session["n"] = row.session.get("n", 0) + 1
        if observation.state[0] < 0:
            raise RuntimeError("no such place")
        return [[row.session["n"]]]

    def plain(observation):
        return [[1.0]]

    number = 7
"""

CLASSES = """
    from vagus.policies.declare import SpecTable, policy

    class Short:
        version = "2"
        spec = SpecTable(actions={"x": "m"}).to_spec()
        def __init__(self, gain=1):
            self.gain = gain
        def infer(self, batch):
            return [self.gain for _ in batch]

    class Full(Short):
        model_hash = "mine"
        closed = False
        def open_session(self):
            return ["open"]
        def begin_episode(self, session):
            session.append("begin")
        def close(self):
            type(self).closed = True

    class Broken:
        def __init__(self):
            raise ValueError("no weights here")
"""


def write(tmp_path: Path, source: str, name: str = "user_policy") -> str:
    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    return str(path)


def row(session: object, state: float) -> Row[object]:
    observation = Observation(np.array([state], np.float32), {}, "go", 0)
    return Row(session, observation, 5, None, 0, 0, 1)


def test_a_declared_function_answers_every_row(tmp_path: Path) -> None:
    loaded = load_callable(f"{write(tmp_path, FUNCTION)}:act")
    chunk = loaded.infer([row(loaded.open_session(), 0.5)])[0]
    assert isinstance(chunk, ActionChunk)
    assert chunk.step == 5
    np.testing.assert_array_equal(chunk.robot, np.full((4, 1), 0.5, np.float32))
    assert loaded.serving_mode is ServingMode.SHARED
    loaded.close()


def test_a_function_with_a_row_keeps_state_per_robot_and_a_row_that_raises_fails_alone(
    tmp_path: Path,
) -> None:
    loaded = load_callable(f"{write(tmp_path, FUNCTION)}:count")
    first, second = loaded.open_session(), loaded.open_session()
    loaded.infer([row(first, 0.0)])
    results = loaded.infer([row(first, 0.0), row(second, -1.0), row(second, 0.0)])
    values = [float(r.robot[0, 0]) if isinstance(r, ActionChunk) else str(r) for r in results]
    assert values == [2.0, "RuntimeError: no such place", 2.0]
    assert isinstance(results[1], PolicyError)
    loaded.begin_episode(first)
    again = loaded.infer([row(first, 0.0)])[0]
    assert isinstance(again, ActionChunk)
    assert again.robot[0, 0] == 1.0
    assert loaded.serving_mode is ServingMode.EXCLUSIVE


def test_a_plain_function_needs_a_spec_and_is_taken_with_one(tmp_path: Path) -> None:
    target = f"{write(tmp_path, FUNCTION)}:plain"
    with pytest.raises(ConfigError, match="@policy"):
        load_callable(target)
    loaded = load_callable(target, spec=SpecTable(actions={"x": "m"}, horizon=3).to_spec())
    assert loaded.spec.horizon == 3
    assert loaded.serving_mode is ServingMode.EXCLUSIVE


def test_a_spec_of_the_operator_wins_over_that_of_the_function(tmp_path: Path) -> None:
    spec = SpecTable(actions={"x": "mm"}, horizon=4).to_spec()
    loaded = load_callable(f"{write(tmp_path, FUNCTION)}:act", spec=spec)
    assert loaded.spec.actions[0].unit == "mm"
    assert loaded.serving_mode is ServingMode.SHARED


def test_a_module_is_found_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FUNCTION, name="user_policy_on_path")
    monkeypatch.chdir(tmp_path)
    assert load_callable("user_policy_on_path:act").spec.horizon == 4


def test_a_class_with_spec_and_infer_gets_defaults_for_the_rest(tmp_path: Path) -> None:
    loaded = load_callable(f"{write(tmp_path, CLASSES)}:Short", options={"gain": 3})
    assert loaded.infer([row({}, 0.0)]) == [3]  # type: ignore[comparison-overlap]
    session = loaded.open_session()
    assert session == {}
    assert isinstance(session, dict)
    session["old"] = 1
    loaded.begin_episode(session)
    assert session == {}
    loaded.begin_episode(None)
    assert loaded.serving_mode is ServingMode.EXCLUSIVE
    assert len(loaded.model_hash) == 64
    loaded.close()


def test_a_class_keeps_what_it_has_itself(tmp_path: Path) -> None:
    loaded = load_callable(f"{write(tmp_path, CLASSES)}:Full")
    session = loaded.open_session()
    loaded.begin_episode(session)
    loaded.close()
    assert session == ["open", "begin"]
    assert loaded.model_hash == "mine"


def test_the_model_hash_covers_source_version_and_options(tmp_path: Path) -> None:
    target = write(tmp_path, CLASSES)
    first = load_callable(f"{target}:Short").model_hash
    assert load_callable(f"{target}:Short").model_hash == first
    assert load_callable(f"{target}:Short", options={"gain": 2}).model_hash != first
    write(tmp_path, CLASSES.replace('version = "2"', 'version = "3"'))
    assert load_callable(f"{target}:Short").model_hash != first


@pytest.mark.parametrize(
    ("name", "says"),
    [("missing", r"\['act', 'count', 'plain', 'policy'\]"), ("number", "int")],
)
def test_a_name_that_is_no_policy_says_what_there_is(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_callable(f"{write(tmp_path, FUNCTION)}:{name}")


@pytest.mark.parametrize("target", ["nowhere", ":act", "no_such_module_anywhere:act", "missing.py:act"])
def test_a_path_that_leads_nowhere_is_refused(target: str) -> None:
    with pytest.raises(ConfigError):
        load_callable(target)


def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_callable(f"{write(tmp_path, '1 / 0', name='user_policy_broken')}:act")


def test_a_class_that_cannot_be_made_says_why_and_a_function_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no weights here"):
        load_callable(f"{write(tmp_path, CLASSES)}:Broken")
    with pytest.raises(ConfigError, match="no options"):
        load_callable(f"{write(tmp_path, FUNCTION)}:act", options={"gain": 1})


def test_why_a_policy_of_your_own_serves_one_robot_is_said_with_what_to_do(tmp_path: Path) -> None:
    functions, classes = tmp_path / "functions.py", tmp_path / "classes.py"
    functions.write_text(textwrap.dedent(FUNCTION))
    classes.write_text(textwrap.dedent(CLASSES))
    for target, advice in ((f"{functions}:count", "shared=True"), (f"{classes}:Short", "ServingMode.SHARED")):
        model = ServedPolicy.of(load_callable(target), ServeConfig(policy="x"))
        assert advice in model.exclusive_because
    assert ServedPolicy.of(load_callable(f"{functions}:act"), ServeConfig(policy="x")).exclusive_because == ""


class Keyed:
    """A class with a key of its own, whose batches are arrays."""

    def infer(self, batch: Sequence[Row[object]]) -> list[object]:
        return [row.observation.state[None] if row.observation.state[0] >= 0 else "far" for row in batch]

    def batch_key(self, observation: Observation) -> str:
        return observation.instruction

    def forward_rows(self) -> list[int]:
        return [2, 0]


DECLARE = policy(actions={"x": "m"}, state={"x": "m"}, horizon=4, rate_hz=10, version="1", shared=True)


def test_a_declared_class_answers_with_arrays_and_says_what_may_share_a_batch() -> None:
    made = policy_of(DECLARE(Keyed))
    assert made.serving_mode is ServingMode.SHARED
    assert isinstance(made, SplitsBatches)
    assert made.batch_key(row({}, 1.0).observation) == "go"
    assert isinstance(made, CountsForwards)
    assert made.forward_rows() == [2, 0]
    assert not isinstance(policy_of(DECLARE(lambda observation: [[1.0]])), SplitsBatches)
    good, bad = made.infer([row({}, 1.0), row({}, -1.0)])
    assert isinstance(good, ActionChunk)
    assert (good.step, good.robot.tolist()) == (5, [[1.0]])
    assert isinstance(bad, PolicyError)
    assert "could not convert string" in str(bad)


def test_a_function_sees_one_row_at_a_time_and_says_so() -> None:
    made = policy_of(DECLARE(lambda observation: [[1.0]]))
    made.infer([row({}, 1.0), row({}, 2.0)])
    assert isinstance(made, CountsForwards)
    assert made.forward_rows() == [1, 1]


class Picky(Keyed):
    """Brings the observation of its warm-up, and counts."""

    def sample(self) -> Observation:
        return Observation(np.ones(1, np.float32), {}, "go", 0)

    def count_with(self, count: Callable[[str], None]) -> None:
        count("far")


def test_a_class_may_bring_the_observation_of_its_warm_up_and_count_its_own_events() -> None:
    plain, picky = policy_of(DECLARE(Keyed)), policy_of(DECLARE(Picky))
    assert not isinstance(plain, BringsSample | CountsEvents)
    assert isinstance(picky, BringsSample)
    assert picky.sample().instruction == "go"
    assert isinstance(picky, CountsEvents)
    counted: list[str] = []
    picky.count_with(counted.append)
    assert counted == ["far"]


def test_code_that_stands_in_no_file_has_an_identity_of_its_own_unless_it_has_a_version(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As in a notebook."""
    space: dict[str, Callable[..., object]] = {"__name__": "no_such_module"}  # type: ignore[dict-item]
    exec("def act(observation): return [[1.0]]", space)  # noqa: S102 - that is what a notebook does
    plain = policy(actions={"x": "m"}, state={"x": "m"}, horizon=1, rate_hz=10, weights_files=[])
    act = plain(space["act"])
    assert policy_of(act).model_hash != policy_of(act).model_hash
    assert "policy 'act': its code, which stands in no file, is not known" in caplog.text
    versioned = DECLARE(act)
    assert policy_of(versioned).model_hash == policy_of(versioned).model_hash


def test_a_policy_is_called_as_its_function_or_its_class() -> None:
    assert called(Keyed) == called(Keyed()) == "Keyed"
    assert called(functools.partial(functools.partial(row, 1), 2)) == "row"
