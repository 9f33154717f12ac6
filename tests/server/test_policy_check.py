"""What a policy that fails looks like from outside: in the log, in the status, to probes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from server.raw_client import PATIENCE_S, Calls, CountingPolicy, Stand, serving, wait_until
from vagus.errors import PolicyError
from vagus.policies.policy import Row
from vagus.server.config import ServeConfig
from vagus.server.health import Vitals, answer
from vagus.types import ActionChunk

COLD = ServeConfig(warm_up=False)


class BreakablePolicy(CountingPolicy):
    """Fails everybody while it is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = ""

    def infer(self, batch: Sequence[Row[Calls]]) -> list[ActionChunk | PolicyError]:
        if self.broken:
            self._fail_deep_inside()
        return super().infer(batch)

    def _fail_deep_inside(self) -> None:
        raise RuntimeError(self.broken)


def readiness(stand: Stand) -> tuple[int, bytes]:
    server = stand.server
    return answer(
        "/readyz",
        Vitals(lambda: server.phase, lambda: True, server.load, server.metrics, lambda: said(stand)),
    )


def said(stand: Stand) -> str:
    return stand.server.capabilities().failing


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_a_policy_that_raises_leaves_its_traceback_and_then_a_count(caplog: pytest.LogCaptureFixture) -> None:
    policy = BreakablePolicy()
    with serving(COLD, policy) as stand:
        arm, leg = stand.opened("arm"), stand.opened("leg")
        policy.broken = "no such gripper"
        for _ in range(3):
            assert arm.ask(1.0).code == "policy_error"
        assert leg.ask(1.0).code == "policy_error"
    told = errors(caplog)
    assert len(told) == 2  # one per client, not one per request
    assert f"arm:{arm.epoch:08x}, seq 1: RuntimeError: no such gripper" in told[0]
    assert "Traceback (most recent call last)" in told[0]
    assert "in _fail_deep_inside" in told[0]
    assert f"leg:{leg.epoch:08x}, seq 1" in told[1]


def test_a_result_that_is_refused_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    with serving(COLD) as stand:
        assert stand.opened("arm").ask(-2.0).code == "policy_error"
    assert "seq 1: actions (model): NaN or infinity" in errors(caplog)[0]


def test_what_a_policy_says_forges_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    policy = BreakablePolicy()
    with serving(COLD, policy) as stand:
        arm = stand.opened("arm")
        policy.broken = "\x1b[2J" + "x" * 100_000
        reply = arm.ask(1.0)
    assert reply.event is not None
    assert len(reply.event.message) < 400
    assert "\x1b" not in reply.event.message + errors(caplog)[0]
    assert len(errors(caplog)[0]) < 10_000


def test_a_policy_that_fails_for_everybody_is_not_ready_until_it_works_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = BreakablePolicy()
    with serving(COLD, policy) as stand:
        arm = stand.opened("arm")
        assert (readiness(stand)[0], said(stand)) == (200, "")
        policy.broken = "CUDA error: device-side assert triggered"
        assert arm.ask(1.0).code == "policy_error"
        wait_until(lambda: said(stand) != "")
        assert said(stand) == f"RuntimeError: {policy.broken}"
        status, body = readiness(stand)
        assert status == 503
        assert b"device-side assert" in body
        assert arm.status().failing == said(stand)
        policy.broken = ""
        assert arm.ask(1.0).values[1] == 1.0
        wait_until(lambda: said(stand) == "")
        assert readiness(stand)[0] == 200
    assert any("fails for everybody" in text for text in errors(caplog))
    assert "the policy works again" in caplog.text


def test_one_robot_whose_observations_break_the_policy_harms_nobodys_trust() -> None:
    with serving(COLD) as stand:
        bad = stand.opened("bad")
        for _ in range(20):
            assert bad.ask(-1.0).code == "policy_error"
        assert said(stand) == ""
        assert stand.policy.batches.count(1) == 21  # the last is the policy's own test


def test_where_that_is_wanted_a_broken_policy_ends_the_server() -> None:
    policy = BreakablePolicy()
    with serving(ServeConfig(warm_up=False, exit_on_broken_policy=True), policy) as stand:
        arm = stand.opened("arm")
        policy.broken = "CUDA error"
        arm.send(1.0)
        with pytest.raises(PolicyError, match=r"fails for everybody.*CUDA error"):
            stand.server.wait(PATIENCE_S)
    assert policy.is_closed
