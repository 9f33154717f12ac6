"""`vagus lerobot-rollout`: LeRobot's own rollout, driven by a served policy through vagus's engine.

Config, context, strategies, recording and teardown are LeRobot's. What it builds is a dataclass of parts;
some of these are replaced, nothing of LeRobot is changed.
"""
# no `from __future__ import annotations`: LeRobot's parser reads the annotation of `rollout` as it is

import contextlib
import dataclasses
import functools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lerobot.scripts.lerobot_rollout  # noqa: F401 - registers LeRobot's robots, cameras and teleoperators
from lerobot.configs import parser
from lerobot.rollout.configs import RolloutConfig
from lerobot.rollout.context import RolloutContext
from lerobot.rollout.strategies import create_strategy
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot.utils.process import ProcessSignalHandler
from lerobot.utils.utils import init_logging
from lerobot.utils.visualization_utils import init_visualization, shutdown_visualization

from vagus.control.log_writer import write_on_a_thread
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.motion import Motion
from vagus.control.narration_thread import NarrationThread, tell_end, tell_greetings, trouble_of
from vagus.control.outcome import RunOutcome
from vagus.control.robot_check import admitted
from vagus.edge.client.client import PolicyClient
from vagus.edge.client.session import SessionOpener, parse_service
from vagus.edge.engine.engine import Engine
from vagus.errors import ConfigError, VagusError
from vagus.integrations.lerobot.dataset.provenance import (
    FrameShape,
    ProvenanceLog,
    RecordedDataset,
    add_columns,
)
from vagus.integrations.lerobot.robot.features import DeviceMapping, load_device_mapping, spec_of
from vagus.integrations.lerobot.robot.network import Freshness, limit_zmq_linger
from vagus.integrations.lerobot.rollout.building import DEVICES, build, let_go, unusable
from vagus.integrations.lerobot.rollout.ending import Ending, as_robot_error, passed_through
from vagus.integrations.lerobot.rollout.engine import EnginePorts, VagusInferenceConfig, VagusInferenceEngine
from vagus.integrations.lerobot.rollout.guarded_robot import (
    LEFT_AFTER_S,
    GuardedRobot,
    WatchedStep,
    watch_idle,
)
from vagus.integrations.lerobot.rollout.names import identity_of
from vagus.integrations.lerobot.rollout.oversight import Oversight
from vagus.integrations.lerobot.rollout.pilot import Pilot, PilotPorts
from vagus.integrations.lerobot.rollout.remote_policy import VagusConfig
from vagus.integrations.lerobot.rollout.settings import label, settle
from vagus.specs import RobotSpec, rename_robot_spec, vouched

__all__ = ["main", "rollout", "run_rollout"]

logger = logging.getLogger(__name__)

LIVE_FRAMES = 64
"""Number of observations that are kept for frames that are recorded at once."""
LEFT_AFTER_TICKS = 3
"""Ticks without a command after which a moving robot is stopped, in a slow loop."""


def main(arguments: Sequence[str], on_stuck: Callable[[LoopSummary], None] = lambda _: None) -> RunOutcome:
    """Run a rollout with these arguments, LeRobot's own; return how it ended.

    `on_stuck` is called on another thread when the loop's is stuck in the robot, after that was stopped.

    Raises:
        VagusError: nothing was run: no server, a refusal, settings that are wrong, a robot that cannot be
            connected, or that does not fit the policy.
    """
    register_third_party_plugins()
    sys.argv = ["vagus lerobot-rollout", *_complete(list(arguments))]  # LeRobot reads its flags from there
    try:
        outcome: RunOutcome = rollout(on_stuck=on_stuck)
    except Exception as error:
        said = passed_through(error, RolloutConfig.__post_init__.__code__)
        if isinstance(error, VagusError) or said is None:
            raise
        raise unusable(said) from error
    return outcome


@parser.wrap()  # type: ignore[untyped-decorator]
def rollout(cfg: RolloutConfig, on_stuck: Callable[[LoopSummary], None] = lambda _: None) -> RunOutcome:
    """Drive the robot that `cfg` describes until the strategy ends, Ctrl-C, or the link is dead."""
    init_logging()
    write_on_a_thread(logging.getLogger())
    with _display(cfg):
        return run_rollout(cfg, ProcessSignalHandler(use_threads=True, display_pid=False), on_stuck)


