"""Command `vagus run`: drives a robot by a served policy."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import msgspec
import tyro
from rich.console import Console
from rich.markup import escape

from vagus.api.parts import RunSettings, make_client
from vagus.api.run import Assembly, assemble, told
from vagus.cli.console import as_typed, console
from vagus.cli.hosted_policy import HostedPolicy, check_hosted
from vagus.cli.joints import joints_in, joints_table
from vagus.cli.live_line import LiveLine
from vagus.cli.log_output import LogFlags
from vagus.cli.needed import check_needed
from vagus.cli.output_file import check_output
from vagus.cli.parse import parse_as
from vagus.cli.run_report import RunSummary, exit_code_for, summarise, summary_table
from vagus.cli.signals import ended_by_signals
from vagus.cli.steady_output import end_process
from vagus.cli.switches import with_switches
from vagus.cli.waiting import keep_trying
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.fallback import returns_to_start
from vagus.control.loop_stats import LoopSummary
from vagus.control.narration_thread import NarrationThread, greetings, trouble_of
from vagus.control.robot_check import admitted
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.handshake import Contract
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import ConfigError
from vagus.import_path import Option
from vagus.robots.registry import load_robot
from vagus.robots.robot import Robot
from vagus.specs import RobotSpec
from vagus.transport.link import Link
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["RunCommand"]

_ResultT = TypeVar("_ResultT")


VIEWER_ADDRESS = re.compile(r"rerun(\+https?)?://[^/\s]+/proxy")
ONLY_LEROBOT = ("provenance", "repo_id", "codec", "encoder_threads")
ONLY_FOLDER = ("jpeg_quality", "max_waiting_steps", "max_waiting_chunks", "max_waiting_images", "flush_s")
"""Settings that only one recording format has."""


@dataclass(frozen=True)
class RecordFlags(RecorderConfig):
    """The recorder's settings as flags: the folder is --record, the others begin with --record and a dot."""

    directory: Annotated[str, tyro.conf.arg(name="")] = ""

    def __post_init__(self) -> None:
        RecorderConfig.__post_init__(self)
        every = tuple(entry.name for entry in fields(RecorderConfig) if entry.name != "directory")
        if not self.directory:
            for name in every:
                _check_default(self, name, wanted="--record FOLDER, too: nothing is recorded otherwise")
        for name in ONLY_FOLDER if self.format == "lerobot" else ONLY_LEROBOT:
            other = "folder" if self.format == "lerobot" else "lerobot"
            _check_default(
                self, name, wanted=f"--record.format {other}: with another format, the setting has no effect"
            )

    def from_here(self) -> RecordFlags:
        """Return the flags with an absolute folder, because a driver may change the working directory."""
        return replace(self, directory=os.path.abspath(self.directory) if self.directory else "")


