"""`vagus bench delay` for people and for programs; what cannot work is told before the time is spent."""

from __future__ import annotations

import errno
import os
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from vagus.cli.bench_report import StudyReport
from vagus.cli.exit_code import ExitCode
from vagus.cli.main import main
from vagus.trials.play_method import METHODS

TRIALS = Path(__file__).parents[1] / "trials"
IDLE = TRIALS / "idle_policy.py"
POLICY = ["--policy", f"{IDLE}:Idle"]
WORLD = ["--world", f"{TRIALS / 'short_world.py'}:Short"]
TWO_LAWS = ["--delays", "0", "mixed:200:500:0.5"]
QUICK = [*WORLD, "--episodes", "10", *TWO_LAWS, "--methods", "sync", "naive"]


def bench(*arguments: str) -> int:
    return main(["bench", "delay", *arguments])


def read(path: Path) -> StudyReport:
    return msgspec.json.decode(path.read_bytes(), type=StudyReport)


def test_a_study_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "study.json"
    assert bench(*POLICY, *QUICK, "--seed", "5", "--json", str(path)) == ExitCode.OK
    said = capsys.readouterr()
    assert "10 episodes from seed 5 in each row" in said.out
    for text in ("0 ms", "200 ms, 50% of 500 ms", "more than naive", "sync", "came late"):
        assert text in said.out, text
    assert "4/4: sync, mixed:200:500:0.5" in said.err
    report = read(path)
    assert (report.policy, report.world, report.seed, report.baseline) == (POLICY[1], WORLD[1], 5, "naive")
    assert report.is_complete
    assert [(cell.law, cell.method) for cell in report.cells] == [
        (law, method) for law in ("0", "mixed:200:500:0.5") for method in ("sync", "naive")
    ]
    assert {cell.episodes for cell in report.cells} == {10}
    assert [law.constant_ms for law in report.laws] == [0.0, None]
    sync, naive = report.cells[:2]
    assert naive.gain is None
    assert sync.gain is not None
    assert sync.gain.mean == pytest.approx(sync.success.mean - naive.success.mean)
    assert sync.starved > naive.starved == 0


def test_a_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "study.svg"
    assert bench(*POLICY, *QUICK, "--plot", str(path)) == ExitCode.OK
    assert path.read_text().startswith("<?xml")
    assert f"written: {path}" in capsys.readouterr().err


