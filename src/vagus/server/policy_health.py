"""Health of the policy: suspected after failures in a row, settled by a test request.

A robot whose observations break the policy fails alone, and must not make the server look broken to others.
So a row of failures proves nothing: the policy is given the observation that it was warmed up with, and only
one that fails on it, too, is broken. It is tested again from time to time, and healed by any success.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.clock import NS_PER_S

__all__ = ["PolicyHealth"]

FAILURES_UNTIL_TESTED = 5
"""Failed requests without a success between them, after which the policy is tested."""
TEST_PAUSE_NS = 10 * NS_PER_S
"""Least pause between two tests."""
SHARE = 20
"""Pause after a test, in times of what it took: a robot that keeps failing costs the others a twentieth."""
BROKEN_DEVICE = (
    "CUDA error",
    "cudaError",
    "device-side assert",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "HIP error",
    "Xid",
)
"""What frameworks say once a device has failed for good; tested at once. Running out of memory passes."""


class PolicyHealth:
    """Verdict on the policy. Pure; belongs to the policy thread, but `failing` may be read anywhere."""

    def __init__(self) -> None:
        self.failing = ""
        """Why the policy is broken for everybody; "" while it is not."""
        self._failures_in_row = 0
        self._is_suspected = False
        self._not_before_ns: int | None = None

    def note(self, failures: Sequence[str], successes: int) -> None:
        """A batch was run: what its failed rows said, and how many rows did not fail."""
        if successes:
            self._heal()
            return
        self._failures_in_row += len(failures)
        is_device = any(sign in failure for failure in failures for sign in BROKEN_DEVICE)
        self._is_suspected |= is_device or self._failures_in_row >= FAILURES_UNTIL_TESTED

    def wants_test(self, now_ns: int) -> bool:
        """Whether the policy is to be tested now."""
        return (self._is_suspected or bool(self.failing)) and self.test_due_in_ns(now_ns) == 0

    def test_due_in_ns(self, now_ns: int) -> int:
        """Return how long to wait for the next test, should one be wanted."""
        return 0 if self._not_before_ns is None else max(self._not_before_ns - now_ns, 0)

    def tested(self, failure: str, begin_ns: int, end_ns: int) -> None:
        """The policy was tested: what it failed with, or ""."""
        self._not_before_ns = end_ns + max(TEST_PAUSE_NS, SHARE * (end_ns - begin_ns))
        if failure:
            self.failing, self._is_suspected = failure, False
        else:
            self._heal()

    def _heal(self) -> None:
        self.failing, self._is_suspected, self._failures_in_row = "", False, 0
