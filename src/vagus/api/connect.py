"""`vagus.connect`: a served policy drives a robot from a loop of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType

from numpy.typing import ArrayLike

from vagus.api.parts import RunSettings, check_spec, make_client, make_motion, network
from vagus.control.config import LoopConfig
from vagus.control.handed_robot import Images
from vagus.control.loop_stats import LoopSummary
from vagus.control.mapping import OrderMapping
from vagus.control.narration_thread import NarrationThread, trouble_of
from vagus.control.own_loop import OwnLoop, check_own_loop
from vagus.control.ports import LoopStatus
from vagus.control.robot_check import admitted
from vagus.edge.client.client import ClientStatus, PolicyClient
from vagus.edge.client.handshake import Contract
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.errors import StateError
from vagus.robots.robot import check_stop
from vagus.specs import RobotSpec
from vagus.transport.zenoh import ZenohLink
from vagus.transport.zenoh_config import ZenohConfig
from vagus.types import ActionArray

__all__ = ["RobotConnection", "connect"]


def connect(  # noqa: PLR0913 - settings, each with a default
    robot: RobotSpec,
    endpoint: str | tuple[str, ...] = "",
    *,
    stop: Callable[[], object],
    service: str = "",
    name: str = "",
    instruction: str = "",
    rename: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    edge: EdgeConfig | None = None,
    loop: LoopConfig | None = None,
    zenoh: ZenohConfig | None = None,
) -> RobotConnection:
    """Connect a robot that a loop of your own reads and commands to a served policy.

        with vagus.connect(spec, "tcp/router:7447", stop=arm.stop) as brain:
            while True:
                action = brain.tick(arm.read(), cameras)
                if action is not None:
                    arm.write(action)
                time.sleep(1 / spec.rate_hz)

    Returns once a server has accepted the session and is warm. Connect your robot before or afterwards.
    What `vagus run` guarantees holds: limits, fallbacks, and the stop on every way out of the block.

    Args:
        robot: names, units, limits and rate of the robot.
        endpoint: of the router, e.g. "tcp/router:7447"; "": one on this host.
        stop: brings the robot to a stand. It is called at every end of the block, and by another thread when
            `tick` is not called any more; perhaps more than once.
        service: model/revision/name of the policy; "": the only one there is.
        name: name of this robot, unique among the robots of a server; "": the host's.
        instruction: what the robot is to do; "": the policy's default.
        rename: robot name → policy name, for actions, state features and cameras.
        tags: free text for the server's log and audit.
        edge: settings of the policy client.
        loop: settings of the loop, but for those that say when it ends.
        zenoh: settings of the network.

    Raises:
        LinkError: no router, or no server in time.
        SessionRefusedError: every server said no.
        SpecError: robot and policy do not fit, or the robot lacks bounds or measurements.
        ConfigError: a setting is wrong.
    """
    settings = RunSettings(
        service, name, instruction, rename or {}, tags or {}, edge or EdgeConfig(), loop or LoopConfig()
    )
    check_stop(stop)
    check_own_loop(settings.loop)
    check_spec(robot)
    spec = admitted(robot, settings.loop.admission)
    with ExitStack() as stack:
        link = ZenohLink(network(endpoint, zenoh))
        stack.callback(link.close)
        link.open()
        client = make_client(link, spec, settings)
        stack.callback(client.close)
        contract = client.open()
        mapping = OrderMapping(spec, contract.policy, settings.rename)
        own = OwnLoop(
            spec,
            stop,
            engine=client.engine,
            client=client,
            mapping=mapping,
            motion=make_motion(mapping, spec, settings),
            config=settings.loop,
            cause_of=lambda reason: client.status().cause_of(reason),
        )
        return RobotConnection(own, client, contract, stack.pop_all())


class RobotConnection:
    """A session with a policy server, driven by the ticks of your own loop; a context manager.

    Leaving the block stops the robot, ends the session and closes the network. `close` does the last two for
    a connection whose block was never entered.

    Attributes:
        contract: what robot and server agreed on: the policy's spec and model hash, and the rates.
    """

    def __init__(
        self, own: OwnLoop, client: PolicyClient[Engine], contract: Contract, stack: ExitStack
    ) -> None:
        self.contract = contract
        self._own = own
        self._client = client
        self._stack = stack
        self._is_closed = False
        self._narration = NarrationThread(own.changes, lambda: trouble_of(client.status()))

    def tick(self, state: ArrayLike, images: Images | None = None) -> ActionArray | None:
        """Take what the robot reads now; return what to command it, or None: nothing in this tick.

        It does not wait. Call it at the robot's rate; called more often, it returns None in between.

        Args:
            state: (state_dim,), in the order of the robot's spec.
            images: camera name → (height, width, 3) uint8 RGB, depth camera name → (height, width) uint16;
                they are copied when a request is due. Or a function that returns this; it is called on
                another thread, and only when a request is due.

        Returns:
            (action_dim,), float64, in the order and the units of the robot's spec. It has passed all limits.

        Raises:
            RunEndedError: the run is over, and the robot was stopped.
            KeyboardInterrupt: Ctrl-C; the robot was stopped.
            SystemExit: another signal; the robot was stopped.
        """
        return self._own.tick(state, {} if images is None else images)

    def pause(self) -> None:
        """Let a human take over. Call `tick` until `is_at_rest`: what drives on by itself stops first."""
        self._own.pause()

    @property
    def is_at_rest(self) -> bool:
        """Whether the robot rests in a pause: `tick` need not be called before `resume`."""
        return self._own.is_at_rest

    def resume(self) -> None:
        """Go on after a pause, from where the robot is then."""
        self._own.resume()

    def reset(self) -> None:
        """Begin a new episode at the next tick, wherever the robot was put: the plan is dropped."""
        self._own.reset()

    @property
    def instruction(self) -> str:
        """What the robot is to do; set it for the next request on."""
        return self._client.instruction

    @instruction.setter
    def instruction(self, instruction: str) -> None:
        self._client.set_instruction(instruction)

    @property
    def status(self) -> LoopStatus | None:
        """How the last tick stood: link, motion, step, playback left; None before the first."""
        return self._own.status

    @property
    def link(self) -> ClientStatus:
        """How the session stands: server, latency, and what it said last."""
        return self._client.status()

    def summary(self) -> LoopSummary:
        """Return what was counted so far."""
        return self._own.summary()

    def close(self) -> None:
        """End the session and close the network. Twice does nothing."""
        self._is_closed = True
        self._stack.close()

    def __enter__(self) -> RobotConnection:
        if self._is_closed:
            raise StateError("this connection is closed; call vagus.connect(…) again")
        self._own.__enter__()
        self._narration.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own.is_copy:
            return  # session and network are another process's
        try:
            self._own.__exit__(kind, error, trace)
        finally:
            self._narration.__exit__(kind, error, trace)
            self.close()
