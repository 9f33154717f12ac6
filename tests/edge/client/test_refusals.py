from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.rig import S
from vagus.edge.client.refusals import MAX_KINDS, OTHER_WORDS, Refusals


def test_the_words_of_the_server_are_told_once_and_counted() -> None:
    said = Refusals()
    for second in range(10):
        said.note("policy_error", f"RuntimeError: CUDA error {second}", second * S)
    assert said.take() == ["policy_error: RuntimeError: CUDA error 0"]
    assert said.take() == []
    said.note("policy_error", "RuntimeError: CUDA error 99", 10 * S)
    assert said.take() == ["policy_error: RuntimeError: CUDA error 99 (10 times since)"]
    assert [str(refusal) for refusal in said.all] == ['policy_error ×11: "RuntimeError: CUDA error 0"']


def test_the_newest_refusal_counts_until_a_chunk_is_merged() -> None:
    said = Refusals()
    assert said.newest == ""
    said.note("overloaded", "too many", 0)
    said.note("rejected_shape", "", 0)
    assert said.newest == "rejected_shape"
    said.merged()
    assert said.newest == ""
    assert [refusal.count for refusal in said.all] == [1, 1]


def test_text_of_a_stranger_is_bounded_and_escaped() -> None:
    said = Refusals()
    said.note("policy_error", "\x1b[2J\n" + "x" * 10**6, 0)
    (line,) = said.take()
    assert line.isprintable()
    assert len(line) < 400
    assert "\\x1b[2J\\n" in said.all[0].text


@given(st.lists(st.tuples(st.sampled_from(["policy_error", "overloaded"]), st.text(max_size=5)), max_size=80))
def test_whatever_a_server_says_the_room_for_it_is_bounded_and_nothing_is_lost(
    said: list[tuple[str, str]],
) -> None:
    refusals = Refusals()
    for code, text in said:
        refusals.note(code, text, 0)
    assert sum(refusal.count for refusal in refusals.all) == len(said)
    assert len(refusals.all) <= MAX_KINDS + 2
    assert len(refusals.take()) <= MAX_KINDS


def test_what_is_too_much_is_counted_together() -> None:
    said = Refusals()
    for number in range(MAX_KINDS + 5):
        said.note("policy_error", "x" * (number + 1), 0)
    assert (said.all[-1].text, said.all[-1].count) == (OTHER_WORDS, 5)
