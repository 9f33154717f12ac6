"""Connection to a server of LeRobot's remote inference draft over Zenoh."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from vagus.clock import monotonic_ns, seconds_to_ns
from vagus.errors import LinkError, VagusError
from vagus.gateways.call_thread import CallThread
from vagus.gateways.foreign_address import ForeignAddress
from vagus.gateways.foreign_server import Asked
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import ForeignReply
from vagus.gateways.profile import Profile
from vagus.integrations.lerobot_zenoh.draft.attachment import DraftAttachment, DraftMessage
from vagus.integrations.lerobot_zenoh.draft.canonical import ACTIONS, draft_observation
from vagus.integrations.lerobot_zenoh.draft.motion import DraftChunk
from vagus.integrations.lerobot_zenoh.draft.plan import told_plan
from vagus.integrations.lerobot_zenoh.draft.server_fit import (
    check_same_model,
    check_server_fits,
    offered_rtc,
    said_by_server,
)
from vagus.integrations.lerobot_zenoh.draft.sessions import DraftOpen
from vagus.integrations.lerobot_zenoh.draft.status import DraftModel
from vagus.integrations.lerobot_zenoh.draft_line import DraftLine
from vagus.integrations.lerobot_zenoh.draft_options import LeRobotDraftOptions
from vagus.integrations.lerobot_zenoh.server_link import open_server_link
from vagus.policies.policy import ServingMode
from vagus.specs import RtcSpec
from vagus.transport.plain_link import PlainLink

__all__ = ["LeRobotDraftClient"]

MARGIN_S: Final = 0.25
"""A call ends by its own deadline, which says more, if it can."""
CLOSE_S: Final = 0.6
"""Longest wait until a connection is closed; in the background it may take longer."""
FIRST: Final = DraftAttachment(DraftMessage.OBSERVATION, sequence=0, episode=0, client_ns=0, epoch=0)
"""Epochs begin at 0, and sequences at 1."""

ResultT = TypeVar("ResultT")


class LeRobotDraftClient:
    """Connection to a server of the draft, a `ForeignServer`.

    Each connection is a session in an epoch of its own; the uuid is this object's. An answer that does not
    come in time ends the connection, since silence is all that such a server says of an error.

    Args:
        address: of the server, or of the router that it is connected to.
        options: settings; they name the server's keys.
        profile: what the server is compared with.
        dial: opens a link within some seconds; None: over Zenoh.
    """

    wanted = "a server of LeRobot's remote inference draft (Zenoh)"
    identity = ""
    settings = ""
    model_dim = 0
    loads_when_opened = False
    serving_mode = ServingMode.EXCLUSIVE
    serving_reason = "a server of LeRobot's draft keeps the episode of each client"
    has_reset = True
    max_rows = 1

    def __init__(
        self,
        address: ForeignAddress,
        options: LeRobotDraftOptions,
        profile: Profile,
        dial: Callable[[float], PlainLink] | None = None,
    ) -> None:
        self.address = address
        self._dial = dial or partial(open_server_link, address, options)
        self._profile = profile
        self._codec = options.encoding
        self._task = options.task
        self._service = options.service()
        self._client = f"vagus-{secrets.token_hex(8)}"
        self._head = FIRST
        self._opens = 0
        self._model: DraftModel | None = None
        self._is_episode_start = True
        self._last: DraftChunk | None = None
        self._line: _Line | None = None

    @property
    def is_open(self) -> bool:
        """Whether the session of `open` still stands."""
        return self._line is not None and self._line.is_open

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew, and open a session; return what the server says of its model.

        Raises:
            LinkError: no connection, nobody who serves this name, or no place.
            ProtocolError: an answer that is none.
            ConfigError: the server is not what the profile says.
        """
        self.close()
        head = replace(self._head, epoch=self._opens)
        self._opens += 1
        self._last, self._is_episode_start = None, True
        line = self._line = _Line()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)

        def begin() -> DraftModel:
            session = DraftLine(self._dial(timeout_s), self._service, self._client, head)
            line.session = session
            status = session.status(end_ns)
            check_server_fits(status, self._profile)
            check_same_model(session.open(self._open_request(status.model), end_ns), status.model)
            return status.model

        self._model = line.call(begin, timeout_s)
        return said_by_server(self._model)

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return the real-time chunking that the server offers; None: none."""
        del said
        return None if self._model is None else offered_rtc(self._model, horizon)

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return the reply to the one request.

        Raises:
            LinkError: the server or the network has gone, or no answer came in time.
            ProtocolError: an answer that is none.
            PolicyError: the server says that it has no actions.
        """
        line, session = self._opened()
        request, rtc = requests[0]
        least = 0 if self._model is None else self._model.rtc_execution_horizon or 0
        observation = draft_observation(
            request,
            told_plan(self._last, rtc, least=least),
            is_episode_start=self._is_episode_start,
            codec=self._codec,
        )
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        self._last = chunk = line.call(lambda: session.ask(observation, end_ns), timeout_s)
        self._is_episode_start = False
        return [ForeignReply({} if chunk.robot is None else {ACTIONS: chunk.robot})]

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the server refuses or is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        line, session = self._opened()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        self._last, self._is_episode_start = None, True
        line.call(lambda: session.reset(end_ns), timeout_s)

    def close(self) -> None:
        """Close the session, and drop the connection; what takes long goes on in the background."""
        line, self._line = self._line, None
        if line is None:
            return
        if line.session is not None:
            self._head = line.session.head
        line.end()

    def _opened(self) -> tuple[_Line, DraftLine]:
        if self._line is None or self._line.session is None:
            raise LinkError("not connected")
        return self._line, self._line.session

    def _open_request(self, model: DraftModel) -> DraftOpen:
        profile = self._profile
        return DraftOpen(
            client=self._client,
            robot_type=profile.robot_type,
            policy_type=model.policy_type,
            fps=profile.rate_hz,
            action_names=tuple(name for span in profile.actions for name in span.names),
            camera_names=model.expected_cameras,
            state_dim=model.state_dim,
            is_rtc_enabled=model.supports_rtc,
            task=self._task,
        )


class _Line:
    """A session, and the thread that uses it."""

    def __init__(self) -> None:
        self.session: DraftLine | None = None
        self._is_ended = False
        self._thread = CallThread("vagus-lerobot-draft", self._close)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return not self._is_ended and self.session is not None and self.session.is_open

    def call(self, work: Callable[[], ResultT], timeout_s: float) -> ResultT:
        """Return the result of work on the thread, which has its own deadline; raises what it raises."""
        return self._thread.call(work, timeout_s + MARGIN_S, "no answer")

    def end(self) -> None:
        """Close the session, waiting for a moment."""
        self._is_ended = True
        with suppress(VagusError):
            self._thread.call(self._close, CLOSE_S, "no answer")
        self._thread.end()

    def _close(self) -> None:
        if self.session is not None:
            self.session.close()
