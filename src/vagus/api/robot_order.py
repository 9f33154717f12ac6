"""Translation of observations and chunks between the order of a robot and that of a policy (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vagus.api.observation import GivenObservation, check_actions, check_observation
from vagus.control.mapping import OrderMapping
from vagus.edge.client.blocking import ChunkRequest
from vagus.edge.client.handshake import Contract
from vagus.errors import SpecError
from vagus.specs import PolicySpec, RobotSpec
from vagus.types import ActionChunk, Prefix

__all__ = ["RobotOrder"]


class RobotOrder:
    """Translation between a robot's names and order and those of a policy.

    Args:
        robot: the robot's spec in its own names and order.
        policy: the policy's spec.
        rename: robot name → policy name.

    Raises:
        SpecError: a name of one side is missing on the other.
    """

    def __init__(self, robot: RobotSpec, policy: PolicySpec, rename: Mapping[str, str]) -> None:
        self._mapping = OrderMapping(robot, policy, rename)
        self._policy = policy
        self._state_names = [feature.name for feature in robot.state]
        looked_at = {camera.name: camera for camera in self._mapping.cameras}
        self._cameras = [looked_at.get(c.name, replace(c, is_required=False)) for c in robot.cameras]
        measured = {camera.name: camera for camera in self._mapping.depth_cameras}
        self._depth_cameras = [
            measured.get(c.name, replace(c, is_required=False)) for c in robot.depth_cameras
        ]

    def request(
        self, observation: GivenObservation, contract: Contract, *, step: int | None
    ) -> tuple[ChunkRequest, str | None]:
        """Return the request for an observation, and the instruction in it.

        Raises:
            SpecError: the observation is not what robot and policy say.
        """
        given = check_observation(
            observation,
            state=self._state_names,
            cameras=self._cameras,
            depth_cameras=self._depth_cameras,
        )
        request = ChunkRequest(
            state=self._mapping.state_to_policy(given.state),
            images=self._mapping.images_to_policy(given.images),
            depth=self._mapping.depth_to_policy(given.depth),
            prefix_horizon=contract.prefix_horizon,
            step=step,
        )
        return request, given.instruction

    def continuing(
        self,
        request: ChunkRequest,
        plan: ActionChunk | Prefix | None,
        inference_delay: int,
        contract: Contract,
    ) -> ChunkRequest:
        """Return `request` with the rest of the running plan, in the robot's order.

        Raises:
            SpecError: the server takes no plan, the plan is none of this policy, or the delay exceeds it.
        """
        prefix = None if plan is None else self._prefix(plan, contract)
        length = 0 if prefix is None else len(prefix)
        if not 0 <= inference_delay <= length:
            wanted = f"0 to the length of the prefix ({length})"
            raise SpecError("inference_delay", wanted=wanted, got=f"{inference_delay}")
        return replace(request, prefix=prefix, inference_delay=inference_delay)

    def chunk_to_robot(self, chunk: ActionChunk) -> ActionChunk:
        """Return a chunk of the policy with `robot` in the robot's order."""
        return replace(chunk, robot=self._mapping.actions_to_robot(chunk.robot))

    def _prefix(self, plan: ActionChunk | Prefix, contract: Contract) -> Prefix:
        if not contract.uses_rtc:
            raise SpecError("prefix", wanted="none: this server does no real-time chunking", got="one")
        most = self._policy.horizon
        robot = check_actions("prefix.robot", plan.robot, width=self._policy.action_dim, most=most)
        model = check_actions("prefix.model", plan.model, width=self._policy.model_dim, most=most)
        if len(model) != len(robot):
            wanted = f"{len(robot)} actions in model, as in robot"
            raise SpecError("prefix", wanted=wanted, got=f"{len(model)}")
        return Prefix(model, self._mapping.actions_to_policy(robot))