def test_an_interval_says_how_many_episodes_are_run(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    assert (
        bench(
            *POLICY, *WORLD, "--delays", "0", "--methods", "naive", "--interval", "0.3", "--json", str(path)
        )
        == 0
    )
    assert {cell.episodes for cell in read(path).cells} == {11}
    assert all(cell.success.half_width <= 0.3 for cell in read(path).cells)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--delays", "fast"], "delay: wanted 100 (constant, ms), lognormal"),
        (["--delays", "100", "100"], "delays: wanted each law once, got 100 twice"),
        (["--delays", "trace:nowhere.txt"], "nowhere.txt: No such file"),
        (["--delays", "trace:empty.txt"], "a trace with a delay in ms per line, got none in empty.txt"),
        (["--delays", "trace:garbage.txt"], "got 'fast' in line 1 of garbage.txt"),
        (["--methods", "fastest"], f"methods: wanted some of {', '.join(METHODS)}, got 'fastest'"),
        (["--methods", "sync", "sync"], "methods: wanted each once, got sync twice"),
        (["--methods", "rtc_hard"], "method rtc_hard: wanted a policy with real-time chunking"),
        (["--methods", "sync", "--baseline", "naive"], "baseline: wanted one of the methods sync"),
        (["--episodes", "9"], "episodes: wanted at least 10 for an interval, got 9"),
        (["--episodes", "100", "--interval", "0.05"], "at least 385 for an interval of ±5 points, got 100"),
        (["--episodes", "0"], "episodes: wanted 1 to"),
        (["--interval", "0"], "interval: wanted a share above 0"),
        (["--interval", "5"], "interval: wanted a share above 0 and below 1, got 5.0"),
        (["--interval", "1e-9"], "episodes: wanted at most 1000000 episodes of each cell, or a wider"),
        (["--episodes", "20", "--seed", "4294967290"], "seed: wanted all seeds up to 4294967295"),
        (["--robots", "0"], "robots: wanted 1 to"),
        (["--inference-ms", "-1"], "inference_ms: wanted milliseconds, 0 to 1e+06, got -1.0"),
        (["--inference-ms", "nan"], "inference_ms: wanted milliseconds, 0 to 1e+06, got nan"),
        (["--seed", "-1"], "seed: wanted 0 to"),
        (["--world", "maze"], "world: wanted gates, gym:<environment id>, or your own"),
        (["--world-options", "walls", "3"], "options of world 'gates': wanted some of: none"),
        (["--json", "study.txt"], "json: wanted a file that ends in .json"),
        (["--json", "nowhere/study.json"], "json: wanted a file that can be written"),
        (["--plot", "study.gif"], "plot: wanted a file that ends in .pdf, .png, .svg"),
        (["--plot", "nowhere/study.png"], "plot: wanted a file that can be written"),
        (["--options", "speed", "3"], "got speed"),
        (["--options", "rate_hz", "30"], "rate: wanted a world of 30 Hz, the rate of the policy's training"),
        (["--manifest", "nowhere.yaml"], "nowhere.yaml"),
        (["--policy", "nothing"], "policy: wanted one of gates"),
        (["--policy", f"{IDLE}:Needy"], "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
        (["--policy", "gates", "--options", "weights", "nowhere.npz"], "weights: wanted a file"),
        pytest.param(
            ["--policy", "lerobot", "--model", "nowhere"],
            'pip install "vagus[lerobot]"',
            marks=pytest.mark.skipif(find_spec("torch") is not None, reason="its extra is installed"),
        ),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "garbage.txt").write_text("fast\n")
    policy = [] if "--policy" in arguments else POLICY
    assert bench(*policy, *arguments) == ExitCode.CONFIG
    said = capsys.readouterr()
    assert told in said.err
    assert "1/" not in said.err
    assert not said.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.txt", "garbage.txt"]


def test_a_policy_and_a_world_that_do_not_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--policy", "reach", "--options", "inference_ms", "0", "--episodes", "10") != ExitCode.OK
    assert bench("--policy", "reach", "--trained-rate-hz", "20", "--episodes", "10") == ExitCode.REFUSED
    assert "robot and policy: wanted that they fit" in capsys.readouterr().err


def test_a_world_that_is_not_gates_needs_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(*WORLD) == ExitCode.CONFIG
    assert "policy: wanted --policy or --manifest" in capsys.readouterr().err


def test_a_manifest_says_which_policy_and_flags_win(tmp_path: Path) -> None:
    manifest, path = tmp_path / "gates.yaml", tmp_path / "study.json"
    manifest.write_text("policy: gates\noptions: {continuation: given}\nrtc: false\n")
    arguments = ["--manifest", str(manifest), *QUICK[:4], "--delays", "0", "--json", str(path)]
    assert bench(*arguments) == ExitCode.OK
    given = read(path)
    assert given.policy == "gates"
    assert "rtc_hard" not in given.methods
    assert any("rtc_hard" in note for note in given.notes)
    assert bench(*arguments, "--methods", "sync", "--options", "continuation", "guided") == ExitCode.OK
    assert read(path).model_hash != given.model_hash


@pytest.mark.parametrize(("name", "code"), [("Stopped", ExitCode.INTERRUPTED), ("Idle", ExitCode.POLICY)])
def test_what_ends_a_study_does_not_cost_what_is_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, code: ExitCode
) -> None:
    """Ctrl-C, or a policy that fails in the middle: under the second law."""
    path = tmp_path / "study.json"
    assert (
        bench(*POLICY, *WORLD, "--delays", "0", *QUICK[2:4], *QUICK[-3:], "--json", str(path)) == ExitCode.OK
    )
    asked = round(sum(cell.requests * cell.episodes for cell in read(path).cells))
    capsys.readouterr()
    arguments = ["--options", "fails_after", str(asked), *QUICK, "--json", str(path)]
    assert bench("--policy", f"{IDLE}:{name}", *arguments) == code
    said = capsys.readouterr()
    assert "ended early: 2 of 4 rows are complete" in said.out
    report = read(path)
    assert not report.is_complete
    assert [cell.law for cell in report.cells] == ["0", "0"]
    if code == ExitCode.POLICY:
        assert "RuntimeError: out of memory" in said.err


def test_a_study_that_ends_before_anything_is_complete_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.json"
    stopped = ["--policy", f"{IDLE}:Stopped", "--options", "fails_after", "3"]
    assert bench(*stopped, *QUICK, "--json", str(path)) == ExitCode.INTERRUPTED
    said = capsys.readouterr()
    assert not said.out
    assert "nothing is complete" in said.err
    assert not path.exists()


def test_a_full_disk_costs_the_one_file_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    json, plot = tmp_path / "study.json", tmp_path / "study.svg"
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path == json:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert bench(*POLICY, *QUICK, "--json", str(json), "--plot", str(plot)) != ExitCode.OK
    said = capsys.readouterr()
    assert "more than naive" in said.out
    assert f"not written: {json}: No space left on device" in said.err
    assert plot.read_text().startswith("<?xml")
