"""Whatever bytes come, a decoder answers or raises ProtocolError, in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import EDIT_KINDS, INTERESTING, TARGETS, Edit, Target, check, mutate, traced, warm_up

shares = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(EDIT_KINDS),
        at=shares,
        until=shares,
        insert=st.sampled_from(INTERESTING) | st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """What the first run of a decoder imports counts for no input."""
    warm_up(TARGETS)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@given(payload=st.binary(max_size=400))
def test_random_bytes_harm_no_decoder(target: Target, payload: bytes) -> None:
    with traced():
        assert check(target, payload) is None


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@given(changes=edits, data=st.data())
def test_damaged_messages_harm_no_decoder(target: Target, changes: list[Edit], data: st.DataObject) -> None:
    seed, other = data.draw(st.sampled_from(target.seeds)), data.draw(st.sampled_from(target.seeds))
    with traced():
        assert check(target, mutate(seed, changes, other)) is None


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_seeds_are_valid(target: Target) -> None:
    if target.name.endswith("key"):  # each of the two reads some of the names
        return
    for seed in target.seeds:
        target.run(seed)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_truncation_harms_no_decoder(target: Target) -> None:
    cuts = [seed[:size] for seed in target.seeds for size in range(0, len(seed), max(1, len(seed) // 200))]
    with traced():
        assert [cut for cut in cuts if check(target, cut) is not None] == []
