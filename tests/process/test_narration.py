"""A robot without a terminal says what happens to it, on stderr, one line per change."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from process.rig import await_fresh, rig_in, stop_robot

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.mark.slow
def test_an_outage_is_told_from_the_plan_that_ran_out_to_the_next(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig:
        server = rig.serve(options=("horizon", "30"))
        # one that asks sooner has given up the server before its plan runs out
        robot = rig.run("arm", "--execute-horizon", "None", "--buffer-time-s", "0.5", "--backoff-max-s", "1")
        await_fresh(rig.folder, robot, time.monotonic_ns())
        server.signal(signal.SIGSTOP)
        robot.wait_for_line("plan ran out at step", timeout_s=30.0)
        robot.wait_for_line("lost server a", timeout_s=30.0)
        server.signal(signal.SIGCONT)
        robot.wait_for_line("playing again after", timeout_s=30.0)
        said = stop_robot(robot).output
    for text in (
        "session with a",
        "playing from step 0",
        "holding (the answer is late)",
        "run ended: interrupted",
    ):
        assert text in said, said
    told = [line for line in said.splitlines() if " vagus.run: " in line]
    assert len(told) < 20, said
