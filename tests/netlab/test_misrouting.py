"""A link that flaps: nothing arrives under a wrong key, and everything flows again afterwards.

The full proof, with hundreds of outages and with the reopening switched off, is tests/soak/misrouting.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from netlab.flapping import Outages, run_flapping
from netlab.lab import Lab

pytestmark = [pytest.mark.netns, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("misrouting.py")
ROBOTS = 8
LEASE_MS = "1000"
COUNT = 12


@pytest.mark.parametrize(("near", "far"), [("robots", "server"), ("server", "robots")])
def test_nothing_arrives_under_a_wrong_key_when_lost_transports_are_replaced(
    shaper: Path, near: str, far: str
) -> None:
    with Lab(shaper) as lab:
        report = run_flapping(
            lab,
            [sys.executable, PROGRAM, "near", near, str(ROBOTS), "reopen", LEASE_MS],
            [sys.executable, PROGRAM, "far", far, str(ROBOTS), "reopen", LEASE_MS],
            Outages(COUNT, seed=1),
        )
    for side in (report.robot, report.server):
        assert side["misrouted"] == 0, side["examples"]
        assert side["garbled"] == 0
        assert side["accepted_wrong"] == 0
        assert side["refused_right"] == 0
        assert isinstance(side["received"], int)
        assert side["received"] > 1000
    assert report.robot["connected"] == report.robot["links"]
    assert report.server["connected"] == report.server["links"]
    assert report.robot["reopened"], "no outage was long enough to be noticed"
