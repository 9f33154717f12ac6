"""Gateway for LeRobot's remote inference over Zenoh, version 1: each client has a session of its own."""

from __future__ import annotations

import logging
import shlex
from typing import Final

from vagus.clock import Clock, MonotonicClock
from vagus.errors import StateError
from vagus.gateways.gateway import Gateway
from vagus.integrations.lerobot_zenoh.door import Door
from vagus.integrations.lerobot_zenoh.instance import RemoteInstance
from vagus.integrations.lerobot_zenoh.robots import Admit
from vagus.integrations.lerobot_zenoh.robots_link import open_robots_link, robots_address
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.terms import MIN_CHUNK_S, check_deployment, hold_rules_of
from vagus.transport.plain_link import PlainLink

__all__ = ["LeRobotZenohListener"]

CLIENTS_DEFAULT: Final = "127.0.0.1:7447"
"""Address that a client takes if it is told none."""

logger = logging.getLogger(__name__)


class LeRobotZenohListener:
    """Serves the clients of one deployment, on a link of their own.

    The deployment is declared once the policy is known, so nobody is told anything before.

    Args:
        gateway: admits the robots.
        link: network of the robots, closed by this object; None: as the settings say.
        clock: monotonic.

    Raises:
        ConfigError, SpecError: settings or a profile with which no client could work.
    """

    def __init__(self, gateway: Gateway, link: PlainLink | None = None, clock: Clock | None = None) -> None:
        config, profile = gateway.config, gateway.mapping.profile
        self._gateway = gateway
        self._clock = clock or MonotonicClock()
        self._name = config.deployment or profile.name
        check_deployment(self._name, profile)
        self._link = link
        self._door = Door(gateway, self._name, self._clock, take=self._take)
        self._instance: RemoteInstance | None = None
        self._has_told = False

    @property
    def address(self) -> str:
        """Address that robots connect to, "127.0.0.1:7447", or the endpoint of their router."""
        return robots_address(self._gateway.config)

    def start(self) -> None:
        """Start to listen.

        Raises:
            ConfigError: the address is in use or not of this machine.
            LinkError: the robots' router does not answer.
        """
        self._link = self._link or open_robots_link(self._gateway.config)
        self._door.start()

    def close(self) -> None:
        """Let go of all robots, and stop. Twice does nothing."""
        self._door.close()
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()
        if self._link is not None:
            self._link.close()

    def _take(self, deployment: Deployment, admit: Admit) -> bool:
        """Declare a deployment that is served; another one than before only if nobody moves by that."""
        before = self._instance
        if self._link is None:
            raise StateError("gateway: wanted one that has started, got one that has not")
        if before is not None and before.is_in_use:
            if not self._has_told:
                logger.warning(
                    "another model is served; it is taken when the robots of the one before are gone"
                )
            self._has_told = True
            return False
        self._has_told = False
        if before is not None:
            before.close()
        self._instance = RemoteInstance(
            self._gateway,
            deployment,
            self._link,
            self._clock,
            admit=admit,
            on_describe=self._door.describe,
        )
        self._instance.start()
        self._tell(deployment)
        return True

    def _tell(self, deployment: Deployment) -> None:
        """Say what a client must be started with."""
        rate_hz = self._gateway.mapping.profile.rate_hz
        where = "" if self.address == CLIENTS_DEFAULT else f", its endpoint {self.address}"
        logger.info(
            "deployment %s of %s: lerobot-rollout --inference.type=remote --inference.deployment=%s "
            "--inference.semantics=%s --fps=%g%s",
            deployment.name,
            deployment.artifact_identity[:19],
            deployment.name,
            shlex.quote(deployment.semantics),
            rate_hz,
            where,
        )
        if not hold_rules_of(self._gateway.mapping.profile, self._gateway.config.max_hold_s).is_holdable:
            logger.warning(
                "actions that are no absolute positions cannot be held: a client whose rows run out while "
                "the policy is away stops, and its run ends"
            )
        chunk_s = deployment.capabilities.execution_steps * deployment.capabilities.action_interval_s
        if chunk_s < MIN_CHUNK_S:
            logger.warning(
                "chunks of %.2f s are too short to bridge an outage: clients ask 0.5 s before their end, "
                "and no hold reaches them in time",
                chunk_s,
            )
