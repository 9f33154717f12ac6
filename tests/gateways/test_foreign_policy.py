"""A foreign server as a policy: what is asked, what is refused, and who is never believed to be another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateways.foreign_rig import HORIZON, HandClock, ScriptedServer, profile_of, row_of
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_options import ForeignOptions, read_token
from vagus.gateways.foreign_policy import ForeignPolicy
from vagus.gateways.neutral import ForeignReply
from vagus.server.config import ServeConfig
from vagus.server.served_policy import ServedPolicy, infer_rows
from vagus.server.warmup import try_policy
from vagus.specs import RtcSpec
from vagus.types import ActionChunk, Prefix

OPTIONS = ForeignOptions(timeout_s=1.0, start_timeout_s=60.0)
LOST = LinkError("the wire was cut")


class Stand:
    """A policy over a scripted server."""

    def __init__(self, **server: object) -> None:
        self.clock = HandClock()
        self.server = ScriptedServer(self.clock)
        for name, value in server.items():
            setattr(self.server, name, value)
        self.policy = ForeignPolicy(self.server, profile_of(), OPTIONS, self.clock)

    def error(self) -> str:
        """Ask once, and return why there was no answer."""
        (result,) = self.policy.infer([row_of()])
        assert isinstance(result, PolicyError)
        return str(result)

    def works(self) -> bool:
        """Ask once, and return whether there was an answer."""
        return isinstance(self.policy.infer([row_of()])[0], ActionChunk)


def test_a_row_is_asked_in_the_units_of_the_wire_and_answered_in_the_robots() -> None:
    stand = Stand()
    (chunk,) = stand.policy.infer([row_of([0.5, -1.0], step=7, text="wave")])
    assert isinstance(chunk, ActionChunk)
    ((request, rtc),) = stand.server.asked[0]
    np.testing.assert_allclose(
        np.asarray(request.observation[("state",)]), np.degrees([0.5, -1.0]), rtol=1e-6
    )
    assert request.observation[("prompt",)] == "wave"
    assert rtc is None
    assert chunk.step == 7
    np.testing.assert_allclose(chunk.robot, [[0.5, -1.0]] * HORIZON, rtol=1e-6)
    assert stand.policy.spec.model_dim == 2
    assert [(f.name, f.unit) for f in stand.policy.spec.actions] == [("pan", "rad"), ("tilt", "rad")]


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        (np.full((HORIZON, 2), np.nan, np.float32), "finite"),
        (np.full((HORIZON, 2), np.inf, np.float32), "finite"),
        (np.zeros((HORIZON, 3), np.float32), "2"),
        (np.zeros((0, 2), np.float32), ""),
        (np.zeros((1, HORIZON, 2), np.float32), ""),
    ],
)
def test_what_must_not_be_commanded_costs_its_row_alone(actions: np.ndarray, reason: str) -> None:
    stand = Stand()
    stand.server.script.append([ForeignReply({"actions": actions})])
    bad, good = stand.policy.infer([row_of(), row_of()])
    assert isinstance(bad, PolicyError)
    assert reason in str(bad)
    assert isinstance(good, ActionChunk)


def test_no_actions_at_all_are_no_zeros() -> None:
    stand = Stand()
    stand.server.script.append([ForeignReply(extra={"status": "ok"})])
    assert "actions" in stand.error()


def test_the_servers_own_error_costs_its_row_alone_and_its_last_line_is_told() -> None:
    stand = Stand()
    stand.server.script.append([ForeignReply(error="Traceback\n  File x\nKeyError: 'wrist'\n")])
    bad, good = stand.policy.infer([row_of(), row_of()])
    assert "says: KeyError: 'wrist'" in str(bad)
    assert isinstance(good, ActionChunk)


def test_an_observation_that_cannot_be_sent_costs_its_row_alone() -> None:
    stand = Stand()
    bad, good = stand.policy.infer([row_of([np.nan, 0.0]), row_of()])
    assert "cannot be sent" in str(bad)
    assert isinstance(good, ActionChunk)


@pytest.mark.parametrize("error", [LOST, ProtocolError("garbage"), AttributeError("of a library")])
def test_after_a_failure_the_others_fail_at_once_and_the_connection_is_made_anew(error: Exception) -> None:
    stand = Stand()
    assert stand.works()
    stand.server.script.append(error)
    results = stand.policy.infer([row_of(), row_of(), row_of()])
    assert all(isinstance(result, PolicyError) for result in results)
    assert len(stand.server.asked) == 2  # the second and third were not asked
    assert str(error) in str(results[0])
    assert "asked again in 0." in str(results[1])
    assert not stand.server.is_open
    stand.clock.advance(0.3)
    assert stand.works()
    assert len(stand.server.opened_with) == 2


def test_rows_are_blocked_for_one_deadline_at_most_and_the_first_answer_may_take_longer() -> None:
    stand = Stand()
    assert stand.works()
    assert stand.server.timeouts == [60.0]
    begin_ns = stand.clock.ns
    stand.server.script += [LOST] * 8
    stand.policy.infer([row_of()] * 8)
    assert stand.clock.ns - begin_ns == 1_000_000_000


def test_connecting_counts_in_the_deadline_unless_the_server_loads_then() -> None:
    for loads, left_s in ((False, 0.4), (True, 1.0)):
        stand = Stand()
        assert stand.works()
        stand.server.loads_when_opened, stand.server.load_s = loads, 0.6
        stand.server.is_open = False
        assert stand.works()
        assert stand.server.timeouts[-1] == pytest.approx(left_s)
        assert stand.server.opened_with[-1] == (60.0 if loads else 1.0)


def test_pauses_double_while_the_server_is_gone() -> None:
    stand = Stand()
    stand.server.is_open = False
    stand.server.opens += [LinkError("refused")] * 6
    for _ in range(50):
        assert not stand.works()
        stand.clock.advance(0.1)
    assert 3 <= len(stand.server.opened_with) - 1 <= 6
    stand.clock.advance(5.0)
    stand.server.opens.clear()
    assert stand.works()


def test_a_server_that_says_something_else_is_refused_for_good() -> None:
    stand = Stand()
    stand.server.is_open, stand.server.says = False, {"model": "b"}
    assert "something else about itself" in stand.error()
    stand.server.says = {"model": "a"}
    stand.clock.advance(1000.0)
    assert "something else about itself" in stand.error()
    assert stand.server.asked == []
    with pytest.raises(PolicyError, match="something else"):
        stand.policy.begin_episode(None)


def test_a_stated_identity_does_not_make_another_server_the_same() -> None:
    clock = HandClock()
    server = ScriptedServer(clock)
    policy = ForeignPolicy(server, profile_of(), replace(OPTIONS, identity="w"), clock)
    server.is_open, server.says = False, {}
    assert "no metadata" in str(policy.infer([row_of()])[0])


def test_a_server_that_says_nothing_must_be_given_a_name() -> None:
    with pytest.raises(ConfigError, match="--options identity NAME"):
        Stand(says={})
    assert (
        Stand(says={}, identity="act w").policy.model_hash
        != Stand(says={}, identity="act v").policy.model_hash
    )


def test_two_addresses_with_one_identity_are_replicas() -> None:
    one, same, other = Stand(), Stand(), Stand(says={"model": "b"})
    same.server.address = replace(same.server.address, port=2)
    assert one.policy.model_hash == same.policy.model_hash != other.policy.model_hash


def test_an_episode_begins_on_the_server_where_it_has_a_word_for_it() -> None:
    stand = Stand()
    stand.policy.begin_episode(None)
    assert stand.server.resets == 1
    stand = Stand(has_reset=False, is_open=False)
    stand.policy.begin_episode(None)
    assert stand.server.resets == 0


def test_rows_go_together_where_the_server_takes_them_together() -> None:
    stand = Stand(max_rows=3)
    results = stand.policy.infer([row_of([0.1 * at, 0.0], step=at) for at in range(5)])
    assert [len(asked) for asked in stand.server.asked] == [3, 2]
    for at, chunk in enumerate(results):
        assert isinstance(chunk, ActionChunk)
        assert chunk.step == at
        assert chunk.robot[0, 0] == pytest.approx(0.1 * at)


def test_a_batch_that_the_server_refuses_is_asked_again_row_by_row() -> None:
    stand = Stand(max_rows=3)
    clock = HandClock()
    config = ServeConfig(policy="foreign")
    spoilt = [ForeignReply(error="KeyError: 'x'")]
    stand.server.script += [spoilt * 3, spoilt]
    with pytest.raises(PolicyError, match="KeyError"):
        stand.policy.infer([row_of()] * 3)
    assert "KeyError" in str(infer_rows(stand.policy, stand.policy.spec, [row_of()]))
    model = ServedPolicy.of(stand.policy, config)
    assert model.max_batch(8) == 3
    assert try_policy(model, clock) == ""


def test_a_batch_that_gets_no_answer_is_asked_again_row_by_row() -> None:
    stand = Stand(max_rows=3)
    stand.server.script.append(PolicyError("actions: wanted (2, horizon, width), got (1, 4, 2)"))
    with pytest.raises(PolicyError, match=r"wanted \(2, horizon, width\)"):
        stand.policy.infer([row_of()] * 2)
    assert isinstance(stand.policy.infer([row_of()])[0], ActionChunk)


def test_the_running_plan_goes_along_only_where_the_server_offers_it() -> None:
    plan = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    row = row_of(prefix=Prefix(plan, plan))
    without = Stand()
    without.policy.infer([row])
    assert without.server.asked[0][0][1] is None
    offering = Stand(rtc=RtcSpec(2))
    offering.policy.infer([row])
    rtc = offering.server.asked[0][0][1]
    assert rtc is not None
    assert rtc.prefix is not None
    np.testing.assert_allclose(rtc.prefix, np.degrees(plan), rtol=1e-6)
    assert (rtc.inference_delay, rtc.execute_horizon) == (1, HORIZON - 3)  # guidance ends after 3 steps


def test_who_answers_instead_is_told_at_the_start() -> None:
    clock = HandClock()
    server = ScriptedServer(clock)
    server.opens.append(LinkError("refused"))
    with pytest.raises(LinkError, match="wanted a scripted server, got nobody: nothing listens on port 1"):
        ForeignPolicy(server, profile_of(), OPTIONS, clock)


def test_a_token_is_read_from_a_file(tmp_path: object) -> None:
    assert read_token("") is None


@pytest.mark.parametrize("text", ["", "two\nlines", "ü", "x" * 5000])
def test_a_file_without_a_token_is_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(" k3y\n")
    assert read_token(str(path)) == "k3y"
    path.write_text(text)
    with pytest.raises(ConfigError, match="token_path"):
        read_token(str(path))
