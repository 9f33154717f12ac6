"""How a server ends, and what its exit code says."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from process.rig import PATIENCE_S, Rig, call, check_one_line, rig_in, stop_robot
from vagus.cli.exit_code import ExitCode

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("ends")) as running:
        yield running


def test_a_server_that_answered_everything_ends_with_success(rig: Rig) -> None:
    server = rig.serve("good", "--service-name", "good")
    robot = rig.run("arm", "--service", "wave/main/good")
    server.signal(signal.SIGTERM)
    assert server.wait(timeout_s=PATIENCE_S) == ExitCode.OK
    stop_robot(robot)


@pytest.mark.slow
def test_a_server_whose_policy_hangs_ends_all_the_same_and_says_so(rig: Rig) -> None:
    server = rig.serve("hung", "--service-name", "hung", "--drain-timeout-s", "1")
    robot = rig.start_robot("leg", "--service", "wave/main/hung", "--instruction", "hang")
    robot.wait_for_line("link degraded", timeout_s=PATIENCE_S)
    server.signal(signal.SIGTERM)
    begin_s = time.monotonic()
    assert server.wait(timeout_s=PATIENCE_S) == ExitCode.FAILED
    assert time.monotonic() - begin_s < PATIENCE_S
    assert "not all requests were finished in 1 s" in server.output
    assert "vagus-policy did not end" in server.output


@pytest.mark.parametrize("flag", ["--audit-path", "--capture-dir"])
def test_a_path_that_cannot_be_written_is_one_line(rig: Rig, flag: str) -> None:
    (rig.folder / "file").write_text("in the way")
    done = call("serve", "--policy", "reach", "--connect", rig.endpoint, flag, str(rig.folder / "file" / "x"))
    check_one_line(done, ExitCode.CONFIG, flag.lstrip("-").replace("-", "_"), "a place that can be written")