def run_rollout(
    cfg: RolloutConfig,
    signals: ProcessSignalHandler,
    on_stuck: Callable[[LoopSummary], None] = lambda _: None,
) -> RunOutcome:
    """Run one rollout; LeRobot's teardown has happened when this returns or raises.

    Raises:
        VagusError: as `main`.
    """
    policy, inference = settle(cfg, sys.argv[1:])

    def give_up() -> None:
        on_stuck(ending.summary())

    oversight = Oversight(signals.shutdown_event, tick_s=inference.tick_timeout_s, on_stuck=give_up)
    ending = Ending(oversight)
    with oversight, contextlib.ExitStack() as stack:  # whatever happens, each of these is tried
        ctx = build(cfg, signals.shutdown_event)
        stack.callback(let_go, ctx)
        installed = _install(ctx, policy, inference, oversight, stack)
        ending.pilot = installed.pilot
        strategy = create_strategy(cfg.strategy)
        stack.callback(strategy.teardown, ctx)
        stack.callback(oversight.end)
        stack.callback(installed.halt)  # before what takes its time: videos, uploads, the way back
        stack.enter_context(
            NarrationThread(installed.pilot.changes, lambda: trouble_of(installed.client.status()))
        )
        with _recorded(ctx, ending):
            oversight.begin()
            try:
                strategy.setup(ctx)
                strategy.run(ctx)
            except KeyboardInterrupt:
                ending.was_interrupted = True
            except Exception as error:  # noqa: BLE001 - it is told when the robot has been let go
                ending.cause = as_robot_error(error, DEVICES)
    outcome = ending.outcome(installed.client)
    tell_end(outcome.summary)
    return outcome


# -- parts ----------------------------------------------------------------------------------------------


def _complete(arguments: list[str]) -> list[str]:
    """Return the arguments with both types where they were left out."""
    for field in ("policy", "inference"):
        if parser.get_type_arg(field, arguments) is None and parser.get_path_arg(field, arguments) is None:
            arguments = [*arguments, f"--{field}.type=vagus"]
    return arguments


@contextlib.contextmanager
def _display(cfg: RolloutConfig) -> Iterator[None]:
    if not cfg.display_data:
        yield
        return
    init_visualization(cfg.display_mode, session_name="rollout", ip=cfg.display_ip, port=cfg.display_port)
    try:
        yield
    finally:
        shutdown_visualization(cfg.display_mode)


def _halt(guard: GuardedRobot, pilot: Pilot) -> None:
    """Stop a robot that would go on moving; do nothing for others."""
    if not pilot.at_rest:
        return
    try:
        guard.halt()
    except Exception:
        logger.critical("the robot could not be brought to a stand", exc_info=True)
    pilot.halted()


@dataclasses.dataclass(frozen=True, slots=True)
class _Installed:
    """Our parts in LeRobot's context."""

    pilot: Pilot
    client: PolicyClient[Engine]
    halt: Callable[[], None]


def _install(
    ctx: RolloutContext,
    policy: VagusConfig,
    inference: VagusInferenceConfig,
    oversight: Oversight,
    stack: contextlib.ExitStack,
) -> _Installed:
    """Open the session and put our parts into the context; they end with `stack`."""
    spec = admitted(_spec(ctx, policy), inference.admission)
    for line in vouched(spec):
        logger.warning("driven because somebody vouches for it: %s", line)
    client = _open_client(spec, policy, label(ctx.runtime.cfg), stack)
    task = label(ctx.runtime.cfg, client.contract.capabilities.default_instruction)
    client.set_instruction(task)
    pilot = _pilot(spec, client, policy, inference)
    guard = _guard(ctx, pilot, oversight, stack)
    halt = functools.partial(_halt, guard, pilot)
    journal = _record(ctx, policy, halt)
    ports = EnginePorts(
        ctx.runtime.shutdown_event, client.set_instruction, client.instruction_of, halt, journal
    )
    ctx.policy.inference = VagusInferenceEngine(pilot, ports, task=task)
    return _Installed(pilot, client, halt)


