"""Captured requests go to a server of today, and its answers are compared with the captured ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from replay.rig import MODEL, captured
from replay.test_captures import damage
from server.raw_client import SPEC, Calls, CountingPolicy, Stand, serving
from vagus.edge.config import EdgeConfig
from vagus.errors import ConfigError, LinkError, PolicyError, SpecError
from vagus.policies.policy import Row
from vagus.replay.captures import read_captures
from vagus.replay.conversation import Resending
from vagus.replay.resend import ResendReport, resend
from vagus.replay.verdict import Comparison, Sameness
from vagus.server.config import ServeConfig
from vagus.types import ActionChunk
from vagus.wire.codec import decode
from vagus.wire.schema import ResetMessage

TIMEOUT_S = 5.0


class Changed(CountingPolicy):
    """Answers as the other one does, changed by a function."""

    model_hash = "counting-2"

    def __init__(self, change: Callable[[ActionChunk], ActionChunk | PolicyError]) -> None:
        super().__init__()
        self.change = change

    def _answer(self, row: Row[Calls]) -> ActionChunk | PolicyError:
        answer = super()._answer(row)
        return answer if isinstance(answer, PolicyError) else self.change(answer)


class Renamed(CountingPolicy):
    spec = dataclasses.replace(SPEC, actions=SPEC.actions[::-1])


def replayed(
    folder: Path,
    policy: CountingPolicy | None = None,
    *,
    model: str = MODEL,
    on_compared: Callable[[Stand, Comparison], None] = lambda _, __: None,
    tolerance: float = 1e-4,
    timeout_s: float = TIMEOUT_S,
    other: bool = False,
) -> ResendReport:
    with serving(ServeConfig(warm_up=False, model=model), policy) as stand:
        return resend(
            stand.network.link("replay"),
            read_captures(folder),
            Resending(None, "replay", tolerance, timeout_s, other),
            lambda found: on_compared(stand, found),
        )


def scaled(by: float) -> Changed:
    return Changed(lambda chunk: ActionChunk(chunk.step, chunk.model, chunk.robot * np.float32(by)))


def test_the_same_build_gives_the_same_answers_also_of_policies_with_a_state(tmp_path: Path) -> None:
    captured(tmp_path)
    report = replayed(tmp_path, tolerance=0.0)
    assert report.is_same, report.troubles
    assert (report.requests, report.same, report.skipped) == (8, 8, 0)
    assert [joint.max for joint in report.joints] == [0.0, 0.0]
    assert [joint.rows for joint in report.joints] == [6 * SPEC.horizon] * 2
    assert report.is_same_model
    assert report.warnings == []


def test_another_build_is_compared_joint_by_joint_and_its_hash_is_told(tmp_path: Path) -> None:
    report = replayed(captured(tmp_path), scaled(1.5))
    assert not report.is_same
    assert (report.same, report.different, report.failed) == (2, 6, 0), "refusals are the same"
    calls, state = report.joints
    assert (calls.name, state.name) == ("calls", "state")
    assert calls.max == pytest.approx(1.5)
    assert state.max == pytest.approx(2.0)
    assert "numbers up to" in report.troubles[0]["why"]
    assert not report.is_same_model
    assert any("the captured model has hash" in warning for warning in report.warnings)


def test_a_small_change_is_the_same_within_the_tolerance(tmp_path: Path) -> None:
    assert replayed(captured(tmp_path), scaled(1.00001)).is_same
    assert not replayed(tmp_path, scaled(1.00001), tolerance=0.0).is_same


def test_a_build_that_refuses_has_failed(tmp_path: Path) -> None:
    report = replayed(captured(tmp_path), Changed(lambda _: PolicyError("out of memory")))
    assert (report.same, report.failed) == (2, 6)
    assert "out of memory" in report.troubles[0]["why"]


def test_requests_that_nobody_waited_for_are_skipped(tmp_path: Path) -> None:
    captured(tmp_path)
    damage(min(tmp_path.iterdir()), reply=b"", result="superseded")
    report = replayed(tmp_path)
    assert report.skipped == 1
    assert report.requests == 8


def test_what_is_not_answered_is_neither_the_same_nor_different(tmp_path: Path) -> None:
    def hang(stand: Stand, found: Comparison) -> None:
        if found.verdict is Sameness.UNANSWERED:
            stand.policy.gate.set()
        elif not hung:
            stand.policy.gate.clear()
            hung.append(found)

    hung: list[Comparison] = []
    report = replayed(captured(tmp_path), on_compared=hang, timeout_s=0.2)
    assert report.unanswered > 0
    assert not report.is_same
    assert report.different == 0


def test_another_order_of_the_joints_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    policy = Renamed()
    with pytest.raises(SpecError, match="another order"):
        replayed(captured(tmp_path), policy, other=True)
    assert policy.batches == []


def test_a_capture_of_another_model_is_refused_unless_asked_for(tmp_path: Path) -> None:
    captured(tmp_path)
    with pytest.raises(ConfigError, match=r"wanted one of the model 'other'.*got one of 'counting'"):
        replayed(tmp_path, model="other")
    assert replayed(tmp_path, model="other", other=True).same == 8


def test_an_old_capture_is_refused_unless_asked_for(tmp_path: Path) -> None:
    captured(tmp_path)
    for path in tmp_path.iterdir():
        damage(path, format=None, captured=None, opening=None)
    with pytest.raises(ConfigError, match="one of an earlier version"):
        replayed(tmp_path)
    report = replayed(tmp_path, other=True)
    assert report.same == 8
    assert not report.is_same_model
    assert report.captured_hashes == []


def test_nobody_to_ask_is_told(tmp_path: Path) -> None:
    with serving() as stand:
        stand.server.drain()
        with pytest.raises(LinkError):
            resend(
                stand.network.link("replay"),
                read_captures(captured(tmp_path)),
                Resending(None, "replay", 0.0, 1.0, edge=EdgeConfig(connect_timeout_s=0.1)),
                lambda _: None,
            )


def test_a_server_that_goes_away_is_told(tmp_path: Path) -> None:
    def end(stand: Stand, found: Comparison) -> None:
        del found
        stand.server.close()

    with pytest.raises(LinkError):
        replayed(captured(tmp_path), on_compared=end)


def test_each_captured_episode_begins_with_a_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = read_captures(captured(tmp_path))
    asked: list[bytes] = []
    with serving(ServeConfig(warm_up=False, model=MODEL)) as stand:
        link = stand.network.link("replay")
        query = link.query

        def listening(key: str, payload: bytes, *, timeout_s: float) -> tuple[bytes, ...]:
            if key.endswith("/reset"):
                asked.append(payload)
            return query(key, payload, timeout_s=timeout_s)

        monkeypatch.setattr(link, "query", listening)
        resend(link, folder, Resending(None, "replay", 0.0, TIMEOUT_S), lambda _: None)
    assert [decode(payload, ResetMessage).episode for payload in asked] == [0, 1, 2, 3]


def test_the_sessions_are_closed_and_say_what_they_are(tmp_path: Path) -> None:
    captured(tmp_path / "first")
    with serving(ServeConfig(warm_up=False, model=MODEL, audit_path=tmp_path / "audit.jsonl")) as stand:
        settings = Resending(None, "replay", 0.0, TIMEOUT_S)
        resend(stand.network.link("replay"), read_captures(tmp_path / "first"), settings, lambda _: None)
        assert stand.server.load().sessions == 0
    audit = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    assert audit.count('"replay_of":"one:') == audit.count('"replay_of":"two:') == 1
