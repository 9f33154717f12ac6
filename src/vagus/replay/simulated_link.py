"""The robot's end of a link on a simulated clock: the real client protocol, with recorded answers. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vagus.clock import seconds_to_ns
from vagus.edge.client.inflight import LatencyWindow, Request
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.config import EdgeConfig
from vagus.edge.handoff import EngineSide
from vagus.replay.answers import RecordedAnswers
from vagus.replay.network import Cuts, NetworkChange, NetworkDraws
from vagus.specs import PolicySpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.types import RequestDraft, Snapshot
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.schema import ChunkMessage, Header, Kind

__all__ = ["SimulatedLink", "SimulatedRequest"]

SERVER = ServerKey(ServiceKey.of("recorded", "0", "replay"), "server-0")


@dataclass(slots=True)
class SimulatedRequest:
    """A request on the simulated clock, and what came of it.

    Attributes:
        episode: episode number.
        step: step at whose boundary it was made.
        captured_ns: time of its observation.
        due_ns: time at which its answer arrives; None: never.
        is_recorded: this very request was recorded.
        fate: "arrived", "lost", "cut", or "unknown": nothing was recorded about its steps.
    """

    episode: int
    step: int
    captured_ns: int
    due_ns: int | None
    is_recorded: bool
    fate: str = "arrived"


class SimulatedLink:
    """Link state, requests and answers of one robot.

    Args:
        config: the robot's settings.
        spec: the policy, with what the robot says of its actions.
        answers: what the policy says.
        change: what is other than in the recording.
        begin_ns: time of the first tick.
        continues_awaited: the server continues chunks that are still under way.
    """

    def __init__(
        self,
        config: EdgeConfig,
        spec: PolicySpec,
        answers: RecordedAnswers,
        change: NetworkChange,
        *,
        begin_ns: int,
        continues_awaited: bool = False,
    ) -> None:
        self._protocol = ClientProtocol(config, spec, LatencyWindow())
        self._backoff_ns = seconds_to_ns(config.backoff_initial_s)
        self._answers = answers
        self._continues_awaited = continues_awaited
        self._draws = NetworkDraws(change)
        self._cuts = Cuts(change, begin_ns)
        self._epoch = 0
        self._open_at_ns: int | None = begin_ns
        self._in_flight: list[tuple[int, Header, bytes]] = []
        self.requests: list[SimulatedRequest] = []

    @property
    def counters(self) -> Counter[str]:
        """Counters of the client protocol."""
        return self._protocol.counters

    def advance(self, engine: EngineSide, now_ns: int) -> None:
        """Do what the worker does until a tick: take in what has arrived, and follow time and plan."""
        protocol = self._protocol
        cut_end_ns = self._cuts.end_ns(now_ns)
        if cut_end_ns is not None and protocol.session is not None:
            protocol.lost("the link is cut")
            self._open_at_ns = cut_end_ns + self._backoff_ns
        self._receive(engine, now_ns)
        protocol.follow(engine.plan_view)
        protocol.advance(now_ns)
        if protocol.session is None and self._open_at_ns is None:
            self._open_at_ns = now_ns + self._backoff_ns
        if self._open_at_ns is not None and now_ns >= self._open_at_ns and cut_end_ns is None:
            self._open(now_ns)
        engine.link_view = protocol.view

    def offer(self, draft: RequestDraft, now_ns: int) -> None:
        """Send the request of a draft."""
        request = self._protocol.offer(Snapshot(draft, {}), now_ns)
        if request is not None:
            self.requests.append(self._send(request, now_ns))

    def _open(self, now_ns: int) -> None:
        self._open_at_ns = None
        self._epoch += 1
        self._protocol.opened(
            SessionRef(SERVER, self._epoch, continues_awaited=self._continues_awaited), now_ns
        )
        self._protocol.advance(now_ns)

    def _send(self, request: Request, now_ns: int) -> SimulatedRequest:
        draft = request.draft
        made = SimulatedRequest(draft.episode, draft.step, draft.captured_ns, None, is_recorded=False)
        answer = self._answers.answer(draft.episode, draft.step)
        added_ns = self._draws.added_ns()
        if answer is None:
            made.fate = "unknown"
            return made
        made.is_recorded = answer.is_recorded
        if added_ns is None:
            made.fate = "lost"
            return made
        due_ns = draft.captured_ns + answer.latency_ns + added_ns
        if self._cuts.falls_in(now_ns, due_ns):
            made.fate = "cut"
            return made
        made.due_ns = due_ns
        body = ChunkMessage(
            step=draft.step,
            chunk_model=encode_tensor(answer.model),
            chunk_robot=encode_tensor(answer.robot),
            valid_len=len(answer.robot),
        )
        asked = request.header
        header = Header(Kind.CHUNK, asked.seq, asked.episode, asked.client_mono_ns, asked.epoch)
        self._in_flight.append((due_ns, header, encode(body)))
        return made

    def _receive(self, engine: EngineSide, now_ns: int) -> None:
        arrived = sorted((one for one in self._in_flight if one[0] <= now_ns), key=lambda one: one[0])
        self._in_flight = [one for one in self._in_flight if one[0] > now_ns]
        for due_ns, header, payload in arrived:
            self._protocol.follow(engine.plan_view)
            proposal = self._protocol.receive(header, payload, due_ns)
            if proposal is not None:
                engine.propose(proposal)
