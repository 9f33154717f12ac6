"""No client can hurt another robot: each attack beside an honest one, for a few seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from process.attacks import ATTACKS, MAX_GROWTH_MB, felt, start_server
from process.rig import Rig, rig_in
from vagus.cli.child import Child

pytestmark = [pytest.mark.process, pytest.mark.timeout(240), pytest.mark.slow]

SECONDS = 5.0


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Child]]:
    """One server for all attacks, so that what one leaves behind is felt in the next."""
    with rig_in(tmp_path_factory.mktemp("attacks")) as rig:
        yield rig, start_server(rig)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_honest_robot_beside_an_attack_is_never_without_a_plan(
    attacked: tuple[Rig, Child], name: str
) -> None:
    rig, server = attacked
    seen = felt(rig, server, name, SECONDS)
    assert seen.steps > 0, seen.errors
    assert seen.unsafe == ""
    assert seen.starved_s == 0.0
    assert seen.peak_mb - seen.before_mb < MAX_GROWTH_MB
    assert server.exit_code is None