def _guard(
    ctx: RolloutContext, pilot: Pilot, oversight: Oversight, stack: contextlib.ExitStack
) -> GuardedRobot:
    """Put a guard before the robot; it watches until `stack` ends."""
    cfg, wrapper = ctx.runtime.cfg, ctx.hardware.robot_wrapper
    limit_zmq_linger(wrapper.inner)
    fresh = Freshness(f"lerobot:{cfg.robot.type} get_observation")
    guard = GuardedRobot(
        wrapper,
        pilot.at_rest,
        judge=functools.partial(pilot.senses.observe, check=fresh.check),
        left_after_s=max(LEFT_AFTER_S, LEFT_AFTER_TICKS / cfg.fps),
        overseer=oversight,
    )
    guard.on_sent = pilot.watch.sent
    oversight.oversee(guard)
    ctx.hardware.robot_wrapper = guard
    step = ctx.processors.robot_action_processor
    ctx.processors.robot_action_processor = WatchedStep(step, guard.note_computed)
    if pilot.at_rest:
        stack.enter_context(watch_idle(guard))
    return guard


def _spec(ctx: RolloutContext, policy: VagusConfig) -> RobotSpec:
    """Return the robot as LeRobot's rollout commands it: its action keys, their order, its rate."""
    cfg, keys = ctx.runtime.cfg, tuple(ctx.data.ordered_action_keys)
    if not keys:
        raise ConfigError(
            "robot.type",
            wanted="a robot whose actions end in .pos or .vel; LeRobot's rollout leaves others alone",
            got=f"{cfg.robot.type}, with {sorted(ctx.hardware.robot_wrapper.action_features)}",
            fix="`vagus run --robot lerobot:<type>` drives it",
        )
    stated = load_device_mapping(Path(policy.mapping)) if policy.mapping else DeviceMapping()
    mapping = dataclasses.replace(stated, actions=keys)
    return spec_of(ctx.hardware.robot_wrapper.inner, cfg.robot.type, mapping, rate_hz=cfg.fps)


def _open_client(
    spec: RobotSpec, policy: VagusConfig, task: str, stack: contextlib.ExitStack
) -> PolicyClient[Engine]:
    link = stack.enter_context(policy.contact.link())
    opener = SessionOpener(
        link,
        rename_robot_spec(spec, _known(policy, spec)),
        policy.edge,
        identity_of(policy.name, policy.tags),
    )
    client = PolicyClient(
        opener, Engine, service=parse_service(policy.service, setting="policy.service"), instruction=task
    )
    stack.callback(client.close)
    tell_greetings(client.open())
    return client


def _known(policy: VagusConfig, spec: RobotSpec) -> dict[str, str]:
    """Return the renames that name something of the robot; `rename_map` may name keys of a dataset."""
    names = {f.name for f in spec.actions} | {f.name for f in spec.state} | {c.name for c in spec.cameras}
    names |= {c.name for c in spec.depth_cameras}
    return {own: wanted for own, wanted in policy.rename.items() if own in names}


def _pilot(
    spec: RobotSpec, client: PolicyClient[Engine], policy: VagusConfig, inference: VagusInferenceConfig
) -> Pilot:
    rename = _known(policy, spec)
    mapping = OrderMapping(spec, client.contract.policy, rename)
    motion = Motion(
        mapping.actions,
        mapping.state_names,
        tick_s=1 / spec.rate_hz,
        fallbacks=inference.fallback.renamed(rename),
        max_limited_s=inference.max_limited_s,
    )
    cause_of = lambda reason: client.status().cause_of(reason)  # noqa: E731
    ports = PilotPorts(
        spec,
        client.engine,
        client,
        mapping,
        motion,
        cause_of,
        fallbacks=inference.fallback,
        config=inference.senses,
    )
    return Pilot(ports)


def _record(ctx: RolloutContext, policy: VagusConfig, halt: Callable[[], None]) -> ProvenanceLog | None:
    """Wrap the dataset, if there is one; return what is told where its actions come from."""
    dataset = ctx.data.dataset
    if dataset is None:
        return None
    has_columns = policy.provenance and add_columns(dataset)
    seconds = getattr(ctx.runtime.cfg.strategy, "ring_buffer_seconds", 0.0)
    size = LIVE_FRAMES + round(seconds * ctx.runtime.cfg.fps)
    journal = ProvenanceLog(FrameShape(ctx.data.dataset_features), size=size)
    ctx.data.dataset = RecordedDataset(dataset, journal, halt, has_columns=has_columns)
    return journal


@contextlib.contextmanager
def _recorded(ctx: RolloutContext, ending: Ending) -> Iterator[None]:
    """Count the episodes that are saved meanwhile."""
    dataset = ctx.data.dataset
    before = 0 if dataset is None else dataset.num_episodes
    yield
    if dataset is not None:
        ending.episodes, ending.recording = dataset.num_episodes - before, str(dataset.root)
