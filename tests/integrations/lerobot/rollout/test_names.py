"""LeRobot's names become ours."""

from __future__ import annotations

from vagus.integrations.lerobot.rollout.names import identity_of, policy_names


def test_lerobots_keys_become_names() -> None:
    keys = {"observation.images.front": "observation.images.cam_high", "observation.state.a": "b", "x": "y"}
    assert policy_names(keys) == {"front": "cam_high", "a": "b", "x": "y"}


def test_a_server_is_told_which_program_this_is() -> None:
    who = identity_of("arm", {"site": "lab"})
    assert (who.name, dict(who.tags)) == ("arm", {"program": "lerobot", "site": "lab"})
    assert who.instance != identity_of("arm", {}).instance
