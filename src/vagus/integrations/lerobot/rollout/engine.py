"""The inference type `vagus` for LeRobot's rollout, and the engine of `vagus lerobot-rollout`."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from lerobot.rollout.inference import InferenceEngine, InferenceEngineConfig, RTCInferenceConfig
from torch import Tensor

from vagus.control.config import SensesConfig
from vagus.control.fallback import Fallbacks
from vagus.control.robot_check import Admission
from vagus.integrations.lerobot.dataset.provenance import ProvenanceLog
from vagus.integrations.lerobot.rollout.pilot import Pilot
from vagus.types import Provenance

__all__ = ["EnginePorts", "VagusInferenceConfig", "VagusInferenceEngine"]

logger = logging.getLogger(__name__)


@InferenceEngineConfig.register_subclass("vagus")
@dataclass
class VagusInferenceConfig(RTCInferenceConfig):  # type: ignore[misc]
    """Settings of the engine.

    Under the stock `lerobot-rollout` LeRobot's own asynchronous engine drives the policy type `vagus`, and
    `rtc` and `queue_threshold` are its settings; `vagus lerobot-rollout` uses the others.
    """

    fallback: Fallbacks = field(default_factory=Fallbacks)
    """What each action does while there is no plan."""
    vouch_unbounded: list[str] = field(default_factory=list)
    """Actions that may be driven though nothing bounds their speed; said at the start, audited."""
    vouch_unmeasured: list[str] = field(default_factory=list)
    """Positions that may be driven though nothing measures them; likewise."""
    senses: SensesConfig = field(default_factory=SensesConfig)
    """How far the robot's readings and cameras are believed."""
    max_limited_s: float = 5.0
    """Stop when one action was limited without a break for longer than this."""
    tick_timeout_s: float = 1.0
    """Longest that one call into the robot may take; then it is stopped, and the rollout ends."""

    @property
    def admission(self) -> Admission:
        """The settings that decide whether a robot is admitted."""
        return Admission(self.fallback, self.vouch_unbounded, self.vouch_unmeasured, _as_flag)


def _as_flag(setting: str, names: Sequence[str]) -> str:
    return f"--inference.{setting}='{json.dumps(list(names))}'"


@dataclass(frozen=True, slots=True)
class EnginePorts:
    """Outputs of the engine: whom it tells what.

    Attributes:
        shutdown: set when the robot must be stopped for good; LeRobot's strategies then end.
        set_instruction: asks for something else from the next request on.
        instruction_of: what was asked for in the request (epoch, seq) of a session; None: not known any more.
        halt: brings the robot to a stand where it is; does not raise.
        journal: told where each action came from; None: nobody wants to know.
    """

    shutdown: threading.Event
    set_instruction: Callable[[str], None]
    instruction_of: Callable[[int, int], str | None]
    halt: Callable[[], None]
    journal: ProvenanceLog | None = None


class VagusInferenceEngine(InferenceEngine):  # type: ignore[misc]
    """LeRobot's inference engine on top of a pilot: no method waits, and no thread is started.

    `get_action` returns a command for every tick in which one is due: plan actions, and while there is no
    plan explicit holds and zeros. It returns None only where commanding nothing leaves the robot standing.
    """

    def __init__(self, pilot: Pilot, ports: EnginePorts, *, task: str = "") -> None:
        """Make the engine on a pilot; it is paused until `resume`."""
        try:
            super().__init__(task=task)  # LeRobot after 0.6.1 keeps the task in the base class
        except TypeError:
            super().__init__()
        self._pilot = pilot
        self._ports = ports
        self._instruction = task
        self._dispatched = task
        self._seen: Mapping[str, object] | None = None

    # -- life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Do nothing: the session is open."""

    def stop(self) -> None:
        """Command nothing any more."""
        self._pilot.stop("the rollout ended")

    def reset(self) -> None:
        """Begin a new episode: plan, observation and what is in flight are dropped."""
        self._seen = None
        self._pilot.reset()
        self._dispatch(self._instruction)

    def pause(self) -> None:
        """Pause: a human takes over. The robot is stopped first, and the plan is dropped."""
        self._seen = None
        self._pilot.pause()
        self._ports.halt()
        if self._ports.journal is not None:
            self._ports.journal.clear()

    def resume(self) -> None:
        """Go on with a fresh plan from where the robot is then."""
        self._pilot.resume()
        self._dispatch(self._instruction)

    @property
    def ready(self) -> bool:
        """Whether actions can be given: always, because the server was warm before."""
        return True

    @property
    def failed(self) -> bool:
        """Whether nothing will be commanded any more."""
        return bool(self._pilot.failure)

    @property
    def failure(self) -> str:
        """Why nothing will be commanded any more, or ""."""
        return self._pilot.failure

    @property
    def control_thread_owns_policy(self) -> bool:
        """Whether the policy runs on the control thread: no, on a server."""
        return False

    # -- task -------------------------------------------------------------------------------------------

    @property
    def task(self) -> str:
        """What the robot is to do."""
        return self._instruction

    @property
    def dispatched_task(self) -> str:
        """Task of the plan that is being played: the label of the recorded frames."""
        return self._dispatched

    def set_task(self, task: str) -> bool:
        """Ask for something else from the next request on; return whether it is something else.

        The plan in hand is played meanwhile, and is labelled as what it was asked for.
        """
        of_base = getattr(super(), "set_task", None)
        if of_base is not None:
            of_base(task)
        is_new = task != self._instruction
        self._instruction = task
        if is_new:
            self._ports.set_instruction(task)
        return is_new

    # -- every tick -------------------------------------------------------------------------------------

    def notify_observation(self, obs: dict[str, object]) -> None:
        """Take the newest observation."""
        self._seen = obs
        self._pilot.note(obs)

    def get_action(self, obs_frame: dict[str, object] | None) -> Tensor | None:
        """Return the command of this tick, (action_dim,), float32, in the order of the action keys."""
        del obs_frame  # the observation came as it is, before anything was made of it
        command = self._pilot.act()
        if self._pilot.failure:
            self._ports.shutdown.set()
            self._ports.halt()
            return None
        if command is None or self._seen is None:
            return None
        self._follow(command.provenance)
        if self._ports.journal is not None:
            self._ports.journal.note(self._seen, command.provenance)
        if command.action is None:
            return None
        return torch.as_tensor(self._pilot.to_robot(command.action), dtype=torch.float32)

    def _follow(self, provenance: Provenance) -> None:
        """Note the task of this tick's action; a hold belongs to the plan before it."""
        if provenance.epoch is None or provenance.seq is None:
            return
        asked = self._ports.instruction_of(provenance.epoch, provenance.seq)
        if asked is not None and asked != self._dispatched:
            self._dispatch(asked)

    def _dispatch(self, task: str) -> None:
        self._dispatched = task
        of_base = getattr(super(), "_set_dispatched_task", None)
        if of_base is not None:
            of_base(task)
