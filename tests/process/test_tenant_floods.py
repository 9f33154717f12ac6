"""Two tenants at one server over a real router: what one floods, the other's robot does not feel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from process.attacks import felt
from process.rig import START_S, WAVE, Rig, rig_in
from vagus.cli.child import Child

pytestmark = [pytest.mark.process, pytest.mark.timeout(240), pytest.mark.slow]

SECONDS = 8.0
TENANTS = [
    {"name": "loud", "clients": ["attacker-*"], "max_sessions": 4, "max_requests_per_s": 20},
    {"name": "quiet", "clients": ["honest-*"], "max_sessions": 4},
]
FLOODS = (
    "a thousand observations a second",
    "sessions of other names",
    "resets without end",
    "traces of 24 MB",
    "names of a megabyte",
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Child]]:
    """One server of two tenants, with 8 places."""
    settings = {"policy": WAVE, "model": "wave", "max_sessions": 8, "tenants": TENANTS}
    with rig_in(tmp_path_factory.mktemp("tenants")) as rig:
        server = rig.start_manifest(settings)
        server.wait_for_line("server ready", timeout_s=START_S)
        yield rig, server


def test_the_robot_of_one_tenant_is_served_as_often_beside_the_floods_of_another(
    shared: tuple[Rig, Child],
) -> None:
    rig, server = shared
    often = ("--execute-horizon", "10")
    alone = felt(rig, server, "", SECONDS, *often)
    assert alone.merged > 10
    for name in FLOODS:
        seen = felt(rig, server, name, SECONDS, *often)
        assert seen.steps > 0, seen.errors
        assert seen.unsafe == ""
        assert seen.merged / alone.merged > 0.8, name
    assert server.exit_code is None
