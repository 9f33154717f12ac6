from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.repeats import Repeat, Repeats


def repeats(max_keys: int = 4) -> Repeats[str]:
    return Repeats(interval_ns=10, max_keys=max_keys)


def test_the_first_time_is_told_at_once_and_the_rest_is_counted() -> None:
    told = repeats()
    assert told.note("a", 0) == Repeat(1, is_first=True)
    assert [told.note("a", now_ns) for now_ns in range(1, 10)] == [None] * 9
    assert told.note("a", 10) == Repeat(10, is_first=False)
    assert told.note("a", 11) is None
    assert told.note("b", 11) == Repeat(1, is_first=True)


def test_a_single_event_is_told_without_a_count() -> None:
    assert not Repeat(1, is_first=True).times
    assert Repeat(10, is_first=False).times == " (10 times since it was told last)"


def test_a_few_are_told_one_by_one_where_that_is_wanted() -> None:
    told: Repeats[str] = Repeats(interval_ns=10, max_keys=4, burst=3)
    counts = [0 if (repeat := told.note("a", now_ns)) is None else repeat.count for now_ns in range(22)]
    assert counts == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0, 0, 0, 0, 8, 1]


def test_what_stopped_happening_is_told_in_the_end() -> None:
    told = repeats()
    told.note("a", 0)
    told.note("a", 1)
    told.note("b", 1)
    assert told.overdue(9) == []
    assert told.overdue(10) == [("a", Repeat(1, is_first=False))]
    assert told.overdue(100) == []


def test_a_flood_of_different_things_is_told_no_more_than_so_often() -> None:
    told = repeats(max_keys=4)
    said = [told.note(f"thing {number}", number // 100) for number in range(900)]
    assert sum(repeat is not None for repeat in said) == 4
    assert len(told) == 4
    assert told.note("later", 10) == Repeat(1, is_first=True)
    assert len(told) == 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 15)), max_size=60))
def test_everything_is_told_in_the_end_and_nothing_twice(events: list[tuple[str, int]]) -> None:
    told, now_ns, counts = repeats(), 0, {"a": 0, "b": 0, "c": 0}
    for key, later_ns in events:
        now_ns += later_ns
        repeat = told.note(key, now_ns)
        counts[key] += repeat.count if repeat else 0
    for key, repeat in told.overdue(now_ns + 10):
        counts[key] += repeat.count
    assert counts == {name: sum(key == name for key, _ in events) for name in "abc"}
