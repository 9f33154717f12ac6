"""Table of the Astribot S1 robots at a gateway, by the address that each comes from."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager

from vagus.clock import Clock, seconds_to_ns
from vagus.edge.client.handshake import Contract
from vagus.errors import SpecError
from vagus.gateways.callers import Callers
from vagus.gateways.gateway import Gateway
from vagus.gateways.model_choice import check_model, listed_model
from vagus.integrations.astribot.conversation import AstribotConversation
from vagus.integrations.astribot.gripper_range import fractions_of
from vagus.integrations.astribot.messages import AstribotPolicyConfig, AstribotStatus
from vagus.integrations.astribot.session import AstribotModel, AstribotSession
from vagus.quoting import quoted

__all__ = ["MAX_CALLS", "AstribotRobots"]

MAX_CALLS = 4
"""Most calls of one robot at a time: a stream, a question, a command, and a look at the status."""
HOW_TO_CHOOSE = "name one of these with Configure, or add yours to the gateway's models"


class AstribotRobots:
    """Robots by address: each has the model that it has configured itself. Any thread may call it.

    Args:
        gateway: admits the robots.
        clock: monotonic.
    """

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._callers: Callers[AstribotConversation] = Callers(
            clock,
            max_calls=MAX_CALLS,
            max_places=gateway.config.max_peers,
            idle_ns=seconds_to_ns(gateway.config.idle_timeout_s),
        )

    def calling(self, address: str) -> AbstractContextManager[None]:
        """Count a call of this address, as long as it lasts.

        Raises:
            SessionRefusedError: there are too many at a time.
        """
        return self._callers.calling(address)

    def configure(self, address: str, config: AstribotPolicyConfig) -> AstribotStatus:
        """Give a robot the model that it names; the one that it had before, it has no more in any case.

        Raises:
            SpecError: the model is none of the operator's, or the robot is another than the profile's.
            SessionRefusedError: there is no place for it.
            LinkError: no server answers.
            StateError: this address is being configured already, or the gateway closes.
        """
        with self._callers.introducing(address) as caller:
            known = caller.conversation
            if known is not None and known.config == config:
                return known.reset(_ready(config))
            self._callers.unsettle(caller)
            try:
                conversation = self._begun(address, config)
            except SpecError:
                self._gateway.metrics.count("refused_setup")
                raise
            self._callers.settle(caller, address, conversation)
            return conversation.status(_ready(config))

    def find(self, address: str) -> AstribotConversation | None:
        """Return the conversation with this address; None: it has configured none."""
        return self._callers.conversation_of(address)

    def note_left(self, address: str) -> None:
        """Note that the robot at this address ended a call before its answer."""
        self._callers.note_left(address)

    def how_to_begin(self) -> str:
        """Return what a robot without a model is told."""
        models = sorted(self._gateway.config.models)
        which = f"one of {quoted(', '.join(models), 400)}" if models else "the name of the served model"
        return f"no model yet: call Configure with {which}"

    def sweep(self) -> None:
        """End the conversations with robots that have gone."""
        self._callers.sweep()

    def close(self) -> None:
        """End all conversations, and begin no more."""
        self._callers.close()

    def _begun(self, address: str, config: AstribotPolicyConfig) -> AstribotConversation:
        _check_width(config, len(self._gateway.mapping.robot_spec.actions))
        models = self._gateway.config.models
        with_checkpoint = f"{config.config_name}@{config.checkpoint_dir}"
        asked = with_checkpoint if with_checkpoint in models else config.config_name
        entry = listed_model(asked, models, how=HOW_TO_CHOOSE)
        self._callers.check_opens(address)
        peer = self._gateway.admit(address, model=entry)
        try:
            contract = peer.open()
            if not entry:
                check_model(asked, contract.capabilities, how=HOW_TO_CHOOSE)
            session = AstribotSession(self._model(config.config_name, contract), config.default_prompt)
        except BaseException:
            peer.close()
            raise
        return AstribotConversation(config, session, peer)

    def _model(self, name: str, contract: Contract) -> AstribotModel:
        profile, spec = self._gateway.mapping.profile, self._gateway.mapping.robot_spec
        served = contract.capabilities
        told = {
            "vagus": {
                "model": served.model,
                "revision": served.revision,
                "service": served.service_name,
                "model_hash": contract.model_hash,
                "profile": profile.name,
                "rate_hz": contract.step_rate_hz,
                "actions": [{"name": feature.name, "unit": feature.unit} for feature in spec.actions],
            }
        }
        return AstribotModel(
            name=name,
            state_dim=len(spec.state),
            action_dim=len(spec.actions),
            horizon=min(profile.horizon, contract.policy.horizon),
            rate_hz=contract.step_rate_hz,
            prompt=self._gateway.config.instruction or served.default_instruction,
            metadata_json=json.dumps(told, ensure_ascii=False),
            fractions=fractions_of(profile.state),
        )


def _ready(config: AstribotPolicyConfig) -> str:
    return f"model {quoted(config.config_name, 200)} is ready"


def _check_width(config: AstribotPolicyConfig, width: int) -> None:
    if config.action_width not in (None, width):
        raise SpecError(
            "action_config",
            wanted=f"the parts of an action of {width} numbers, as the profile has it",
            got=f"parts of {config.action_width} numbers",
            fix="start the gateway with a profile of this width, or set the robot's action_config",
        )
