"""The robot's end of a link in a trial: the real client protocol; a law says when chunks arrive. Pure."""

from __future__ import annotations

import heapq
from collections import Counter

from vagus.edge.client.inflight import LatencyWindow, Request
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.config import EdgeConfig
from vagus.edge.engine.engine import Engine
from vagus.specs import PolicySpec
from vagus.transport.keys import ServerKey, ServiceKey
from vagus.trials.chunk_mixing import ChunkMixer
from vagus.types import ActionChunk, RequestDraft, Snapshot
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.schema import ChunkMessage, Header, Kind, Load

__all__ = ["TrialLink"]

SERVER = ServerKey(ServiceKey.of("trial", "0", "trial"), "server-0")


class TrialLink:
    """Requests and chunks of one robot.

    Args:
        config: settings of the robot's side.
        spec: the policy, with what the robot says of its actions.
        mixer: changes each chunk when it arrives.
        inference_ms: time of the server's device for one request; the delay holds it.
        continues_plan: chunks continue the plan, those that are under way included.
    """

    def __init__(
        self,
        config: EdgeConfig,
        spec: PolicySpec,
        mixer: ChunkMixer,
        *,
        inference_ms: float = 0.0,
        continues_plan: bool = False,
    ) -> None:
        self._protocol = ClientProtocol(config, spec, LatencyWindow())
        self._mixer = mixer
        self._inference_ms = inference_ms
        self._continues_plan = continues_plan
        self._epoch = 0
        self._sent = 0
        self._under_way: list[tuple[int, int, Header, ActionChunk]] = []

    @property
    def counters(self) -> Counter[str]:
        """Counters of the client protocol."""
        return self._protocol.counters

    def begin_episode(self) -> None:
        """Forget what was mixed; the round trips are remembered."""
        self._mixer.begin_episode()

    def advance(self, engine: Engine, now_ns: int) -> None:
        """Do what the worker does until a tick: take in what has arrived, and follow time and plan."""
        protocol = self._protocol
        while self._under_way and self._under_way[0][0] <= now_ns:
            due_ns, _, header, chunk = heapq.heappop(self._under_way)
            self._take_in(engine, header, chunk, due_ns)
        protocol.follow(engine.plan_view)
        protocol.advance(now_ns)
        if protocol.session is None:
            self._epoch += 1
            protocol.opened(SessionRef(SERVER, self._epoch, continues_awaited=self._continues_plan), now_ns)
            protocol.advance(now_ns)
        engine.link_view = protocol.view

    def offer(self, draft: RequestDraft, now_ns: int) -> Request | None:
        """Return the request of a draft, if it is wanted."""
        return self._protocol.offer(Snapshot(draft, {}), now_ns)

    def answer(self, request: Request, chunk: ActionChunk, due_ns: int) -> None:
        """Let the answer to a request arrive at `due_ns`."""
        asked = request.header
        header = Header(Kind.CHUNK, asked.seq, asked.episode, asked.client_mono_ns, asked.epoch)
        self._sent += 1
        heapq.heappush(self._under_way, (due_ns, self._sent, header, chunk))

    def _take_in(self, engine: Engine, header: Header, chunk: ActionChunk, due_ns: int) -> None:
        self._protocol.follow(engine.plan_view)
        mixed = self._mixer.mix(chunk, engine.step)
        body = ChunkMessage(
            step=mixed.step,
            chunk_model=encode_tensor(mixed.model),
            chunk_robot=encode_tensor(mixed.robot),
            valid_len=len(mixed),
            inference_ms=self._inference_ms,
            load=Load(sessions=1),
        )
        proposal = self._protocol.receive(header, encode(body), due_ns)
        if proposal is not None:
            engine.propose(proposal)
