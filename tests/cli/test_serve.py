"""What `vagus serve` does before a policy is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.transport.router import Router
from vagus.transport.zenoh_config import RouterConfig

TELLING = """
import os
raise RuntimeError("threads: " + os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("given", "seen"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_a_policy_is_imported_where_threads_wait_asleep_unless_told_otherwise(
    given: str | None,
    seen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = tmp_path / "telling.py"
    policy.write_text(TELLING)
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")  # whatever `serve` sets is taken back with it
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with Router(RouterConfig(listen=("tcp/127.0.0.1:0",))) as router:
        code = main(["serve", "--policy", f"{policy}:act", "--connect", *router.endpoints])
    assert code != ExitCode.OK
    assert f"threads: {seen}" in capsys.readouterr().err
