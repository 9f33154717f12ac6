"""A session is opened again on the captured terms, but for what belonged to the process that asked then."""

from __future__ import annotations

import msgspec

from server.test_capture import opening
from vagus.replay.captures import CapturedSession
from vagus.replay.conversation import open_again
from vagus.server.sessions import Opening
from vagus.wire.schema import MAX_NOTES


def captured(given: Opening | None) -> CapturedSession:
    return CapturedSession("arm", 42, "", given, ())


def test_terms_stay_and_the_identity_of_a_process_and_the_demands_of_a_running_plan_go() -> None:
    first = opening()
    tags = {f"tag {number}": "x" for number in range(MAX_NOTES)}
    asked = msgspec.structs.replace(
        first.asked, host_id="h", policy_type="p", model_hash="cafe", tags=tags, trust_units=True
    )
    assert first.ack.capabilities is not None
    again = open_again(captured(Opening(asked, first.ack)), first.ack.capabilities, instance="new")
    assert (again.instance, again.host_id, again.policy_type, again.model_hash) == ("new", "", None, None)
    assert again.tags["replay_of"] == "arm:0000002a"
    assert len(again.tags) == MAX_NOTES
    kept = ("robot_type", "actions", "state", "cameras", "rate_hz", "wants_rtc", "instruction", "trust_units")
    assert [getattr(again, name) for name in kept] == [getattr(asked, name) for name in kept]


def test_without_terms_those_of_the_server_are_asked_for() -> None:
    said = opening().ack.capabilities
    assert said is not None
    again = open_again(captured(None), said, instance="new")
    assert (again.actions, again.state, again.rate_hz) == (said.actions, said.state, said.rate_hz)
    assert not again.wants_rtc
