from __future__ import annotations

import numpy as np

from vagus.integrations.rerun.slots import MAX_SLOTS, SlotAllocator
from vagus.viewing.description import ChunkFan


def fan(begin_s: float, end_s: float, outcome: str = "merged") -> ChunkFan:
    times_s = np.array([begin_s, end_s])
    return ChunkFan(1, 1, 0, 0, begin_s, begin_s, times_s, np.zeros((2, 1)), outcome)


def test_chunks_that_overlap_have_slots_of_their_own_and_a_free_one_is_used_again() -> None:
    allocator = SlotAllocator()
    slots = [allocator.slot_for(fan(begin, begin + 2.5)).number for begin in range(6)]
    assert slots == [0, 1, 2, 0, 1, 2]


def test_refused_chunks_have_curves_of_their_own() -> None:
    allocator = SlotAllocator()
    first, second = allocator.slot_for(fan(0, 5)), allocator.slot_for(fan(1, 5, "stale_chunk"))
    assert [(slot.number, slot.is_merged) for slot in (first, second)] == [(0, True), (0, False)]


def test_their_number_is_bounded_and_then_a_chunk_begins_where_its_slot_is_free() -> None:
    allocator = SlotAllocator()
    for k in range(MAX_SLOTS):
        assert allocator.slot_for(fan(0.0, 10.0 + k)).after_s == float("-inf")
    crowded = allocator.slot_for(fan(1.0, 30.0))
    assert (crowded.number, crowded.after_s) == (0, 10.0)
    assert allocator.slot_for(fan(2.0, 30.0)).after_s == 11.0
