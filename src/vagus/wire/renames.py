"""Proposals for a rename map: which name of the robot could mean which name of the policy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["rename_advice", "suggest_renames"]

MIN_LIKENESS = 0.4
"""Smallest likeness of two names that may mean the same ("left_cam" and "left_camera": 0.76)."""
MAX_COMPARED = 64
MAX_COMPARED_LENGTH = 64


def suggest_renames(missing: Sequence[str], spare: Sequence[str]) -> dict[str, str]:
    """Return a likely map from unmatched names of the robot to missing names of the policy.

    The names with the nearest spelling are paired first. If each side has one name, these two are paired
    whatever they are. Only the first `MAX_COMPARED` names of each side and the first characters of a name are
    compared, so that a request from anybody takes at most about 10 ms.
    """
    renames: dict[str, str] = {}
    free = {name: _pairs(name) for name in spare[:MAX_COMPARED]}
    for wanted in missing[:MAX_COMPARED]:
        pairs = _pairs(wanted)
        nearest = max(free, key=lambda name: _likeness(pairs, free[name]), default=None)
        if nearest is not None and _likeness(pairs, free[nearest]) >= MIN_LIKENESS:
            renames[nearest] = wanted
            del free[nearest]
    rest_missing = [name for name in missing if name not in renames.values()]
    rest_spare = [name for name in spare if name not in renames]
    if len(rest_missing) == len(rest_spare) == 1:
        renames[rest_spare[0]] = rest_missing[0]
    return renames


def rename_advice(missing: Sequence[str], spare: Sequence[str]) -> str:
    """Return what to do if a robot lacks names of the policy and has others, as text."""
    renames = suggest_renames(missing, spare)
    if renames:
        pairs = " ".join(f"{ours} {theirs}" for ours, theirs in renames.items())
        rest = [name for name in missing if name not in renames.values()]
        return f"if they mean the same: --rename {pairs}" + (f"; and it lacks {rest}" if rest else "")
    if missing and spare:
        return (
            f"this robot lacks {list(missing)} and has {list(spare)}, which the policy does not know; if "
            f"they mean the same: --rename {spare[0]} <one of the policy's>, and so on"
        )
    return f"this robot lacks {list(missing)}" if missing else f"the policy does not know {list(spare)}"


def _pairs(name: str) -> frozenset[str]:
    """Return the pairs of neighbouring characters in a name, with spaces as its ends."""
    marked = f" {name[:MAX_COMPARED_LENGTH]} "
    return frozenset(map("".join, itertools.pairwise(marked)))


def _likeness(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of character pairs that two names have in common, 0 to 1."""
    return 2 * len(left & right) / (len(left) + len(right))
