"""Connection to an Astribot policy server over gRPC: openpi's service, or its LeRobot variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import grpc
import numpy as np

from vagus.clock import monotonic_ns, seconds_left, seconds_to_ns
from vagus.errors import ConfigError, LinkError, PolicyError, ProtocolError
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_server import Asked
from vagus.gateways.grpc_channel import GrpcChannel
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, WirePath
from vagus.gateways.profile import Profile
from vagus.integrations.astribot.completion import check_completion, completed
from vagus.integrations.astribot.dialect import STATE, observation_from, reply_of
from vagus.integrations.astribot.gripper_range import check_fractions, fractions_of
from vagus.integrations.astribot.layout import WIDTHS
from vagus.integrations.astribot.messages import AstribotChunk, AstribotPolicyConfig, Method, StatusCode
from vagus.integrations.astribot.motion_codec import decode_chunk
from vagus.integrations.astribot.options import AstribotOptions
from vagus.integrations.astribot.variants import AstribotVariant
from vagus.policies.policy import ServingMode
from vagus.quoting import quoted
from vagus.specs import RtcSpec

__all__ = ["AstribotClient"]

_NOTHING: Final = b""
"""The message `Empty`."""
_GONE: Final = frozenset({StatusCode.NOT_READY, StatusCode.MODEL_NOT_LOADED})
"""Statuses of a server that no longer has what was configured: it was started again."""


class AstribotClient:
    """Connection to an Astribot policy server, a `ForeignServer`.

    Each connection tells the server to load its model. The server has one model, for whoever asks. So each
    answer must be the next one that it counts, or it must say, asked after the answer, that it has this model
    still; anything else is taken as a lost connection.

    Args:
        address: where it listens.
        variant: which of the two services.
        options: settings; they choose the model.
        profile: names and number of the state and the actions.

    Raises:
        ConfigError: a width that the profile cannot have, or a setting that the variant has no field for.
    """

    wanted = "an Astribot policy server (gRPC)"
    loads_when_opened = True
    serving_mode = ServingMode.EXCLUSIVE
    serving_reason = "an Astribot server has one model, one prompt and one episode, whoever asks"
    has_reset = True
    max_rows = 1
    model_dim = 0

    def __init__(
        self, address: ForeignAddress, variant: AstribotVariant, options: AstribotOptions, profile: Profile
    ) -> None:
        self.address = address
        self._variant = variant
        self._options = options
        self._action_width = sum(len(span.names) for span in profile.actions)
        self._model_width = options.width or self._action_width
        self._fractions = fractions_of(profile.actions)
        if options.width:
            check_completion(profile, options.width)
        self._check_fit()
        self._config = AstribotPolicyConfig(
            config_name=options.config_name,
            checkpoint_dir=options.checkpoint_dir,
            default_prompt=options.default_prompt,
            device=options.device,
            policy_type=options.policy_type,
            action_width=self._model_width if self._model_width in WIDTHS else None,
        )
        self.identity = repr((options.config_name, options.checkpoint_dir))
        chosen = (variant.service, options.default_prompt, options.device, options.policy_type)
        self.settings = repr((*chosen, options.width, options.encoding))
        self._ready_timeout_s = options.timeout_s
        self._line: GrpcChannel | None = None
        self._model_name = ""
        """What the server calls the model that it has loaded for us; "": it does not say."""
        self._begin_count()

    @property
    def is_open(self) -> bool:
        """Whether the connection of `open` still stands; another process would have no model."""
        return self._line is not None and not self._line.is_lost

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew and have the model loaded; return what the server says of it.

        Raises:
            LinkError: no connection, or the model is not loaded in time.
            ProtocolError: what answers is no such server, it refuses the model, or its actions have
                another width.
        """
        self.close()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        line = self._line = GrpcChannel(grpc, self.address, self._variant.service)
        line.call(Method.GET_STATUS.value, _NOTHING, min(timeout_s, self._ready_timeout_s))
        answer = line.call(
            Method.CONFIGURE.value, self._variant.encode_config(self._config), seconds_left(end_ns)
        )
        status = self._variant.decode_status(answer)
        if not status.is_ready:
            raise ProtocolError(
                f"the server does not load {self._config.config_name!r}: {_told(status.message)}"
            )
        if status.action_dim not in (0, self._model_width):
            raise ProtocolError(
                f"wanted a model with actions of {self._model_width} numbers, got {status.action_dim}; "
                "choose another profile, or state `width`"
            )
        self._model_name = status.model_name
        self._begin_count()
        return {
            "model_name": status.model_name,
            "action_horizon": status.action_horizon,
            "action_dim": status.action_dim,
            "metadata_json": status.metadata_json,
            "fps": status.fps,
        }

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return None: the wire has no words for real-time chunking."""
        del said, horizon
        return None

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return the reply to the one request.

        Raises:
            LinkError: the connection is lost, no answer came in time, or the server has not got the model any
                more, or answers another robot, too.
            PolicyError: an answer that is none, or actions of another width; the model stays loaded.
        """
        line = self._opened()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        (request, _), *_ = requests
        state = _state_of(request)
        sent = observation_from(self._narrowed(request, state), encoding=self._options.encoding)
        sent = replace(sent, frame_index=(self._frame or 0) + 1)
        message = self._variant.encode_observation(sent)
        self._asked += 1
        chunk = _decoded(line.call(Method.PREDICT_CHUNK.value, message, timeout_s))
        if chunk.status in _GONE:
            raise LinkError(f"{chunk.status.name}: {_told(chunk.error_message)}; the model is loaded again")
        if chunk.status is StatusCode.OK:
            if not self._is_next(chunk.server_frame_index):
                self._check_model(line.call(Method.GET_STATUS.value, _NOTHING, seconds_left(end_ns)))
            chunk = self._completed(chunk, state)
        return [reply_of(chunk)]

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the connection is lost, no answer came in time, or the server has no model any more.
            ProtocolError: an answer that is none.
        """
        self._check_model(self._opened().call(Method.RESET.value, _NOTHING, timeout_s))
        self._begin_count()

    def close(self) -> None:
        """Drop the connection. Twice does nothing."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    # -- parts ------------------------------------------------------------------------------------------

    def _check_fit(self) -> None:
        options = self._options
        if not self._variant.has_prompt and (options.checkpoint_dir or options.default_prompt):
            raise ConfigError(
                "checkpoint_dir or default_prompt",
                wanted="neither: the LeRobot variant has no field for it",
                got=quoted(options.checkpoint_dir or options.default_prompt, 80),
            )

    def _opened(self) -> GrpcChannel:
        if self._line is None:
            raise LinkError("not connected")
        return self._line

    def _narrowed(self, request: ForeignRequest, state: np.ndarray) -> ForeignRequest:
        """Return the request with as much of the state as the server's model takes."""
        if not self._options.width:
            return request
        observation: dict[WirePath, Value] = {**request.observation, STATE: state[: self._model_width]}
        return replace(request, observation=observation)

    def _completed(self, chunk: AstribotChunk, state: np.ndarray) -> AstribotChunk:
        """Return a chunk as one of the profile's width: parts that the model lacks stay where they stand."""
        width = chunk.actions.shape[1]
        if width != self._model_width:
            raise PolicyError(f"actions: wanted {self._model_width} numbers each, got {width}")
        try:
            check_fractions(chunk.actions, self._fractions, "actions")
        except ProtocolError as error:
            raise PolicyError(str(error)) from error
        if not self._options.width:
            return chunk
        return replace(chunk, actions=completed(chunk.actions, state, self._action_width))

    def _begin_count(self) -> None:
        self._frame: int | None = None
        """Number of the last answer, as the server counts them; None: it has given none."""
        self._asked = 0
        """Questions since then; those that failed may count, too."""

    def _is_next(self, frame: int) -> bool:
        """Take the server's count of its answers; return whether it shows that nobody else has asked.

        Raises:
            LinkError: it shows that somebody has: it began anew, or has counted answers that are not ours.
        """
        before, asked = self._frame, self._asked
        self._frame, self._asked = frame, 0
        if before is None or not (before or frame):
            return False
        if not before < frame <= before + asked:
            raise LinkError(
                f"the server counts answer {frame} after {before}: another robot has configured it, has "
                "reset it, or asks it, too"
            )
        return True

    def _check_model(self, answer: bytes) -> None:
        """Check that the server has the model that it has loaded for us.

        Raises:
            LinkError: it has none, or another one.
            ProtocolError: an answer that is none.
        """
        status = self._variant.decode_status(answer)
        if not status.is_ready:
            raise LinkError(f"no model: {_told(status.message)}; it is loaded again")
        if "" not in (status.model_name, self._model_name) and status.model_name != self._model_name:
            raise LinkError(
                f"wanted the model {quoted(self._model_name, 80)!r}, got {quoted(status.model_name, 80)!r}: "
                "another robot has configured the server; it is loaded again"
            )


def _decoded(answer: bytes) -> AstribotChunk:
    """Return the chunk in an answer. An answer stands for itself: one that is none spoils no connection."""
    try:
        return decode_chunk(answer)
    except ProtocolError as error:
        raise PolicyError(f"the server's answer cannot be used: {error}") from error


def _state_of(request: ForeignRequest) -> np.ndarray:
    state = request.observation.get(STATE)
    if not isinstance(state, np.ndarray):
        raise ProtocolError("state: wanted numbers, got none")
    return state


def _told(message: str) -> str:
    return quoted(message, 200) or "no message"
