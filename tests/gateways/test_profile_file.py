"""Profiles that vagus brings are valid, and a mistake in one of a user's own is answered by what to write."""

from __future__ import annotations

import pytest

from vagus.gateways.profile import PROTOCOLS
from vagus.gateways.profile_file import load_profile, shipped_profiles
from vagus.gateways.wire_mapping import WireMapping

SHIPPED = shipped_profiles()


def test_there_are_profiles_for_every_protocol() -> None:
    assert {name.partition("/")[0] for name in SHIPPED} == set(PROTOCOLS)
    assert set(SHIPPED) >= {"openpi/droid", "gr00t/so100", "lerobot_grpc/so100"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_valid(name: str) -> None:
    protocol, _, stem = name.partition("/")
    profile = load_profile(name)
    assert (profile.name, profile.protocol) == (stem, protocol)
    assert load_profile(stem, protocol) == load_profile(str(SHIPPED[name])) == profile
    WireMapping(profile)
