"""Connection to a server of LeRobot's remote inference over Zenoh, version 1."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
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
from vagus.integrations.lerobot_zenoh.admission import admitted
from vagus.integrations.lerobot_zenoh.connection import DeploymentLine
from vagus.integrations.lerobot_zenoh.options import LeRobotZenohOptions
from vagus.integrations.lerobot_zenoh.server_link import open_server_link
from vagus.integrations.lerobot_zenoh.server_session import ServerSession
from vagus.integrations.lerobot_zenoh.v1.choice import Wish, said_by
from vagus.integrations.lerobot_zenoh.v1.deployment_fit import check_fit
from vagus.integrations.lerobot_zenoh.v1.descriptor import Deployment
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead
from vagus.integrations.lerobot_zenoh.v1.features import InferenceMode
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding
from vagus.policies.policy import ServingMode
from vagus.specs import RtcSpec
from vagus.transport.plain_link import PlainLink

__all__ = ["Dial", "LeRobotZenohClient"]

Dial = Callable[[float], PlainLink]
"""Opens a link within some seconds; LinkError if it cannot."""
CLOSE_S: Final = 0.5
"""Longest wait until a session is closed; in the background it may take longer."""
MAX_LEFT: Final = 8
"""Sessions whose close was not confirmed that are remembered; their servers end them after 10 s."""
MARGIN_S: Final = 0.25
"""A call ends by its own deadline, which says more, if it can."""

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)


class LeRobotZenohClient:
    """Connection to a server of LeRobot's remote inference, a `ForeignServer`.

    Each connection chooses one of the deployment's servers, with the same artifact as the first one. Its
    session is closed with it.

    Args:
        address: of the server, or of the router that the servers are connected to.
        options: settings.
        profile: what the deployment is compared with.
        dial: opens a link; default: over Zenoh.
    """

    wanted = "a server of LeRobot's remote inference (Zenoh)"
    loads_when_opened = False
    serving_mode = ServingMode.EXCLUSIVE
    serving_reason = "a server of LeRobot's remote inference takes one session"
    has_reset = True
    max_rows = 1

    def __init__(
        self,
        address: ForeignAddress,
        options: LeRobotZenohOptions,
        profile: Profile,
        dial: Dial | None = None,
    ) -> None:
        self.address = address
        self._dial = dial or partial(open_server_link, address, options)
        self._start_timeout_s = options.start_timeout_s
        self._check = partial(check_fit, profile=profile)
        encoding = PictureEncoding(options.encoding)
        self._wish = Wish(options.deployment, options.inference_mode, encoding, options.instance)
        self._deployment: Deployment | None = None
        self._mode = InferenceMode.CHUNK
        self._line: _Line | None = None

    @property
    def identity(self) -> str:
        """What the server calls its artifact; "" before it was open."""
        return "" if self._deployment is None else self._deployment.artifact_identity

    @property
    def settings(self) -> str:
        """The mode, which decides how many actions an answer has."""
        return self._mode.value

    @property
    def model_dim(self) -> int:
        """Width of the model's own actions, which are only told in real-time chunking."""
        is_told = self._deployment is not None and self._mode is not InferenceMode.CHUNK
        return self._deployment.capabilities.model_dim if self._deployment is not None and is_told else 0

    @property
    def is_open(self) -> bool:
        """Whether the session of `open` still stands."""
        return self._line is not None and self._line.is_open

    def open(self, timeout_s: float) -> Mapping[Key, Value]:
        """Connect anew, and open a session; return what its server says about itself.

        At the start a server that loads, or whose client has vanished, is waited for.

        Raises:
            LinkError: no connection, no server of the deployment, or none with room.
            ConfigError: the deployment is not what the profile says.
        """
        self.close()
        line = self._line = _Line()
        limit_s = timeout_s if self._wish.said is not None else max(timeout_s, self._start_timeout_s)
        begin = partial(line.begin, self._dial, self._wish, self._check, (timeout_s, limit_s))
        place = line.call(begin, limit_s)
        if line.is_open:
            logger.info("session at server %s of deployment %s", place.instance_id, place.name)
        if self._wish.said is None:
            self._deployment, self._mode = place, line.session.accepted.mode
            self._wish = replace(self._wish, said=said_by(place))
        self._wish = replace(self._wish, avoided=place.instance_id)  # if it fails, another one comes first
        return said_by(place)

    def rtc_of(self, said: Mapping[Key, Value], horizon: int) -> RtcSpec | None:
        """Return the real-time chunking of the session's mode; None: whole chunks."""
        del said
        if self._deployment is None or self._mode is InferenceMode.CHUNK:
            return None
        guided = self._deployment.capabilities.rtc_horizon or max(horizon // 2, 1)
        return RtcSpec(min(guided, horizon))

    def ask(self, requests: Sequence[Asked], timeout_s: float) -> list[ForeignReply]:
        """Return the reply to the one request.

        Raises:
            LinkError: the session has failed, the server is lost, or no answer came in time.
            ProtocolError: an answer that is none.
            PolicyError: the question cannot be asked; the session stands.
        """
        line = self._opened()
        end_ns = monotonic_ns() + seconds_to_ns(timeout_s)
        return [line.call(partial(line.session.ask, requests[0], end_ns), timeout_s)]

    def reset(self, timeout_s: float) -> None:
        """Tell the server that an episode begins.

        Raises:
            LinkError: the server refuses or is lost, or no answer came in time.
            ProtocolError: an answer that is none.
        """
        line = self._opened()
        line.call(partial(line.session.reset, monotonic_ns() + seconds_to_ns(timeout_s)), timeout_s)

    def close(self) -> None:
        """Close the session, and drop the connection. Twice does nothing."""
        line, self._line = self._line, None
        if line is not None:
            self._wish = replace(self._wish, left=(*self._wish.left, *line.end())[-MAX_LEFT:])

    def _opened(self) -> _Line:
        if self._line is None:
            raise LinkError("not connected")
        return self._line


class _Line:
    """A link with one session, and the thread that uses both."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._session: ServerSession | None = None
        self._is_ended = False
        self._thread = CallThread("vagus-lerobot-zenoh", self._stack.close)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        return self._session is not None and self._session.is_open and not self._is_ended

    @property
    def session(self) -> ServerSession:
        """The session; LinkError without one."""
        if self._session is None:
            raise LinkError("there is no session")
        return self._session

    def call(self, work: Callable[[], ResultT], timeout_s: float) -> ResultT:
        """Return the result of work on the thread, which has its own deadline; raises what it raises."""
        return self._thread.call(work, timeout_s + MARGIN_S, "no answer")

    def begin(
        self, dial: Dial, wish: Wish, check: Callable[[Deployment], None], timeouts_s: tuple[float, float]
    ) -> Deployment:
        """Dial, and open a session, on the thread; return its server."""
        timeout_s, limit_s = timeouts_s
        end_ns = monotonic_ns() + seconds_to_ns(limit_s)
        link = dial(timeout_s)
        self._stack.callback(link.close)
        line = DeploymentLine(link, wish.deployment)
        place, self._session = admitted(line, wish, check, timeout_s, end_ns)
        if self._session is not None:
            self._stack.callback(self._session.leave)
        return place

    def end(self) -> tuple[MessageHead, ...]:
        """Close the session and the link; what takes long goes on in the background.

        Returns:
            ids of the session, if its server has not confirmed yet that it is closed.
        """
        self._is_ended = True
        session = self._session
        if session is not None:
            with suppress(VagusError):
                self._thread.call(session.leave, CLOSE_S, "no answer")
        self._thread.end()
        return () if session is None or session.is_closed else (session.head,)
