"""What the recorded policy said about the steps of a request that was never made."""

from __future__ import annotations

import dataclasses

import numpy as np

from replay.recordings import chunk, knot
from vagus.replay.answers import RecordedAnswers


def test_a_recorded_request_has_its_own_chunk() -> None:
    answer = RecordedAnswers([chunk(0, 0), chunk(0, 3)], horizon=4).answer(0, 3)
    assert answer is not None
    assert answer.is_recorded
    assert answer.latency_ns == 10
    np.testing.assert_array_equal(answer.robot, chunk(0, 3).robot)


def test_another_request_has_the_rest_of_the_chunk_before_it_and_then_those_after() -> None:
    chunks = [chunk(0, 0), chunk(0, 3), chunk(0, 6)]
    chunks[1] = dataclasses.replace(chunks[1], robot=chunks[1].robot + 100)
    answer = RecordedAnswers(chunks, horizon=6).answer(0, 1)
    assert answer is not None
    assert not answer.is_recorded
    wanted = [knot(1)[0], knot(2)[0], knot(3)[0], knot(4)[0] + 100, knot(5)[0] + 100, knot(6)[0] + 100]
    np.testing.assert_allclose(answer.robot[:, 0], wanted, rtol=1e-6)
    assert len(answer.model) == 6


def test_an_answer_ends_where_nothing_was_said_and_there_is_none_beyond() -> None:
    answers = RecordedAnswers([chunk(0, 0), chunk(0, 9)], horizon=50)
    short = answers.answer(0, 2)
    assert short is not None
    assert len(short.robot) == 2
    assert answers.answer(0, 5) is None
    assert answers.answer(1, 0) is None
    assert RecordedAnswers([chunk(0, 3)], horizon=4).answer(0, 2) is None


def test_a_chunk_that_was_merged_wins_over_one_that_was_refused() -> None:
    refused = dataclasses.replace(chunk(0, 0), outcome="too_late", robot=chunk(0, 0).robot + 7)
    for chunks in ([refused, chunk(0, 0)], [chunk(0, 0), refused]):
        answer = RecordedAnswers(chunks, horizon=4).answer(0, 0)
        assert answer is not None
        np.testing.assert_array_equal(answer.robot, chunk(0, 0).robot)
