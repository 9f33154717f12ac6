"""Mutation tests of the safety-critical modules: the tests must notice every small fault.

Each mutant of a module runs in a forked process with that module's own tests, which stop at the first
failure. A mutant that survives is a hole in the tests, unless `mutation_explained.txt` says why it changes
nothing that matters; an explanation that fits no survivor fails, too. What was run is remembered until module
or tests change, so a run that was broken off goes on.

    python scripts/mutate.py               all modules
    python scripts/mutate.py limits gate   those whose name ends so
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import hypothesis
import msgspec  # noqa: F401 - imported once, before the forks
import numpy as np  # noqa: F401 - likewise
import pytest

from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = Path(__file__).with_name("mutation_explained.txt")
RESULTS = ROOT / ".mutation"
SURVIVED, KILLED = "survived", "killed"
PATIENCE = 8.0
"""A mutant may take so many times as long as the tests without one; then it hangs, and is noticed."""
LEAST_S = 10.0
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")

MODULES: Mapping[str, tuple[str, ...]] = {
    "conventions": (
        "tests/test_conventions.py",
        "tests/control/test_rotation.py",
        "tests/edge/client/test_reply.py",
    ),
    "features": ("tests/test_features.py", "tests/test_field_types.py", "tests/test_specs.py"),
    "control.gate": ("tests/control/test_gate.py",),
    "control.limits": ("tests/control/test_limits.py",),
    "control.rotation": ("tests/control/test_rotation.py",),
    "control.fallback": (
        "tests/control/test_fallback.py",
        "tests/control/test_motion.py",
        "tests/control/test_holding.py",
    ),
    "control.motion": ("tests/control/test_motion.py", "tests/control/test_holding.py"),
    "control.plausibility": ("tests/control/test_plausibility.py",),
    "control.readings": ("tests/control/test_readings.py",),
    "control.interpolate": ("tests/control/test_interpolate.py",),
    "control.binary": ("tests/control/test_binary.py",),
    "control.gripper_memory": ("tests/control/test_gripper_memory.py",),
    "control.frames": ("tests/control/test_frames.py",),
    "control.call_timeout": ("tests/control/test_call_timeout.py",),
    "control.robot_check": ("tests/control/test_robot_check.py",),
    "control.axis_limiter": (
        "tests/control/test_axis_limiter.py",
        "tests/control/test_continuous.py",
        "tests/control/test_following.py",
        "tests/control/test_limits_hold.py",
        "tests/control/test_limits.py",
    ),
    "control.tick_schedule": ("tests/control/test_tick_schedule.py", "tests/control/test_pacing.py"),
    "control.end_reason": ("tests/control/test_end_reason.py", "tests/control/test_loop.py"),
    "control.episode": ("tests/control/test_episode.py", "tests/control/test_loop.py"),
    "control.signal_flag": ("tests/control/test_signal_flag.py",),
    "control.controller": ("tests/control/test_controller.py", "tests/control/test_loop.py"),
    "control.cycle": (
        "tests/control/test_own_loop.py",
        "tests/control/test_loop_accounts.py",
        "tests/control/test_loop_watched.py",
        "tests/control/test_loop.py",
        "tests/control/test_pacing.py",
    ),
    "control.feedback": ("tests/control/test_motion.py", "tests/control/test_holding.py"),
    "control.loop": (
        "tests/control/test_loop_accounts.py",
        "tests/control/test_loop_watched.py",
        "tests/control/test_loop.py",
        "tests/control/test_pacing.py",
    ),
    "control.camera_health": ("tests/control/test_camera_health.py", "tests/control/test_camera.py"),
    "control.state_reader": (
        "tests/control/test_state_reader.py",
        "tests/control/test_loop.py",
        "tests/control/test_readings.py",
    ),
    "control.requests": ("tests/control/test_loop.py",),
    "control.watchdog": ("tests/control/test_watchdog.py",),
    "edge.engine.plan": ("tests/edge/engine/test_plan.py",),
    "edge.client.codec": ("tests/edge/client/test_reply.py", "tests/edge/client/test_codec.py"),
    "wire.camera_fit": ("tests/wire/test_contract.py",),
    "wire.delta": ("tests/wire/test_depth.py",),
    "edge.engine.acceptance": ("tests/edge/engine/test_acceptance.py",),
    "edge.engine.playback": (
        "tests/edge/engine/test_playback.py",
        "tests/edge/engine/test_step_clock.py",
        "tests/edge/engine/test_directives.py",
    ),
    "edge.engine.refill": ("tests/edge/engine/test_refill.py", "tests/edge/engine/test_prefix.py"),
    "edge.states": ("tests/edge/test_states.py",),
    "edge.engine.offline_budget": ("tests/edge/engine/test_offline_budget.py",),
    "edge.client.inflight": ("tests/edge/client/test_inflight.py", "tests/edge/client/test_latency.py"),
    "edge.engine.engine": ("tests/edge/engine/test_engine.py",),
    "edge.client.handshake": ("tests/edge/client/test_handshake.py",),
    "edge.client.protocol": ("tests/edge/client/test_protocol.py",),
}
"""Module whose faults could move a robot wrongly → the tests that must notice them."""


class _Spoiled(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Import hook that loads one module from a changed syntax tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002 - as the import system calls it
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._path))

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:  # noqa: ARG002
        return b""

    def get_code(self, fullname: str) -> object:  # noqa: ARG002
        return compile(self._tree, str(self._path), "exec", dont_inherit=True)


def path_of(module: str) -> Path:
    """Return the file of a module, named from `vagus` on."""
    return ROOT / "src" / "vagus" / Path(*module.split(".")).with_suffix(".py")


def test_in_fork(module: str, tree: ast.Module, tests: Sequence[str]) -> int:
    """Start the tests against a module as in `tree`; return the process."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # shrinking tells people, and takes long
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("mutation")
    sys.meta_path.insert(0, _Spoiled(f"vagus.{module}", path_of(module), tree))
    os.chdir(ROOT)
    try:
        code = int(pytest.main([*PYTEST, *tests]))
    except BaseException:  # noqa: BLE001 - a mutant may do anything
        code = 1
    os._exit(code)


