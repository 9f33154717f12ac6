"""Frames find out where their action came from, at once or long after."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from vagus.integrations.lerobot.dataset.provenance import (
    COLUMNS,
    FrameShape,
    ProvenanceLog,
    RecordedDataset,
    Row,
    add_columns,
)
from vagus.types import LinkState, MotionState, Provenance

FEATURES: dict[str, dict[str, object]] = {
    "action": {"dtype": "float32", "shape": (1,), "names": ["a.pos"]},
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["a.pos", "b.pos"]},
    "observation.images.eye": {"dtype": "video", "shape": (2, 2, 3), "names": ["h", "w", "c"]},
}


def observation(a: float, picture: NDArray[np.uint8] | None = None) -> dict[str, object]:
    eye = np.zeros((2, 2, 3), dtype=np.uint8) if picture is None else picture
    return {"a.pos": a, "b.pos": 2.0, "eye": eye, "unrelated": 7.0}


def frame_of(seen: dict[str, object]) -> dict[str, object]:
    state = np.array([seen["a.pos"], seen["b.pos"]], dtype=np.float32)
    return {"observation.state": state, "observation.images.eye": seen["eye"], "action": 1, "task": "t"}


def plan(seq: int) -> Provenance:
    return Provenance(99, seq, 0, 30, 4, 25_000_000, LinkState.STREAMING, MotionState.PLAYING)


HOLD = Provenance(None, None, 0, None, None, None, LinkState.DEGRADED, MotionState.FALLBACK)


def values(row: Row) -> list[float]:
    assert [cell.dtype for cell in row.values()] == [np.dtype(kind) for kind in COLUMNS.values()]
    assert all(cell.shape == (1,) for cell in row.values())
    return [cell.item() for cell in row.values()]


def journal(size: int = 8) -> ProvenanceLog:
    return ProvenanceLog(FrameShape(FEATURES), size=size)


def test_a_plan_action_names_session_request_step_index_and_age() -> None:
    book, seen = journal(), observation(1.0)
    book.note(seen, plan(3))
    assert values(book.row(frame_of(seen))) == [99, 3, 30, 4, 25.0, False]


def test_a_hold_is_marked() -> None:
    book, seen = journal(), observation(1.0)
    book.note(seen, HOLD)
    assert values(book.row(frame_of(seen))) == [-1, -1, -1, -1, -1.0, True]


def test_a_frame_of_a_human_is_nobodys() -> None:
    book, seen = journal(), observation(1.0)
    book.note(seen, plan(3))
    assert values(book.row(frame_of(observation(5.0)))) == [-1, -1, -1, -1, -1.0, False]
    book.clear()
    assert values(book.row(frame_of(seen)))[0] == -1


def test_frames_are_recognised_long_after_and_in_any_order() -> None:
    book, seen = journal(), [observation(float(n)) for n in range(5)]
    for number, saw in enumerate(seen):
        book.note(saw, plan(number))
    assert [values(book.row(frame_of(saw)))[1] for saw in reversed(seen)] == [4, 3, 2, 1, 0]


def test_a_robot_that_stands_is_told_apart_by_its_pictures() -> None:
    book = journal()
    first, second = observation(1.0), observation(1.0)
    book.note(first, plan(1))
    book.note(second, plan(2))
    assert [values(book.row(frame_of(saw)))[1] for saw in (first, second)] == [1, 2]


def test_of_two_equal_observations_the_newer_counts() -> None:
    book, picture = journal(), np.zeros((2, 2, 3), dtype=np.uint8)
    book.note(observation(1.0, picture), plan(1))
    book.note(observation(1.0, picture), plan(2))
    assert values(book.row(frame_of(observation(1.0, picture))))[1] == 2


def test_only_so_many_are_remembered() -> None:
    book, seen = journal(size=2), [observation(float(n)) for n in range(3)]
    for saw in seen:
        book.note(saw, plan(1))
    assert [values(book.row(frame_of(saw)))[0] for saw in seen] == [-1, 99, 99]


def test_a_robot_without_state_or_pictures_has_one_fingerprint() -> None:
    book = ProvenanceLog(FrameShape({}), size=2)
    book.note({}, plan(5))
    assert values(book.row({"task": "t"}))[1] == 5


@dataclass
class Meta:
    features: dict[str, dict[str, object]]


@dataclass
class Stock:
    """A dataset as far as it is used."""

    meta: Meta = field(default_factory=lambda: Meta(dict(FEATURES)))
    num_frames: int = 0
    events: list[str] = field(default_factory=list)
    frames: list[dict[str, object]] = field(default_factory=list)

    def add_frame(self, frame: dict[str, object]) -> None:
        self.frames.append(frame)

    def save_episode(self, *args: object, **kwargs: object) -> None:
        self.events.append(f"save{args}{kwargs}")

    def clear_episode_buffer(self, *args: object, **kwargs: object) -> None:
        self.events.append("clear")

    def finalize(self) -> str:
        return "done"

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        return index


def test_columns_are_declared_in_an_empty_dataset_once() -> None:
    stock = Stock()
    assert add_columns(stock)
    assert set(COLUMNS) < set(stock.meta.features)
    assert stock.meta.features["vagus.age_ms"] == {"dtype": "float32", "shape": (1,), "names": None}
    stock.num_frames = 9
    assert add_columns(stock)
    assert stock.events == ["clear"]


def test_a_dataset_with_frames_but_without_columns_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    stock = Stock(num_frames=9)
    with caplog.at_level(logging.WARNING):
        assert not add_columns(stock)
    assert stock.meta.features == FEATURES
    assert "none are recorded" in caplog.text


def test_frames_get_the_columns_and_the_robot_stands_while_an_episode_is_saved() -> None:
    stock, book, seen = Stock(), journal(), observation(1.0)
    book.note(seen, plan(3))
    recorded = RecordedDataset(stock, book, lambda: stock.events.append("halt"), has_columns=True)
    given = frame_of(seen)
    recorded.add_frame(given)
    recorded.save_episode(parallel_encoding=False)
    assert set(stock.frames[0]) == set(given) | set(COLUMNS)
    assert set(given) == set(frame_of(seen))
    assert stock.events == ["halt", "save(){'parallel_encoding': False}"]
    assert recorded.finalize() == "done"  # type: ignore[operator] # what it delegates has no type
    assert (len(recorded), recorded[2]) == (3, 2)


@pytest.mark.parametrize("has_columns", [True, False])
def test_an_episode_does_not_begin_with_standing_still(has_columns: bool) -> None:
    stock, book = Stock(), journal()
    recorded = RecordedDataset(stock, book, lambda: None, has_columns=has_columns)
    for episode in range(2):
        seen = [observation(10.0 * episode + n) for n in range(4)]
        for saw, where in zip(seen, (HOLD, HOLD, plan(1), HOLD), strict=True):
            book.note(saw, where)
            recorded.add_frame(frame_of(saw))
        recorded.save_episode()
        assert len(stock.frames) == 2 * (episode + 1)  # the plan, and the hold after it
        assert ("vagus.fallback" in stock.frames[-1]) == has_columns
    assert stock.events == ["save(){}"] * 2


def test_a_humans_frames_begin_an_episode() -> None:
    stock = Stock()
    RecordedDataset(stock, journal(), lambda: None, has_columns=False).add_frame(frame_of(observation(1.0)))
    assert set(stock.frames[0]) == {"observation.state", "observation.images.eye", "action", "task"}


def test_an_episode_without_a_plan_is_not_saved(caplog: pytest.LogCaptureFixture) -> None:
    stock, book = Stock(), journal()
    recorded = RecordedDataset(stock, book, lambda: stock.events.append("halt"), has_columns=True)
    seen = observation(1.0)
    book.note(seen, HOLD)
    recorded.add_frame(frame_of(seen))
    recorded.save_episode()
    assert (stock.events, stock.frames) == (["halt"], [])
    assert "never had a plan" in caplog.text
    recorded.clear_episode_buffer()
    book.note(observation(2.0), plan(1))
    recorded.add_frame(frame_of(observation(2.0)))
    recorded.save_episode()
    assert stock.events[1:] == ["clear", "halt", "save(){}"]


def test_an_episode_that_is_begun_again_does_not_begin_with_standing_still() -> None:
    stock, book, seen = Stock(), journal(), [observation(1.0), observation(2.0)]
    recorded = RecordedDataset(stock, book, lambda: None, has_columns=False)
    for saw, where in zip(seen, (plan(1), HOLD), strict=True):
        book.note(saw, where)
        recorded.add_frame(frame_of(saw))
    recorded.clear_episode_buffer()
    recorded.add_frame(frame_of(seen[1]))
    assert len(stock.frames) == 2
