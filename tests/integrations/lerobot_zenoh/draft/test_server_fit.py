from __future__ import annotations

from dataclasses import replace

import pytest

from draft_server import model_of
from integrations.lerobot_zenoh.draft.rig import JOINTS, PROFILE
from vagus.errors import ConfigError
from vagus.gateways.foreign_identity import digest_of
from vagus.integrations.lerobot_zenoh.draft.server_fit import (
    check_server_fits,
    offered_rtc,
    said_by_server,
)
from vagus.integrations.lerobot_zenoh.draft.status import DraftStatus
from vagus.specs import RtcSpec

MODEL = replace(model_of(JOINTS, steps=6, rtc=4), expected_cameras=("front",))
STATUS = DraftStatus(model=MODEL, active_sessions=0, max_sessions=5)


def test_a_server_fits_also_where_it_does_not_say_everything() -> None:
    check_server_fits(STATUS, PROFILE)
    check_server_fits(replace(STATUS, model=replace(MODEL, action_names=(), trained_fps=None)), PROFILE)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"action_names": JOINTS[::-1]}, "actions of the server .*: wanted pan.pos, lift.pos, grip.pos, got"),
        ({"state_dim": 2}, "state of the server .*: wanted 3 numbers, got 2"),
        ({"expected_cameras": ()}, "cameras of the server .*: wanted observation.images.front, got none"),
        ({"trained_fps": 20.0}, "rate_hz of the server .*: wanted 30, got 20"),
        ({"chunk_size": 0}, "chunk_size of the server .*: wanted at least 1, got 0"),
    ],
)
def test_a_server_that_does_not_fit_is_refused(change: dict[str, object], named: str) -> None:
    status = replace(STATUS, model=replace(MODEL, **change))  # type: ignore[arg-type] # by name
    with pytest.raises(ConfigError, match=named):
        check_server_fits(status, PROFILE)


def test_another_version_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"schema version .*: wanted 1, got 2 to 3"):
        check_server_fits(replace(STATUS, min_schema_version=2, max_schema_version=3), PROFILE)


@pytest.mark.parametrize("change", [{"model_revision": "other"}, {"policy_type": "act"}, {"chunk_size": 5}])
def test_all_that_a_server_says_is_who_it_is(change: dict[str, object]) -> None:
    other = replace(MODEL, **change)  # type: ignore[arg-type] # by name
    assert digest_of(said_by_server(other)) != digest_of(said_by_server(MODEL))


def test_real_time_chunking_is_what_the_server_offers() -> None:
    assert offered_rtc(MODEL, 6) == RtcSpec(4)
    assert offered_rtc(MODEL, 3) == RtcSpec(3)
    assert offered_rtc(replace(MODEL, rtc_execution_horizon=None), 6) is None
    assert offered_rtc(replace(MODEL, supports_rtc=False), 6) is None
