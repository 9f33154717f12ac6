"""How long a gateway waits for the policy before it sends a hold (pure).

A client asks as early as answers took so far, and a hold counts as an answer: where each one came before the
policy's, a policy that needs half a second would never be waited for.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Final

from vagus.integrations.lerobot_zenoh.v1.holds import HoldRules

__all__ = ["AnswerTimes"]

_KEPT: Final = 16
_MORE: Final = 1.25
_SPARE_NS: Final = 50_000_000
_MOST_NS: Final = 800_000_000
_MOST_WITHOUT_ROWS_NS: Final = 350_000_000
"""A client whose rows ran out ends its run after a second; a part of it has passed before it asks again."""
_START_NS: Final = 4_000_000_000
"""A robot that has not moved yet in its episode stands anyway; its client waits 5 s for the first answer."""


@dataclass(frozen=True)
class AnswerTimes:
    """How long the last answers of a policy took, in ns, late ones included."""

    recent_ns: tuple[int, ...] = field(default=())

    def with_one(self, took_ns: int) -> AnswerTimes:
        """Return these and one more."""
        return AnswerTimes((*self.recent_ns, took_ns)[-_KEPT:])

    def patience_ns(self, rules: HoldRules, *, has_rows: bool, is_starting: bool) -> int:
        """Return how long an answer is waited for at least.

        Args:
            rules: of the gateway.
            has_rows: the client still has rows to execute.
            is_starting: the robot has not moved in this episode yet.
        """
        if is_starting and not has_rows:
            return _START_NS
        usual_ns = statistics.median(self.recent_ns) if self.recent_ns else 0
        most_ns = _MOST_NS if has_rows else _MOST_WITHOUT_ROWS_NS
        return max(rules.patience_ns, min(round(_MORE * usual_ns) + _SPARE_NS, most_ns))
