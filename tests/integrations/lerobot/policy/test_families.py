"""The registry says for each family how many robots it serves, and why."""

from __future__ import annotations

import pytest

from vagus.integrations.lerobot.policy.families import FAMILIES, UNKNOWN, family_of
from vagus.policies.policy import ServingMode


def test_what_the_documentation_promises_is_shared() -> None:
    shared = {name for name, family in FAMILIES.items() if family.mode is ServingMode.SHARED}
    assert shared == {"act", "smolvla", "pi0", "pi05", "diffusion"}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_says_why(name: str) -> None:
    assert len(FAMILIES[name].reason.split()) > 5


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_what_fills_its_own_queues_is_never_shared(name: str) -> None:
    assert not (FAMILIES[name].has_queues and FAMILIES[name].mode is ServingMode.SHARED)


def test_an_unknown_family_serves_one_robot() -> None:
    assert family_of("of_next_year") is UNKNOWN
    assert UNKNOWN.mode is ServingMode.EXCLUSIVE
