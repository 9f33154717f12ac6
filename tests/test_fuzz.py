from __future__ import annotations

import random

import pytest

import fuzz
from fuzz import EDIT_KINDS, TARGETS, Edit, Target, mutate, random_edits
from vagus.errors import ProtocolError


def planted(payload: bytes) -> object:
    return payload[40]


def greedy(payload: bytes) -> object:
    return bytes(64 << 20)


def wordy(payload: bytes) -> object:
    raise ProtocolError("x" * 3000)


@pytest.mark.parametrize(
    ("run", "wanted"),
    [(planted, "IndexError"), (greedy, "allocated"), (wordy, "an error text of 3000 characters")],
)
def test_a_planted_fault_is_found(run: object, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(run)
    target = Target("planted", run, (bytes(50),))
    assert fuzz.fuzz([target], seconds=60, seed=1, most=200) > 0
    assert f"FINDING in planted: {wanted}" in capsys.readouterr().out


def test_what_only_the_first_run_of_a_process_allocates_is_no_finding() -> None:
    kept: list[bytes] = []

    def imports(payload: bytes) -> None:
        if not kept:
            kept.append(bytes(64 << 20))

    assert fuzz.fuzz([Target("lazy", imports, (bytes(50),))], seconds=60, seed=1, most=20) == 0


def test_a_run_over_its_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MAX_CPU_S", -1.0)
    assert fuzz.fuzz(TARGETS[:1], seconds=60, seed=1, most=1) == 1


def test_growth_of_the_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MAX_GROWTH_BYTES", -1)
    assert fuzz.fuzz(TARGETS[:1], seconds=60, seed=1, most=1) == 1


def test_a_finding_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz.main(["--seconds", "0.2"]) == 0
    monkeypatch.setattr(fuzz, "TARGETS", (Target("planted", planted, (b"",)),))
    assert fuzz.main(["--seconds", "0.05", "--seed", "1"]) == 1


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert random_edits(random.Random("1/x")) == random_edits(random.Random("1/x"))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("flip", b"abbdefgh"),
        ("truncate", b"ab"),
        ("insert", b"abXYcdefgh"),
        ("overwrite", b"abXYefgh"),
        ("delete", b"abefgh"),
        ("repeat", b"abcdcdefgh"),
        ("splice", b"ab4567"),
    ],
)
def test_each_edit_does_what_it_says(kind: str, wanted: bytes) -> None:
    insert = b"\x00" if kind == "flip" else b"XY"
    assert mutate(b"abcdefgh", [Edit(kind, 0.25, 0.5, insert)], b"01234567") == wanted
    assert kind in EDIT_KINDS
    assert mutate(b"", [Edit(kind, 0.25, 0.5, b"")], b"") == b""
