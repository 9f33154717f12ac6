from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from edge.rig import EPOCH, HORIZON, S, draft, proposal
from vagus.edge.engine.acceptance import Acceptance
from vagus.edge.handoff import PlanView, Proposal, Source
from vagus.types import MotionState


@dataclass(frozen=True)
class Standing:
    """How the robot stands when a proposal comes up."""

    now_ns: int = 2 * S
    motion: MotionState = MotionState.PLAYING
    epoch: int | None = EPOCH
    episode: int = 0
    step: int = 5
    not_before_ns: int = S - 1

    def why_discarded(self, acceptance: Acceptance, proposal: Proposal) -> str:
        plan = PlanView(self.episode, self.motion, self.not_before_ns)
        return acceptance.why_discarded(proposal, plan, epoch=self.epoch, step=self.step, now_ns=self.now_ns)


STANDING = Standing()
GOOD = proposal(draft(captured_ns=S, step=2), seq=3)


def test_the_slot_is_empty_at_first_and_after_each_take() -> None:
    acceptance = Acceptance(3 * S)
    assert acceptance.take() is None
    acceptance.put(GOOD)
    assert acceptance.take() is GOOD
    assert acceptance.take() is None


def test_the_newest_proposal_wins_the_slot() -> None:
    acceptance = Acceptance(3 * S)
    newer = proposal(draft(captured_ns=S + 1), seq=4)
    acceptance.put(GOOD)
    acceptance.put(newer)
    assert acceptance.take() is newer
    assert acceptance.take() is None


def test_a_good_proposal_may_be_merged() -> None:
    assert STANDING.why_discarded(Acceptance(3 * S), GOOD) == ""


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (replace(STANDING, motion=MotionState.PAUSED), "discarded_paused"),
        (replace(STANDING, motion=MotionState.STOPPED), "discarded_paused"),
        (replace(STANDING, epoch=EPOCH + 1), "discarded_epoch"),
        (replace(STANDING, epoch=None), "discarded_epoch"),
        (replace(STANDING, episode=1), "discarded_episode"),
        (replace(STANDING, not_before_ns=S), "moved_since_capture"),
        (replace(STANDING, step=2 + HORIZON), "too_late"),
        (replace(STANDING, now_ns=4 * S + 1), "stale_chunk"),
    ],
)
def test_each_rule_has_its_counter(standing: Standing, reason: str) -> None:
    assert standing.why_discarded(Acceptance(3 * S), GOOD) == reason


@pytest.mark.parametrize(
    "standing",
    [
        replace(STANDING, motion=MotionState.WAITING),
        replace(STANDING, motion=MotionState.FALLBACK),
        replace(STANDING, step=1 + HORIZON),
        replace(STANDING, now_ns=4 * S),
    ],
)
def test_each_rule_passes_what_just_meets_it(standing: Standing) -> None:
    assert standing.why_discarded(Acceptance(3 * S), GOOD) == ""


@pytest.mark.parametrize(
    ("epoch", "seq", "reason"), [(7, 3, "discarded_superseded"), (7, 4, "discarded_superseded"), (7, 2, "")]
)
def test_nothing_replaces_a_newer_answer_of_the_same_session(epoch: int, seq: int, reason: str) -> None:
    acceptance = Acceptance(3 * S)
    acceptance.accept(Source(epoch, seq, S))
    assert acceptance.merges == 1
    assert STANDING.why_discarded(acceptance, GOOD) == reason


def test_numbers_of_another_session_do_not_compare() -> None:
    acceptance = Acceptance(3 * S)
    acceptance.accept(Source(EPOCH - 1, 99, S))
    assert STANDING.why_discarded(acceptance, GOOD) == ""
