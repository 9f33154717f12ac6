from __future__ import annotations

import io
import json
import queue

import pytest

import benchmarks.programs.paced as paced
from benchmarks.programs.paced import Answer, Answers, Sender, drive_paced
from vagus.clock import monotonic_ns

SPENT_NS = 3_000_000


def driven(
    send: Sender,
    answers: Answers,
    robots: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, object]:
    line = json.dumps({"robots": robots, "rate_hz": 500.0, "seconds": 0.01})
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))
    monkeypatch.setattr(paced, "PATIENCE_S", 0.05)
    drive_paced(send, answers, [1] * robots)
    ready, told = map(json.loads, capsys.readouterr().out.splitlines())
    assert ready == {"ready": True}
    assert isinstance(told, dict)
    return told


def test_every_robot_asks_in_turn_and_the_servers_own_time_does_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Answers = queue.SimpleQueue()
    sent: list[tuple[int, int]] = []

    def send(robot: int, seq: int) -> None:
        sent.append((robot, seq))
        now_ns = monotonic_ns()
        answers.put(Answer(robot, seq, now_ns + SPENT_NS, SPENT_NS))

    told = driven(send, answers, 2, monkeypatch, capsys)
    assert sent == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (1, 4), (0, 5), (1, 5)]
    assert (told["sent"], told["answered"], told["lost"], told["strangers"]) == (10, 10, 0, 0)
    network_ms = told["network_ms"]
    assert isinstance(network_ms, list)
    assert len(network_ms) == 10
    assert min(network_ms) >= 0.0


def test_what_has_no_answer_is_lost_and_what_nobody_asked_is_a_stranger(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Answers = queue.SimpleQueue()

    def send(robot: int, seq: int) -> None:
        if seq == 1:
            answers.put(Answer(robot, seq, monotonic_ns(), event="overloaded"))
        elif seq == 2:
            for _ in range(2):
                answers.put(Answer(robot, seq, monotonic_ns()))

    told = driven(send, answers, 1, monkeypatch, capsys)
    assert (told["sent"], told["answered"], told["lost"]) == (5, 1, 3)
    assert (told["events"], told["strangers"]) == ({"overloaded": 1}, 1)
