"""One deployment at a gateway: what it declares, its clients, and whether this process answers them."""

from __future__ import annotations

from collections.abc import Callable

from vagus.clock import Clock
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_zenoh.front import Front
from vagus.integrations.lerobot_zenoh.heard import HeardQuestions
from vagus.integrations.lerobot_zenoh.live_session import RobotTools
from vagus.integrations.lerobot_zenoh.robots import Admit, Robots
from vagus.integrations.lerobot_zenoh.standby import Standby
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.keys import RemotePlace
from vagus.integrations.lerobot_zenoh.v1.standby import StandbyKeys
from vagus.integrations.lerobot_zenoh.v1.terms import hold_rules_of, is_relative
from vagus.integrations.lerobot_zenoh.v1.values import BOUNDS
from vagus.transport.link import Query
from vagus.transport.plain_link import PlainLink

__all__ = ["RemoteInstance"]


class RemoteInstance:
    """A deployment of a gateway, from `start` to `close`.

    Where robots come by a router, several gateway processes may have the same deployment: one answers.

    Args:
        gateway: settings, profile and counters.
        deployment: what is offered.
        link: network of the robots.
        clock: monotonic.
        admit: admits a robot to the policy of the deployment.
        on_describe: called with each question what it is; must not block.
    """

    def __init__(
        self,
        gateway: Gateway,
        deployment: Deployment,
        link: PlainLink,
        clock: Clock,
        *,
        admit: Admit,
        on_describe: Callable[[Query], None],
    ) -> None:
        config = gateway.config
        self.deployment = deployment
        profile = gateway.mapping.profile
        rules = hold_rules_of(profile, config.max_hold_s)
        tools = RobotTools(link, rules, gateway.metrics, clock, is_relative=is_relative(profile))
        self._robots = Robots(admit, deployment, tools)
        self._standby: Standby | None = None
        self._heard = HeardQuestions(link, deployment.name, deployment.instance_id, clock)
        if config.router:
            keys = StandbyKeys(deployment.name, deployment.instance_id)
            self._standby = Standby(link, keys, clock, is_standby=config.standby, set_active=self._set_active)
        self._front = Front(
            link,
            self._robots,
            on_describe,
            may_answer=lambda: self._standby is None or self._standby.is_active,
            max_message_bytes=min(config.max_message_mb << 20, BOUNDS.payload_bytes),
        )

    def start(self) -> None:
        """Declare the deployment; answer at once, or when it is this process's turn."""
        self._front.announce()
        if self._standby is None:
            self._front.activate()
        else:
            self._heard.start()
            self._standby.start()

    def close(self) -> None:
        """Withdraw the deployment, and let go of its clients."""
        if self._standby is not None:
            self._standby.close()
        self._heard.stop()
        self._front.close()

    @property
    def is_in_use(self) -> bool:
        """Whether it has clients."""
        return len(self._robots) > 0

    def _set_active(self, is_active: bool) -> None:  # noqa: FBT001 - the only thing that it says
        if is_active:
            self._front.activate()
            for sample, heard_ns in self._heard.stop():
                self._front.put(RemotePlace.OBSERVATION, sample, heard_ns)
        else:
            self._heard.start()
            self._front.deactivate()
