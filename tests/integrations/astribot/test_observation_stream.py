"""The newest observation is given out, with the number of those that it overtook."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from vagus.integrations.astribot.observation_stream import ObservationStream, StreamTurn

LONG_S = 30.0


def test_what_comes_one_by_one_is_given_one_by_one() -> None:
    stream = ObservationStream()
    for message in (b"1", b"2"):
        stream.put(message)
        assert stream.take(LONG_S) == StreamTurn(0, message)
    assert stream.take(0.0) is None


def test_the_newest_is_given_and_the_others_are_counted() -> None:
    stream = ObservationStream()
    for number in range(1000):
        stream.put(b"%d" % number)
    assert stream.take(LONG_S) == StreamTurn(999, b"999")


@given(st.lists(st.booleans(), max_size=50))
def test_each_observation_is_given_or_counted_once(takes: list[bool]) -> None:
    stream = ObservationStream()
    seen = put = 0
    for is_taken in [*takes, True]:
        if is_taken:
            turn = stream.take(0.0)
            seen += 0 if turn is None else turn.overtaken + 1
        else:
            stream.put(b"x")
            put += 1
    assert seen == put


def test_what_waits_at_the_end_is_still_given() -> None:
    stream = ObservationStream()
    stream.put(b"last")
    stream.end()
    stream.end()
    assert stream.take(LONG_S) == StreamTurn(0, b"last")
    assert stream.take(LONG_S) is None
    assert not stream.is_cut(0.0)


def test_a_cut_wakes_whoever_waits() -> None:
    stream = ObservationStream()
    taken: list[StreamTurn | None] = []
    waiting = threading.Thread(target=lambda: taken.append(stream.take(LONG_S)))
    waiting.start()
    stream.cut()
    waiting.join(LONG_S)
    assert taken == [None]
    assert stream.is_cut(LONG_S)
