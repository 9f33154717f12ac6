"""Command `vagus demo`: a simulated arm, a policy in another process, and faults between them."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vagus.cli.child import Child
from vagus.cli.console import console
from vagus.cli.demo_plot import PLOT_FIX, save_plot
from vagus.cli.demo_report import DemoFault, DemoTick, Report, build_report
from vagus.cli.exit_code import ExitCode
from vagus.cli.log_output import LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.output_file import check_output
from vagus.cli.run_report import summary_in
from vagus.clock import monotonic_ns
from vagus.demo.robot import SimRobot
from vagus.edge.config import EdgeConfig
from vagus.errors import VagusError
from vagus.transport.fault_path import Faults
from vagus.transport.faults import FaultProxy
from vagus.viewing.drawing import DRAWING_SUFFIXES

__all__ = ["DemoCommand"]

START_TIMEOUT_S = 60.0
"""Longest wait for the processes: a Raspberry Pi is slow to import numpy three times."""
CALM_S = 6.0
"""Time without a fault before the first fault and between two faults."""
HANG_S = 4.0
CUT_S = 2.0
EXTRA_DELAY_MS = 150.0
SLOW_S = 6.0


@dataclass(frozen=True)
class DemoCommand:
    """Watch an arm reach targets while its server is killed, hung and cut off (about 40 s)."""

    json: bool = False
    """Print the result as JSON for a program."""
    plot: bool = True
    """Save a plot of joints, states and faults, if matplotlib is installed (vagus[plot])."""
    out: Path = Path("demo.png")
    """File of the plot."""
    record: str = ""
    """Folder for the recording of the robot's run, with images; empty: it is not kept."""
    inference_ms: float = 60.0
    """Shortest inference time of the policy, as with a large model, in milliseconds."""
    seed: int = 0
    """Seed of the random targets."""
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)

    def run(self) -> int:
        """Run the demo, print the result, and return 0 only if there were no violations."""
        check_needed(self, DemoCommand(), ("out",), "plot")
        screen = console(stderr=self.json)
        if self.plot:
            check_output("out", self.out, DRAWING_SUFFIXES)  # not after a minute
        with tempfile.TemporaryDirectory(prefix="vagus-demo-") as folder:
            stage = _Stage(self, Path(folder), screen)
            report, ticks, faults = stage.play()
        if stage.kept:
            screen.print(f"recording: {stage.kept}", highlight=False, markup=False, soft_wrap=True)
        if self.json:
            print(msgspec.json.encode(report).decode())
        else:
            show(screen, report)
        if self.plot:
            is_saved = save_plot(self.out, ticks, faults)
            text = f"picture: {self.out}" if is_saved else f"no picture: it takes matplotlib ({PLOT_FIX})"
            screen.print(text, highlight=False, markup=False)
        return ExitCode.FAILED if report.problems else ExitCode.OK


