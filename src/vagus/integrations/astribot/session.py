"""The session of one Astribot S1 with a model: its prompt, episode and frame (pure).

It belongs to one robot: what another one configures, sets or resets changes nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vagus.errors import ProtocolError
from vagus.integrations.astribot.gripper_range import check_fractions
from vagus.integrations.astribot.messages import (
    AstribotCommand,
    AstribotObservation,
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
    """The model that a robot has named.

    Attributes:
        name: name by which it did.
        state_dim: numbers of the state that it takes: 16, 22 or 25.
        action_dim: numbers of an action.
        horizon: actions of a chunk.
        rate_hz: actions per second.
        prompt: instruction for a robot that has none.
        metadata_json: what the robot is told about it.
        fractions: place and name of each number of the state that is from 0 to 1.
    """

    name: str
    state_dim: int
    action_dim: int
    horizon: int
    rate_hz: float = 0.0
    prompt: str = ""
    metadata_json: str = ""
    fractions: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AstribotRefusal:
    """Why an observation gets no action."""

    status: StatusCode
    message: str


class AstribotSession:
    """What one robot has configured; a command that is refused changes nothing but what it says.

    Args:
        model: the model.
        prompt: the robot's instruction; "": that of the model.

    Attributes:
        prompt: instruction for an observation without one.
        frame: observations of this episode that were answered.
        episodes: episodes that were begun after the first.
        generation: grows with each begin of an episode and each new prompt; an answer of an older one is
            stale.
    """

    def __init__(self, model: AstribotModel, prompt: str = "") -> None:
        self._model = model
        self._episode = 0
        self.prompt = prompt or model.prompt
        self.frame = 0
        self.episodes = 0
        self.generation = 0

    def control(self, command: AstribotCommand) -> AstribotStatus:
        """Carry out a command."""
        if command.kind is CommandType.RESET:
            return self.reset()
        if command.kind is CommandType.SET_PROMPT:
            return self._set_prompt(command.params.get("prompt"))
        return self._set_episode(command.params.get("episode"))

    def reset(self, message: str = "reset") -> AstribotStatus:
        """Begin the episode again; its number and the prompt stay."""
        self._begin()
        return self.status(message)

    def status(self, message: str = "") -> AstribotStatus:
        """Return how the session stands; `message` is what the last call has to say."""
        return AstribotStatus(
            is_ready=True,
            model_name=self._model.name,
            current_episode=self._episode,
            current_frame=self.frame,
            action_horizon=self._model.horizon,
            action_dim=self._model.action_dim,
            message=message,
            current_prompt=self.prompt,
            metadata_json=self._model.metadata_json,
            fps=self._model.rate_hz,
            mode="model",
        )

    def refusal_of(self, observation: AstribotObservation) -> AstribotRefusal | None:
        """Return why an observation gets no action; None: it may get one."""
        width = len(observation.state)
        if width == self._model.state_dim:
            return self._counted_otherwise(observation)
        wanted = f"{self._model.state_dim} numbers, as {quoted(self._model.name, 80)} takes"
        return AstribotRefusal(StatusCode.INVALID_INPUT, f"state: wanted {wanted}, got {width}")

    def note_answered(self) -> int:
        """Count an observation that was answered, and return its number in the episode, from 1."""
        self.frame += 1
        return self.frame

    def _counted_otherwise(self, observation: AstribotObservation) -> AstribotRefusal | None:
        try:
            check_fractions(observation.state, self._model.fractions, "state")
        except ProtocolError as error:
            return AstribotRefusal(StatusCode.INVALID_INPUT, str(error))
        return None

    def _begin(self) -> None:
        self.frame = 0
        self.episodes += 1
        self.generation += 1

    def _set_prompt(self, prompt: str | None) -> AstribotStatus:
        if not prompt:
            return self.status("prompt: wanted a text, got none")
        self.prompt = prompt
        self.generation += 1
        return self.status("prompt set")

    def _set_episode(self, episode: str | None) -> AstribotStatus:
        """Begin an episode of this number."""
        is_whole = episode is not None and episode.isascii() and episode.isdigit()
        if episode is None or not is_whole or len(episode) > _MAX_DIGITS or int(episode) > _MAX_EPISODE:
            return self.status(f"episode: wanted a whole number from 0, got {_told(episode)}")
        self._episode = int(episode)
        self._begin()
        return self.status("episode set")


def _told(text: str | None) -> str:
    return repr(quoted(text, 80)) if text else "none"
