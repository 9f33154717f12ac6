"""`vagus.run`: the library's own control loop drives a robot object of the user's."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from vagus.api.parts import RunSettings, check_spec, make_client, make_motion, network, told_settings
from vagus.control.config import LoopConfig, RecorderConfig
from vagus.control.loop import ControlLoop
from vagus.control.loop_stats import EndReason, LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.narration_thread import NarrationThread, tell_end, tell_greetings, trouble_of
from vagus.control.ports import LoopPorts, RecorderPort
from vagus.control.robot_check import admitted
from vagus.control.watchdog import within
from vagus.edge.client.client import ClientStatus, PolicyClient
from vagus.edge.client.handshake import Contract
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.recording.registry import Run, open_recording, shown
from vagus.robots.robot import FiniteRobot, Robot, check_callable
from vagus.specs import RobotSpec, vouched
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig

__all__ = ["Assembly", "assemble", "run", "told"]

HUNG_CODE, NOT_STOPPED_CODE = 9, 10
"""Exit codes of a process whose driver does not return: the robot was stopped, or it could not be."""
LOG_S = 1.0
"""How long the log may hold the end up."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """A control loop that is ready to run, where it is recorded ("": nowhere), and who records it."""

    loop: ControlLoop
    recording: str
    recorder: RecorderPort | None

    @property
    def recorded(self) -> Mapping[str, int]:
        """What was recorded, and under names with "dropped" what was lost."""
        return {} if self.recorder is None else self.recorder.counters


def assemble(  # noqa: PLR0913 - the parts of a run
    robot: Robot,
    spec: RobotSpec,
    client: PolicyClient[Engine],
    settings: RunSettings,
    *,
    contract: Contract,
    label: str,
    record: RecorderConfig,
    network: ZenohConfig,
    view: str | None = None,
    on_stuck: Callable[[LoopSummary], None],
) -> Assembly:
    """Put a control loop together.

    Args:
        robot: not connected yet.
        spec: its spec, admitted.
        client: open.
        settings: of the run.
        contract: what the client's `open` returned.
        label: what the robot is called in a recording.
        record: settings of the recorder.
        network: settings of the network, for the recording.
        view: address of a Rerun viewer that shows the run, "": one that is started here; None: nobody does.
        on_stuck: called on another thread when the control thread is stuck in the driver, after the robot was
            stopped.
    """
    mapping = OrderMapping(spec, contract.policy, settings.rename)
    motion = make_motion(mapping, spec, settings)
    who = Run(
        label,
        settings.robot_name,
        settings.instruction,
        settings.tags,
        vouched(spec),
        settings.rename,
        told_settings(settings, record, network),
    )
    recording = open_recording(record, who, robot, mapping, contract)
    if view is not None:
        recording = shown(recording, view, who, mapping, contract)
    ports = LoopPorts(
        robot, client.engine, client, motion, mapping, recording.recorder, recording.read_images
    )
    loop = until_its_end(settings.loop, robot)
    return Assembly(ControlLoop(ports, loop, on_stuck=on_stuck), recording.place, recording.recorder)


def until_its_end(loop: LoopConfig, robot: Robot) -> LoopConfig:
    """Return the settings for a robot that has only so many episodes: the run ends with the last of them."""
    if not isinstance(robot, FiniteRobot):
        return loop
    there = robot.recorded_episodes
    return replace(loop, episodes=there if loop.episodes is None else min(loop.episodes, there))


def run(  # noqa: PLR0913 - settings, each with a default
    robot: Robot,
    endpoint: str | tuple[str, ...] = "",
    *,
    service: str = "",
    name: str = "",
    instruction: str = "",
    rename: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    edge: EdgeConfig | None = None,
    loop: LoopConfig | None = None,
    record: RecorderConfig | None = None,
    zenoh: ZenohConfig | None = None,
) -> LoopSummary:
    """Drive your robot from a served policy until the settings, a signal or a failure end it.

    As `vagus run` does: the robot is connected after a server has accepted the session and is warm, and
    stopped on every way out. Call it on the main thread, so that signals are seen. A call into the robot that
    does not return ends the process, after the robot was stopped from another thread: exit code 9, or 10 if
    that failed.

    Args:
        robot: an object with the methods of `vagus.Robot`; not connected yet.
        endpoint: of the router, e.g. "tcp/router:7447"; "": one on this host.
        service: model/revision/name of the policy; "": the only one there is.
        name: name of this robot, unique among the robots of a server; "": the host's.
        instruction: what the robot is to do; "": the policy's default.
        rename: robot name → policy name, for actions, state features and cameras.
        tags: free text for the server's log and audit.
        edge: settings of the policy client.
        loop: settings of the control loop: how long, how many episodes, what without a plan.
        record: settings of the recorder; None: nothing is recorded.
        zenoh: settings of the network.

    Returns:
        What happened; `reason` says why it ended. A robot or link that fails raises nothing after the start.

    Raises:
        LinkError: no router, or no server in time.
        SessionRefusedError: every server said no.
        SpecError: robot and policy do not fit, or the robot lacks bounds or measurements.
        ConfigError: a setting is wrong.
    """
    settings = RunSettings(
        service, name, instruction, rename or {}, tags or {}, edge or EdgeConfig(), loop or LoopConfig()
    )
    check_callable(robot)
    check_spec(robot.spec)
    spec = admitted(robot.spec, settings.loop.admission)
    reached = network(endpoint, zenoh)
    with closing(ZenohLink(reached)) as link:
        link.open()
        with make_client(link, spec, settings) as client:
            contract = client.open()
            tell_greetings(contract)
            assembly = assemble(
                robot,
                spec,
                client,
                settings,
                contract=contract,
                label=type(robot).__name__,
                record=record or RecorderConfig(),
                network=reached,
                on_stuck=_end_process,
            )
            with NarrationThread(assembly.loop.changes, lambda: trouble_of(client.status())):
                summary = assembly.loop.run()
            return told(summary, client.status())


def told(summary: LoopSummary, status: ClientStatus) -> LoopSummary:
    """Log the end of a run; return its summary, with all that is known about a link that is dead."""
    if summary.reason is EndReason.DEAD:
        summary = replace(summary, error=status.cause_of(summary.error))
    tell_end(summary)
    return summary


def _end_process(summary: LoopSummary) -> None:
    """End the process, whose main thread is stuck in the driver (the watchdog's thread)."""
    tell_end(summary)
    within("the log", logging.shutdown, LOG_S)
    os._exit(HUNG_CODE if summary.is_stopped else NOT_STOPPED_CODE)