class _Stage:
    """The three processes of the demo, the bad network, and the faults.

    Attributes:
        kept: folder of the recording that outlives the demo; "": none does.
    """

    def __init__(self, command: DemoCommand, folder: Path, console: Console) -> None:
        self._command = command
        self._folder = folder
        self._console = console
        self._faults: list[DemoFault] = []
        self.kept = ""

    def play(self) -> tuple[Report, list[DemoTick], list[DemoFault]]:
        """Run the demo from start to end."""
        with ExitStack() as stack:
            router = stack.enter_context(Child("router", ["router", "--listen", "tcp/127.0.0.1:0"]))
            endpoint = router.wait_for_line("router ready on", timeout_s=START_TIMEOUT_S).split()[-1]
            host, _, port = endpoint.partition("/")[2].rpartition(":")
            proxy = stack.enter_context(FaultProxy(host, int(port)))
            self._say(
                f"router on {endpoint}; the robot reaches it through a bad network on port {proxy.port}"
            )
            server = stack.enter_context(Child("server", self._server_arguments(endpoint)))
            server.wait_for_line("server ready", timeout_s=START_TIMEOUT_S)
            robot = stack.enter_context(Child("robot", self._robot_arguments(f"tcp/127.0.0.1:{proxy.port}")))
            robot.wait_for_line("robot running", timeout_s=START_TIMEOUT_S)
            self._say("server and robot are up; the arm reaches for targets that it sees")
            self._disturb(server, proxy, robot)
            robot.signal(signal.SIGINT)
            robot.wait(timeout_s=START_TIMEOUT_S)
            return self._report(robot)

    def _disturb(self, server: Child, proxy: FaultProxy, robot: Child) -> None:
        self._calm(robot)
        with self._fault("server killed, restarted"):
            server.signal(signal.SIGKILL)
            server.wait(timeout_s=10.0)
            server.start()
        server.wait_for_line("server ready", timeout_s=START_TIMEOUT_S)
        self._calm(robot)
        with self._fault(f"server hangs {HANG_S:g} s"):
            server.signal(signal.SIGSTOP)
            time.sleep(HANG_S)
            server.signal(signal.SIGCONT)
        self._calm(robot)
        with self._fault(f"network cut {CUT_S:g} s"):
            proxy.cut()
            time.sleep(CUT_S)
            proxy.heal()
        self._calm(robot)
        with self._fault(f"{EXTRA_DELAY_MS:g} ms more delay"):
            proxy.set(Faults(delay_ms=EXTRA_DELAY_MS))
            time.sleep(SLOW_S)
            proxy.set(Faults())
        time.sleep(CALM_S / 2)

    @contextmanager
    def _fault(self, name: str) -> Iterator[None]:
        self._say(f"  fault: {name}")
        begin_ns = monotonic_ns()
        yield
        self._faults.append(DemoFault(name, begin_ns, monotonic_ns()))

    def _calm(self, robot: Child) -> None:
        time.sleep(CALM_S)
        if robot.exit_code is not None:
            raise VagusError(f"the robot ended early with code {robot.exit_code}:\n{robot.output}")

    def _server_arguments(self, endpoint: str) -> list[str]:
        speed = ["--options", "inference_ms", f"{self._command.inference_ms:g}"]
        return ["serve", "--policy", "reach", *speed, "--connect", endpoint]

    def _robot_arguments(self, endpoint: str) -> list[str]:
        sim = ["--robot", "sim", "--options", "rate_hz", "100", "seed", str(self._command.seed)]
        kept = self._command.record
        record = ["--record", kept] if kept else ["--record", str(self._folder), "--record.no-images"]
        return ["run", *sim, *record, "--name", "demo-arm", "--json", "--connect", endpoint]

    def _report(self, robot: Child) -> tuple[Report, list[DemoTick], list[DemoFault]]:
        run = summary_in(robot.output)
        self.kept = run.recording if self._command.record else ""
        decode = msgspec.json.Decoder(DemoTick).decode
        ticks = [decode(line) for line in (Path(run.recording) / "steps.jsonl").read_bytes().splitlines()]
        max_age_s = EdgeConfig().max_action_age_s
        report = build_report(run, ticks, self._faults, max_age_s=max_age_s, self_test=inject_violation())
        return report, ticks, self._faults

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def inject_violation() -> dict[str, int]:
    """Send one jump and one NaN to a simulated arm, to show that its audit counts them."""
    robot = SimRobot()
    robot.connect()
    pose = robot.read_state()[: len(robot.spec.actions)].astype(np.float64)
    for action in (pose, pose + 1.0, pose * np.nan):
        robot.command(action)
    robot.stop()
    robot.close()
    return {"injected": 2, "counted": min(2, robot.report().audit.violations)}


def show(console: Console, report: Report) -> None:
    """Print the result for a person."""
    table = Table(
        title=f"{report.seconds:.0f} s, {report.targets_reached} targets reached", title_justify="left"
    )
    for column in ("fault", "recovered after", "without a plan"):
        table.add_column(column)
    for fault in report.faults:
        recovery = "never" if fault.recovery_s is None else f"{fault.recovery_s:.2f} s"
        table.add_row(fault.name, recovery, f"{fault.starved_s:.2f} s")
    console.print(table)
    must_be_zero = {
        "limit violations": report.limit_violations,
        "stale commands": report.stale_commands,
        "exceptions in the loop": report.loop_exceptions,
    }
    console.print(", ".join(f"{count} {what}" for what, count in must_be_zero.items()), highlight=False)
    counted, injected = report.self_test["counted"], report.self_test["injected"]
    console.print(f"(the arm's own audit; of {injected} violations sent on purpose it counted {counted})")
    lateness = ", ".join(f"{name} {ms:.2f} ms" for name, ms in report.lateness_ms.items())
    console.print(
        f"longest time without a plan action {report.longest_gap_s:.2f} s; tick lateness {lateness}"
    )
    for problem in report.problems:
        console.print(f"[bold red]problem:[/] {escape(problem)}", highlight=False)