class Run:
    """The mutants of one module: those not run yet are run, a few at a time."""

    def __init__(self, module: str, workers: int) -> None:
        self.module, self.workers = module, workers
        self.tests = MODULES[module]
        source = path_of(module).read_text()
        self.tree = ast.parse(source)
        self.mutants = mutants_of(self.tree)
        texts = [source, *((ROOT / test).read_text() for test in self.tests)]
        self.key = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        self.file = RESULTS / f"{module}.json"
        self.results: dict[str, str] = self._remembered()
        self.limit_s = LEAST_S

    def _remembered(self) -> dict[str, str]:
        if not self.file.exists():
            return {}
        stored = json.loads(self.file.read_text())
        return dict(stored["results"]) if stored["key"] == self.key else {}

    def _remember(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        self.file.write_text(json.dumps({"key": self.key, "results": self.results}, indent=1))

    def run(self) -> list[str]:
        """Run what is left; return the names of the survivors."""
        left = [mutant for mutant in self.mutants if mutant.name not in self.results]
        if left:
            self._measure()
        running: dict[int, tuple[Mutant, float]] = {}
        while left or running:
            while left and len(running) < self.workers:
                mutant = left.pop(0)
                mutant.swap()
                process = test_in_fork(self.module, self.tree, self.tests)
                mutant.swap()
                running[process] = (mutant, time.monotonic())
            self._collect(running)
        self._remember()
        return [mutant.name for mutant in self.mutants if self.results[mutant.name] == SURVIVED]

    def _measure(self) -> None:
        began = time.monotonic()
        _, status = os.waitpid(test_in_fork(self.module, self.tree, self.tests), 0)
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"{self.module}: its tests fail without any fault; run pytest {' '.join(self.tests)}")
        self.limit_s = max(LEAST_S, PATIENCE * (time.monotonic() - began))

    def _collect(self, running: dict[int, tuple[Mutant, float]]) -> None:
        for process, (mutant, began) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended and time.monotonic() - began > self.limit_s:
                os.killpg(process, signal.SIGKILL)
                ended, status = os.waitpid(process, 0)
            if ended:
                del running[process]
                code = os.waitstatus_to_exitcode(status)
                if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
                    sys.exit(f"{self.module}: pytest ended with {code} for {self.tests}")
                self.results[mutant.name] = KILLED if code else SURVIVED
                if len(self.results) % 20 == 0:
                    self._remember()
        time.sleep(0.01)


def explanations(text: str) -> dict[str, dict[str, str]]:
    """Return module → mutant → why it may survive.

    A line in brackets names a module, a line at the margin a mutant, indented lines below it the reason.
    """
    found: dict[str, dict[str, str]] = {}
    module = mutant = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            module = line.strip("[]")
            found[module] = {}
        elif line.startswith(" "):
            found[module][mutant] = f"{found[module][mutant]} {line.strip()}".strip()
        else:
            mutant = line
            found[module][mutant] = ""
    return found


def report(run: Run, survivors: Sequence[str], explained: Mapping[str, str]) -> int:
    """Print the result; return the number of mutants with a missing or a needless explanation."""
    open_ = [name for name in survivors if not explained.get(name)]
    idle = [name for name in explained if name not in survivors]
    killed = len(run.mutants) - len(survivors)
    print(
        f"{run.module}: {len(run.mutants)} mutants, {killed} killed, "
        f"{len(survivors) - len(open_)} explained, {len(open_)} to be looked at",
        flush=True,
    )
    for name in open_:
        print(f"  survived: {name}")
    for name in idle:
        print(f"  explained, but no survivor: {name}")
    return len(open_) + len(idle)


def main() -> int:
    """Run the modules asked for; exit 1 unless every mutant is killed or explained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", nargs="*", help="e.g. limits, control.gate; none: all")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    chosen = [
        m for m in MODULES if not asked.module or any(f".{m}".endswith(f".{end}") for end in asked.module)
    ]
    if not chosen:
        parser.error(f"known modules: {', '.join(MODULES)}")
    explained = explanations(EXPLAINED.read_text())
    faults = 0
    for module in chosen:
        run = Run(module, asked.workers)
        faults += report(run, run.run(), explained.get(module, {}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
