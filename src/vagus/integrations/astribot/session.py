"""The session of one Astribot S1: which model it has, its prompt, episode and frame (pure).

A robot gets no action before its Configure has named a model of the list; none makes a server load another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
    AstribotPolicyConfig,
    AstribotStatus,
    CommandType,
    StatusCode,
)
from vagus.quoting import quoted

__all__ = ["AstribotModel", "AstribotRefusal", "AstribotSession"]

_MAX_EPISODE: Final = (1 << 31) - 1
_MAX_DIGITS: Final = 10


@dataclass(frozen=True, kw_only=True)
class AstribotModel:
    """A model that a robot may name.

    Attributes:
        state_dim: numbers of the state that it takes: 16, 22 or 25.
        action_dim: numbers of an action.
        horizon: actions of a chunk.
        checkpoint_dir: the only one that a robot may ask for; None: what it asks for is not looked at.
        prompt: instruction for a robot that has none.
        metadata_json: what the robot is told about it.
    """

    state_dim: int
    action_dim: int
    horizon: int
    checkpoint_dir: str | None = None
    prompt: str = ""
    metadata_json: str = ""


@dataclass(frozen=True, slots=True)
class AstribotRefusal:
    """Why an observation gets no action."""

    status: StatusCode
    message: str


class AstribotSession:
    """What one robot has configured; a command that is refused changes nothing but what it says."""

    def __init__(self, models: Mapping[str, AstribotModel]) -> None:
        self._models = models
        self._name = ""
        self._model: AstribotModel | None = None
        self._prompt = ""
        self._episode = 0
        self._frame = 0

    @property
    def prompt(self) -> str:
        """Instruction for an observation without one."""
        return self._prompt

    @property
    def frame(self) -> int:
        """Observations of this episode that were admitted."""
        return self._frame

    def configure(self, config: AstribotPolicyConfig) -> AstribotStatus:
        """Take the model that a robot names. If it is not one of the list, the session has none any more."""
        model = self._models.get(config.config_name)
        self._model, self._name, self._frame = None, "", 0
        if model is None:
            return self.status(f"config_name: wanted {self._told_models()}, got {_told(config.config_name)}")
        if config.checkpoint_dir and model.checkpoint_dir not in (None, config.checkpoint_dir):
            wanted = f"{model.checkpoint_dir!r} or nothing"
            return self.status(f"checkpoint_dir: wanted {wanted}, got {_told(config.checkpoint_dir)}")
        self._model, self._name = model, config.config_name
        self._prompt = config.default_prompt or model.prompt
        return self.status(f"model {config.config_name} is ready")

    def control(self, command: AstribotCommand) -> AstribotStatus:
        """Carry out a command."""
        if command.kind is CommandType.RESET:
            return self.reset()
        if command.kind is CommandType.SET_PROMPT:
            return self._set_prompt(command.params.get("prompt"))
        return self._set_episode(command.params.get("episode"))

    def reset(self) -> AstribotStatus:
        """Begin the episode again; its number and the prompt stay."""
        self._frame = 0
        return self.status("reset")

    def status(self, message: str = "") -> AstribotStatus:
        """Return how the session stands; `message` is what the last call has to say."""
        model = self._model
        return AstribotStatus(
            is_ready=model is not None,
            model_name=self._name,
            current_episode=self._episode,
            current_frame=self._frame,
            action_horizon=0 if model is None else model.horizon,
            action_dim=0 if model is None else model.action_dim,
            message=message,
            current_prompt=self._prompt,
            metadata_json="" if model is None else model.metadata_json,
        )

    def admit(self, observation: AstribotObservation) -> AstribotRefusal | None:
        """Count an observation, or return why it gets no action."""
        if self._model is None:
            return AstribotRefusal(
                StatusCode.NOT_READY, f"no model yet: call Configure with config_name {self._told_models()}"
            )
        width = len(observation.state)
        if width != self._model.state_dim:
            wanted = f"{self._model.state_dim} numbers, as {self._name} takes"
            return AstribotRefusal(StatusCode.INVALID_INPUT, f"state: wanted {wanted}, got {width}")
        self._frame += 1
        return None

    def _set_prompt(self, prompt: str | None) -> AstribotStatus:
        if not prompt:
            return self.status("prompt: wanted a text, got none")
        self._prompt = prompt
        return self.status("prompt set")

    def _set_episode(self, episode: str | None) -> AstribotStatus:
        """Begin an episode of this number."""
        is_whole = episode is not None and episode.isascii() and episode.isdigit()
        if episode is None or not is_whole or len(episode) > _MAX_DIGITS or int(episode) > _MAX_EPISODE:
            return self.status(f"episode: wanted a whole number from 0, got {_told(episode)}")
        self._episode, self._frame = int(episode), 0
        return self.status("episode set")

    def _told_models(self) -> str:
        return quoted(" or ".join(sorted(self._models)) or "one of a list that is empty", 200)


def _told(text: str | None) -> str:
    return repr(quoted(text, 80)) if text else "none"
