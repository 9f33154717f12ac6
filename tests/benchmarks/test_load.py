from __future__ import annotations

import os
import sys

import pytest

from benchmarks.load import footprint, slope


def test_the_slope_is_what_each_robot_adds() -> None:
    assert slope([50, 100, 200], [110.0, 120.0, 140.0]) == pytest.approx(0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="the footprint is read from /proc")
def test_a_process_has_memory_and_threads() -> None:
    found = footprint(os.getpid())
    assert found.megabytes > 5
    assert found.threads >= 1
