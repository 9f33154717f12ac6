"""Policy whose brain is a foreign server: asks it for each row, and checks what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vagus.clock import Clock, MonotonicClock
from vagus.errors import ConfigError, PolicyError, ProtocolError, SpecError
from vagus.gateways.foreign_identity import model_hash_of
from vagus.gateways.foreign_options import ForeignOptions
from vagus.gateways.foreign_rows import ForeignRows
from vagus.gateways.foreign_server import Asked, ForeignServer
from vagus.gateways.guarded_server import GuardedServer
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, ForeignRtc, Operation
from vagus.gateways.profile import Profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.policies.policy import Row
from vagus.types import ActionChunk

__all__ = ["ForeignPolicy"]


class ForeignPolicy:
    """A foreign server as a `Policy`.

    Args:
        server: the server; it is connected here.
        profile: what its keys and numbers mean.
        options: settings.
        clock: monotonic clock; default: the machine's.

    Raises:
        ConfigError: nothing says who the server is.
        LinkError: it cannot be reached.
        ProtocolError: what answers is no such server.
    """

    def __init__(
        self, server: ForeignServer, profile: Profile, options: ForeignOptions, clock: Clock | None = None
    ) -> None:
        self._server = server
        self._mapping = WireMapping(profile)
        self._guard = GuardedServer(server, options, clock or MonotonicClock())
        said = self._guard.begin()
        identity = self._guard.identity(profile.identity)
        self.model_hash = model_hash_of(profile, identity, server.settings)
        spec = self._mapping.policy_spec(policy_type=profile.protocol)
        model_dim = server.model_dim or spec.model_dim
        self.spec = replace(spec, rtc=server.rtc_of(said, spec.horizon), model_dim=model_dim)
        self.serving_mode = server.serving_mode
        self.serving_reason = server.serving_reason
        self.max_rows = server.max_rows
        self._rows = ForeignRows(server, self._guard)

    def open_session(self) -> None:
        """Return nothing: what a robot leaves behind is on the server, if anywhere."""

    def begin_episode(self, session: None) -> None:
        """Tell the server, where its protocol has a word for it.

        Raises:
            PolicyError: it could not be told.
        """
        del session
        if self._server.has_reset:
            self._guard.call(self._server.reset)

    def infer(self, batch: Sequence[Row[None]]) -> list[ActionChunk | PolicyError]:
        """Return a chunk per row, or why there is none.

        Raises:
            PolicyError: the server refuses a batch of several rows.
        """
        asked = [self._request(row) for row in batch]
        replies = self._rows.ask(asked)
        return [self._chunk(row, reply) for row, reply in zip(batch, replies, strict=True)]

    def close(self) -> None:
        """Drop the connection."""
        self._guard.close()

    def _request(self, row: Row[None]) -> Asked | PolicyError:
        seen = row.observation
        try:
            values = self._mapping.observation_to(seen.state, seen.images, seen.instruction)
            rtc = self._rtc(row)
        except (ConfigError, ProtocolError, SpecError) as error:
            return PolicyError(f"{self._server.address}: this observation cannot be sent: {error}")
        except PolicyError as error:
            return error
        envelope = Envelope(self._mapping.profile.protocol)
        return ForeignRequest(Operation.INFER, envelope, values), rtc

    def _rtc(self, row: Row[None]) -> ForeignRtc | None:
        if self.spec.rtc is None or row.prefix is None or not len(row.prefix) or not row.prefix_horizon:
            return None
        arrays = self._mapping.actions_to(row.prefix.robot, row.observation.state)
        return ForeignRtc(
            is_enabled=True,
            prefix=np.concatenate(list(arrays.values()), axis=1).astype(np.float64),
            inference_delay=row.inference_delay,
            execute_horizon=max(self.spec.horizon - row.prefix_horizon, 0),
            max_guidance_weight=self.spec.rtc.max_guidance,
            model_prefix=row.prefix.model,
        )

    def _chunk(self, row: Row[None], reply: ForeignReply | PolicyError) -> ActionChunk | PolicyError:
        if isinstance(reply, PolicyError):
            return reply
        try:
            actions = self._mapping.actions_from(reply, row.observation.state)
        except PolicyError as error:
            return PolicyError(f"{self._server.address}: {error}")
        model = actions if reply.model is None else reply.model[: len(actions)]
        return ActionChunk(row.step, model, actions)