@dataclass(frozen=True)
class RunCommand:
    """Drive a robot by a served policy.

    The robot is connected only after a warm server has accepted the session. Ctrl-C first stops the robot.
    Example: vagus run --robot sim --connect tcp/gpu-server:7447
    """

    robot: str = "sim"
    """sim, gates, astribot, gym:<environment id>, lerobot:<robot type>, replay:<recorded session>, or your
    own (file.py:Class, package.module:Class)."""
    options: dict[str, Option] = field(default_factory=dict)
    """Settings of the robot, e.g. --options rate_hz 100 seed 3, or port /dev/ttyACM0 id my_arm."""
    policy: str = ""
    """Address of another system's policy server, e.g. openpi+ws://gpu-server:8000; empty: a served policy. A
    process beside this one talks to it, and ends with this one."""
    policy_options: dict[str, Option] = field(default_factory=dict)
    """Settings of that server, e.g. --policy-options profile droid; `vagus serve --policy ADDRESS --help`
    lists them."""
    service: str = ""
    """Service as model/revision/name, as `vagus serve` and `vagus status` print it; empty: the only
    service."""
    name: str = field(default_factory=socket.gethostname)
    """Name of this robot, unique among the robots of a server."""
    instruction: str = ""
    """Instruction for the policy; empty: the policy's default."""
    rename: dict[str, str] = field(default_factory=dict)
    """Robot name → policy name, for actions, state features and cameras, e.g. --rename front cam_high."""
    tags: dict[str, str] = field(default_factory=dict)
    """Free text for the server's log and audit, e.g. --tags site lab2."""
    wait: bool = False
    """Try until a router and a server are found and accept the robot, instead of an error after
    --open-timeout-s and --connect-timeout-s. A server that still starts is always waited for."""
    view: bool = False
    """Show the run in the Rerun viewer, which is started on this screen (vagus[view]). A viewer that is slow,
    or ends, costs the run nothing."""
    view_at: str = ""
    """With --view: address of a viewer that runs elsewhere, e.g. rerun+http://laptop:9876/proxy, or a file
    (.rrd)."""
    json: bool = False
    """Print the summary as JSON for a program."""
    zenoh: Annotated[ZenohConfig, tyro.conf.arg(name="")] = field(default_factory=ZenohConfig)
    edge: Annotated[EdgeConfig, tyro.conf.arg(name="")] = field(default_factory=EdgeConfig)
    loop: Annotated[LoopConfig, tyro.conf.arg(name="")] = field(default_factory=LoopConfig)
    record: RecordFlags = field(default_factory=RecordFlags)
    log: Annotated[LogFlags, tyro.conf.arg(name="")] = field(default_factory=LogFlags)
    is_lasting: ClassVar[bool] = True
    """The command must not hang or fail because of its terminal."""

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> RunCommand:
        """Return the command as the arguments have it, its words in whatever letters they were typed.

        Raises:
            SystemExit: help was asked for, or a flag does not fit; either was printed.
        """
        command = parse_as(cls, "run", arguments)
        check_needed(command, RunCommand(), ("policy_options",), "policy")
        check_needed(command, RunCommand(), ("view_at",), "view")
        check_hosted(command.policy, command.policy_options, command.service, command.zenoh)
        if not returns_to_start(command.loop.fallback):
            check_needed(command.loop, LoopConfig(), ("return_time_s",), "return_to_start")
        check_needed(command.loop, LoopConfig(), ("ready_time_s",), "move_to_ready")
        return replace(
            command,
            options=with_switches(command.options),
            policy=as_typed(command.policy),
            service=as_typed(command.service),
            name=as_typed(command.name),
            instruction=as_typed(command.instruction),
            rename=_all_as_typed(command.rename),
            tags=_all_as_typed(command.tags),
            view_at=_checked_viewer(as_typed(command.view_at)),
            record=command.record.from_here(),
        )

    def run(self) -> int:
        """Run until the end, Ctrl-C, or a dead link."""
        screen = console(stderr=self.json)
        with ended_by_signals():
            robot = load_robot(self.robot, self.options)
            spec = admitted(robot.spec, self.loop.admission)
            with self._host(screen) as network, closing(ZenohLink(network)) as link:
                self._keep_trying(link.open, screen)
                return self._run_on(link, robot, spec, screen)

    @contextmanager
    def _host(self, screen: Console) -> Iterator[ZenohConfig]:
        """Yield the settings of the network: with --policy, those of a process that serves it to this one."""
        if not self.policy:
            yield self.zenoh
            return
        with HostedPolicy(self.policy, self.policy_options) as hosted:
            screen.print(f"connecting {escape(self.policy)} …", highlight=False)
            self._keep_trying(hosted.start, screen)
            yield replace(self.zenoh, connect=(hosted.endpoint,))

    def _run_on(self, link: Link, robot: Robot, spec: RobotSpec, screen: Console) -> int:
        with make_client(link, spec, self._settings) as client:
            contract = self._keep_trying(client.open, screen)
            self._greet(contract, screen)
            assembly = self._assemble(robot, spec, client, contract, screen)
            loop = assembly.loop
            screen.print(f"robot running: {escape(self.robot)} as {escape(self.name)}", highlight=False)
            narration = NarrationThread(loop.changes, lambda: trouble_of(client.status()))
            with LiveLine(screen, lambda: loop.status, client.status), narration:
                summary = loop.run()
            result = self._result(summary, client, robot, assembly)
        self._print(result, screen)
        return result.exit_code

    @property
    def _settings(self) -> RunSettings:
        return RunSettings(
            self.service, self.name, self.instruction, self.rename, self.tags, self.edge, self.loop
        )

    def _result(
        self, summary: LoopSummary, client: PolicyClient[Engine], robot: Robot | None, assembly: Assembly
    ) -> RunSummary:
        status = client.status()
        return summarise(
            told(summary, status),
            client.counters(),
            robot,
            assembly.recording,
            recorded=assembly.recorded,
            client=status,
        )

    def _print(self, result: RunSummary, screen: Console) -> None:
        if self.json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        else:
            screen.print(summary_table(result))
            if joints := joints_in(result.robot):
                screen.print(joints_table(joints))

    def _keep_trying(self, attempt: Callable[[], _ResultT], screen: Console) -> _ResultT:
        """Return the result of `attempt`; with `--wait`, repeat it until a server is found."""
        return keep_trying(attempt, screen) if self.wait else attempt()

    def _greet(self, contract: Contract, screen: Console) -> None:
        for line in greetings(contract):
            mark = "[yellow]warning[/] " if line.is_warning else ""
            screen.print(f"{mark}{escape(line.text)}", highlight=False, soft_wrap=True)

    def _assemble(
        self, robot: Robot, spec: RobotSpec, client: PolicyClient[Engine], contract: Contract, screen: Console
    ) -> Assembly:
        def end(summary: LoopSummary) -> None:
            """End the process, whose main thread hangs in the driver."""
            say = lambda: self._print(self._result(summary, client, None, assembly), screen)  # noqa: E731
            end_process(say, exit_code_for(summary.reason, is_stopped=summary.is_stopped))

        assembly = assemble(
            robot,
            spec,
            client,
            self._settings,
            contract=contract,
            label=self.robot,
            record=self.record,
            network=self.zenoh,
            view=self.view_at if self.view else None,
            on_stuck=end,
        )
        return assembly


def _check_default(flags: RecordFlags, name: str, *, wanted: str) -> None:
    """Raise ConfigError if a setting of the recording was given that has no effect."""
    given = getattr(flags, name)
    if given != getattr(RecorderConfig(), name):
        raise ConfigError(f"record.{name}", wanted=wanted, got=f"{given!r} alone")


def _all_as_typed(table: dict[str, str]) -> dict[str, str]:
    return {as_typed(name): as_typed(text) for name, text in table.items()}


def _checked_viewer(at: str) -> str:
    """Return the address of a viewer, or the absolute path of a file.

    Raises:
        ConfigError: neither.
    """
    if at.endswith(".rrd") and "://" not in at:
        check_output("view_at", Path(at), (".rrd",))
        return os.path.abspath(at)
    if at and not VIEWER_ADDRESS.fullmatch(at):
        raise ConfigError(
            "view_at",
            wanted="an address such as rerun+http://laptop:9876/proxy, or a file that ends in .rrd",
            got=repr(at),
        )
    return at
