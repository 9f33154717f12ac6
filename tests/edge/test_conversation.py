"""Engine and uplink together, under any order of losses, delays, resets, pauses and sessions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edge.rig import HORIZON, MODEL_DIM, MS, POLICY, SERVER, STATE, STEP_NS, S, echo, event_payload
from vagus.edge.client.inflight import LatencyWindow, Request
from vagus.edge.client.protocol import ClientProtocol, SessionRef
from vagus.edge.config import DelayEstimate, EdgeConfig, MergeMode, PlanClock
from vagus.edge.engine.engine import Engine
from vagus.edge.handoff import EngineContract
from vagus.types import Directive, FloatArray, LinkState, MotionState, RequestDraft, Snapshot
from vagus.wire.codec import encode, encode_tensor
from vagus.wire.schema import MAX_AWAITED, ChunkMessage, Header, Kind

UID_STRIDE = 10_000
"""Values of a chunk are UID_STRIDE · request + step, exact in float32 for the sizes used here."""
MAX_AGE_NS = 3 * S
SPOILS = ("nan", "width", "garbage", "epoch", "overloaded", "draining")
"""What can be wrong with a reply; the last two are events."""


@dataclass
class Wire:
    """Messages on their way to the client."""

    header: Header
    payload: bytes


@dataclass
class World:
    """A robot, its uplink and a server that the test obeys. All time is `now_ns`."""

    config: EdgeConfig
    uses_rtc: bool = False
    tick_rate_hz: float = 30.0
    length: int = HORIZON
    now_ns: int = S
    epoch: int = 0
    pending: list[Wire] = field(default_factory=list)
    held: list[RequestDraft] = field(default_factory=list)
    requests: dict[tuple[int, int], tuple[int, Request]] = field(default_factory=dict)
    settled_ns: dict[tuple[int, int], int] = field(default_factory=dict)
    void_until_ns: int = -1
    episode: int = 0
    last: tuple[int, tuple[int, int], float] | None = None
    played: list[int] = field(default_factory=list)
    states: set[LinkState] = field(default_factory=set)

    def __post_init__(self) -> None:
        horizon = 10 if self.uses_rtc else 0
        contract = EngineContract(30.0, self.tick_rate_hz, self.uses_rtc, horizon)
        self.engine = Engine(self.config, contract)
        self.latency = LatencyWindow(initial_ns=100 * MS)
        self.protocol = ClientProtocol(self.config, POLICY, self.latency)
        self.tick_ns = round(S / self.tick_rate_hz)
        self.reopen()

    # -- worker -------------------------------------------------------------------------------------------

    def reopen(self) -> None:
        self.epoch += 1
        self.protocol.opened(SessionRef(SERVER, self.epoch, continues_awaited=self.uses_rtc), self.now_ns)
        self.publish()

    def publish(self) -> None:
        self.engine.link_view = self.protocol.view

    def work(self) -> None:
        self.protocol.follow(self.engine.plan_view)
        self.protocol.advance(self.now_ns)
        self.publish()

    def offer(self, draft: RequestDraft) -> Request | None:
        self.protocol.follow(self.engine.plan_view)
        request = self.protocol.offer(Snapshot(draft, {}), self.now_ns)
        if request is not None:
            self.check_awaited(request)
            self.requests[request.epoch, request.seq] = (len(self.requests), request)
            self.pending.append(Wire(echo(request.header), self.chunk(request)))
        self.publish()
        return request

    def chunk(self, request: Request) -> bytes:
        uid, _ = self.requests[request.epoch, request.seq]
        steps = np.arange(request.draft.step, request.draft.step + self.length, dtype=np.float32)
        values: FloatArray = (steps + UID_STRIDE * uid).astype(np.float32)[:, None]
        return payload(request.draft.step, np.repeat(values, 2, axis=1))

    def receive(self, wire: Wire) -> None:
        self.protocol.follow(self.engine.plan_view)
        proposal = self.protocol.receive(wire.header, wire.payload, self.now_ns)
        if proposal is not None:
            self.engine.propose(proposal)
        self.publish()

    def spoil(self, wire: Wire, how: str) -> Wire:
        head = wire.header
        step = self.requests[head.epoch, head.seq][1].draft.step
        if how == "nan":
            return Wire(head, payload(step, np.full((3, 2), np.nan, dtype=np.float32)))
        if how == "width":
            return Wire(head, payload(step, np.zeros((3, 3), dtype=np.float32)))
        if how == "garbage":
            return Wire(head, b"\xc1")
        if how == "epoch":
            other = Header(head.kind, head.seq, head.episode, head.client_mono_ns, head.epoch + 1)
            return Wire(other, wire.payload)
        return Wire(echo(head, Kind.EVENT), event_payload(how))

    # -- control thread -----------------------------------------------------------------------------------

    def tick(self, *, takes: bool = True) -> Directive:
        was_stopped = self.engine.motion is MotionState.STOPPED
        directive = self.engine.advance(self.now_ns, STATE)
        self.check(directive, was_stopped=was_stopped)
        for settled in self.engine.take_settled():
            source = settled.proposal.source
            self.settled_ns[source.epoch, source.seq] = self.now_ns
        draft = self.engine.take_draft() if takes else None
        if draft is not None:
            assert directive.motion not in (MotionState.PAUSED, MotionState.STOPPED)
            self.held.append(draft)
        self.states.add(directive.provenance.link)
        self.now_ns += self.tick_ns
        return directive

    def check(self, directive: Directive, *, was_stopped: bool) -> None:
        """Everything that must never be commanded."""
        if directive.knot is None:
            assert directive.motion is not MotionState.PLAYING
            return
        assert not was_stopped
        assert directive.motion is MotionState.PLAYING
        came = directive.provenance
        assert came.epoch is not None
        assert came.seq is not None
        assert came.step is not None
        assert came.index is not None
        uid, request = self.requests[came.epoch, came.seq]
        assert directive.knot.tolist() == [float(UID_STRIDE * uid + came.step)] * 2
        assert came.step == request.draft.step + came.index
        assert came.age_ns == self.now_ns - request.draft.captured_ns
        assert came.age_ns <= MAX_AGE_NS
        assert request.draft.episode == self.engine.episode == self.episode
        assert request.draft.captured_ns > self.void_until_ns
        self.check_order(came.step, (came.epoch, came.seq), directive.begin, directive.end)

    def check_awaited(self, request: Request) -> None:
        """Everything that must never be promised: a server lets the plan go on with what is named."""
        assert len(request.awaited) <= MAX_AWAITED
        assert list(request.awaited) == sorted(set(request.awaited))
        for seq in request.awaited:
            _, other = self.requests[request.epoch, seq]
            assert request.draft.prefix is not None
            assert other.draft.prefix is not None
            assert other.draft.episode == request.draft.episode
            assert other.draft.step <= request.draft.step
            settled_ns = self.settled_ns.get((request.epoch, seq))
            assert settled_ns is None or settled_ns > request.draft.captured_ns

    def check_order(self, step: int, source: tuple[int, int], begin: float, end: float) -> None:
        assert -30.0 / self.tick_rate_hz < begin < end <= 1.0  # a tick may begin in the step before
        if self.last is not None and self.last[0] == step:
            assert source == self.last[1]
            assert begin >= self.last[2]
        else:
            assert self.last is None or step > self.last[0]
            assert begin <= 0.0
            self.played.append(step)
        self.last = (step, source, end)

    def reset(self) -> None:
        self.engine.reset()
        self.episode += 1
        self.last = None
        self.played.clear()

    def resume(self, tolerance: float | None) -> None:
        is_kept = self.engine.resume(self.now_ns, measured=np.zeros(2), keep_plan_within=tolerance)
        if not is_kept:
            self.void_until_ns = self.now_ns
        self.now_ns += 1

    def move(self) -> None:
        """A fallback command moves the robot."""
        self.engine.fallback_moved(self.now_ns)
        self.void_until_ns = self.now_ns
        self.now_ns += 1

    # -- a network that is well again ---------------------------------------------------------------------

    def heal(self) -> None:
        """Run with a healthy link until the robot plays, at most 15 s."""
        for draft in self.held:
            self.offer(draft)
        self.held.clear()
        self.pending.clear()
        if self.engine.motion is MotionState.PAUSED:
            self.resume(None)
        merges = self.engine.plan_view.merges
        for _ in range(round(15 * self.tick_rate_hz)):
            self.run_healthy_tick(100 * MS)
            if self.engine.plan_view.merges > merges and self.engine.motion is MotionState.PLAYING:
                return
        pytest.fail("the robot never played again")

    def run_healthy_tick(self, latency_ns: int) -> Directive:
        if self.protocol.state is LinkState.RECONNECTING:
            self.reopen()
        self.work()
        directive = self.tick()
        for draft in self.held:
            self.offer(draft)
        self.held.clear()
        for wire in list(self.pending):
            if self.now_ns - wire.header.client_mono_ns >= latency_ns:
                self.pending.remove(wire)
                self.receive(wire)
        return directive


def payload(step: int, robot: FloatArray) -> bytes:
    model = np.zeros((len(robot), MODEL_DIM), dtype=np.float32)
    return encode(
        ChunkMessage(
            step=step,
            chunk_model=encode_tensor(model),
            chunk_robot=encode_tensor(robot),
            valid_len=len(robot),
        )
    )


CONFIGS = st.builds(
    EdgeConfig,
    merge=st.sampled_from(MergeMode),
    plan_clock=st.sampled_from(PlanClock),
    execute_horizon=st.sampled_from([None, 1, 8, "auto", "auto"]),
    delay_estimate=st.sampled_from(DelayEstimate),
    max_offline_s=st.just(1e6),
)


class Conversation(RuleBasedStateMachine):
    @initialize(
        config=CONFIGS,
        uses_rtc=st.booleans(),
        rate=st.sampled_from([30.0, 100.0, 250.0]),
        length=st.sampled_from([1, 3, 20, HORIZON]),
    )
    def begin(self, config: EdgeConfig, uses_rtc: bool, rate: float, length: int) -> None:
        if config.plan_clock is PlanClock.TIME:
            length = max(length, 20)  # a chunk shorter than its latency has nothing left when it comes
        self.world = World(config, uses_rtc, rate, length)

    def pick(self, number: int) -> Wire:
        return self.world.pending[number % len(self.world.pending)]

    # -- time ---------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 40), has_worker=st.booleans(), takes=st.booleans())
    def ticks(self, count: int, has_worker: bool, takes: bool) -> None:
        for _ in range(count):
            if has_worker:
                self.world.work()
            self.world.tick(takes=takes)

    @rule(count=st.integers(1, 60))
    def ticks_without_replies(self, count: int) -> None:
        for _ in range(count):
            if self.world.protocol.state is not LinkState.DEAD:
                self.world.run_healthy_tick(latency_ns=1000 * S)

    @precondition(lambda self: self.world.pending)
    @rule(is_newest=st.booleans())
    def deliver_and_tick(self, is_newest: bool) -> None:
        self.world.receive(self.world.pending.pop(-1 if is_newest else 0))
        self.world.tick()

    @rule(elapsed_ms=st.sampled_from([1, 60, 600, 4000]))
    def stall(self, elapsed_ms: int) -> None:
        self.world.now_ns += elapsed_ms * MS

    @rule(latency_ms=st.sampled_from([0, 50, 300]), count=st.integers(1, 60))
    def go_well(self, latency_ms: int, count: int) -> None:
        for _ in range(count):
            if self.world.protocol.state is not LinkState.DEAD:
                self.world.run_healthy_tick(latency_ms * MS)

    # -- snapshots ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.held)
    @rule(is_failed=st.booleans())
    def hand_over(self, is_failed: bool) -> None:
        draft = self.world.held.pop(0)
        if is_failed:
            self.world.protocol.draft_failed(draft.ticket, self.world.now_ns)
        else:
            self.world.offer(draft)

    # -- network ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.pending)
    @rule(number=st.integers(0, 9), keeps=st.booleans())
    def deliver(self, number: int, keeps: bool) -> None:
        wire = self.pick(number)
        if not keeps:
            self.world.pending.remove(wire)
        self.world.receive(wire)

    @precondition(lambda self: self.world.pending)
    @rule(number=st.integers(0, 9))
    def lose(self, number: int) -> None:
        self.world.pending.remove(self.pick(number))

    @precondition(lambda self: self.world.pending)
    @rule(number=st.integers(0, 9), how=st.sampled_from(SPOILS))
    def spoil(self, number: int, how: str) -> None:
        self.world.receive(self.world.spoil(self.pick(number), how))
        self.world.tick()

    @rule(is_reopened=st.booleans())
    def lose_server(self, is_reopened: bool) -> None:
        self.world.protocol.lost("token gone")
        self.world.publish()
        if is_reopened and self.world.protocol.state is LinkState.RECONNECTING:
            self.world.reopen()

    @precondition(lambda self: self.world.protocol.state is LinkState.RECONNECTING)
    @rule()
    def reopen(self) -> None:
        self.world.reopen()

    # -- the human and the robot --------------------------------------------------------------------------

    def is_over(self) -> bool:
        return self.world.engine.motion is MotionState.STOPPED

    @precondition(lambda self: not self.is_over())
    @rule()
    def reset(self) -> None:
        self.world.reset()

    @precondition(lambda self: self.world.engine.motion not in (MotionState.PAUSED, MotionState.STOPPED))
    @rule()
    def pause(self) -> None:
        self.world.engine.pause(self.world.now_ns)

    @precondition(lambda self: self.world.engine.motion is MotionState.PAUSED)
    @rule(tolerance=st.sampled_from([None, 1e9]))
    def resume(self, tolerance: float | None) -> None:
        self.world.resume(tolerance)

    @precondition(lambda self: self.world.engine.motion in (MotionState.FALLBACK, MotionState.WAITING))
    @rule()
    def move(self) -> None:
        self.world.move()

    @rule(is_killed=st.booleans(), sure=st.integers(0, 19))
    def end(self, is_killed: bool, sure: int) -> None:
        if sure:  # seldom
            return
        if is_killed:
            self.world.protocol.kill("x")
            self.world.publish()
        else:
            self.world.engine.stop("x")

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        if world.protocol.state is not LinkState.DEAD and not self.is_over():
            world.heal()
            return
        for _ in range(50):
            world.work()
            directive = world.tick()
            assert directive.motion is MotionState.STOPPED
            assert not world.held or world.held[-1].captured_ns < world.now_ns - world.tick_ns


Conversation.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# whatever happens, nothing wrong is commanded, and with a healthy link the robot plays again
TestConversation = Conversation.TestCase


# -- a bad network ------------------------------------------------------------------------------------------

FATES = st.tuples(
    st.sampled_from(["good"] * 6 + ["lost", "twice", *SPOILS]),
    st.sampled_from([10, 50, 100, 300, 700, 2000, 5000]),
)
"""What becomes of a reply, and after how many milliseconds."""
HAPPENINGS = st.sampled_from(
    ["nothing", "reset", "pause", "resume", "keep", "move", "lost", "stall 60", "stall 600", "stall 4000"]
)


class BadNetwork:
    """Delivers each reply by its fate."""

    def __init__(self, world: World, fates: list[tuple[str, int]]) -> None:
        self.world = world
        self.fates = fates
        self.on_the_way: list[tuple[int, Wire]] = []

    def tick(self) -> None:
        world = self.world
        if world.protocol.state is LinkState.RECONNECTING:
            world.reopen()
        world.work()
        world.tick()
        for draft in world.held:
            world.offer(draft)
        world.held.clear()
        for wire in world.pending:
            self.send(wire)
        world.pending.clear()
        for due in [item for item in self.on_the_way if item[0] <= world.now_ns]:
            self.on_the_way.remove(due)
            world.receive(due[1])

    def send(self, wire: Wire) -> None:
        fate, delay_ms = self.fates[len(self.world.requests) % len(self.fates)]
        due_ns = self.world.now_ns + delay_ms * MS
        if fate in SPOILS:
            self.on_the_way.append((due_ns, self.world.spoil(wire, fate)))
        elif fate != "lost":
            self.on_the_way.append((due_ns, wire))
        if fate == "twice":
            self.on_the_way.append((due_ns + 100 * MS, wire))

    def happen(self, what: str) -> None:
        world = self.world
        if what == "lost":
            world.protocol.lost("x")
            world.publish()
        elif what.startswith("stall"):
            world.now_ns += int(what.split()[1]) * MS
        elif what == "reset":
            world.reset()
        elif what == "pause" and world.engine.motion is not MotionState.PAUSED:
            world.engine.pause(world.now_ns)
        elif what in ("resume", "keep") and world.engine.motion is MotionState.PAUSED:
            world.resume(1e9 if what == "keep" else None)
        elif what == "move" and world.engine.motion in (MotionState.FALLBACK, MotionState.WAITING):
            world.move()


@settings(max_examples=150, deadline=None)
@given(
    config=CONFIGS,
    uses_rtc=st.booleans(),
    rate=st.sampled_from([30.0, 100.0]),
    fates=st.lists(FATES, min_size=1, max_size=20),
    happenings=st.lists(st.tuples(st.integers(1, 40), HAPPENINGS), min_size=3, max_size=25),
)
def test_a_bad_network_never_makes_a_wrong_command(
    config: EdgeConfig,
    uses_rtc: bool,
    rate: float,
    fates: list[tuple[str, int]],
    happenings: list[tuple[int, str]],
) -> None:
    network = BadNetwork(World(config, uses_rtc, rate), fates)
    for ticks, what in happenings:
        for _ in range(ticks):
            network.tick()
        network.happen(what)
    network.world.heal()


# -- a healthy link ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    latencies_ms=st.lists(st.integers(50, 300), min_size=1, max_size=12),
    rate=st.sampled_from([30.0, 100.0, 250.0]),
    uses_rtc=st.booleans(),
    merge=st.sampled_from(MergeMode),
)
def test_chunks_longer_than_the_age_bound_run_without_a_gap_and_without_flapping(
    latencies_ms: list[int], rate: float, uses_rtc: bool, merge: MergeMode
) -> None:
    policy_length = 100
    world = World(EdgeConfig(merge=merge), uses_rtc, rate, policy_length)
    world.protocol = ClientProtocol(world.config, replace(POLICY, horizon=policy_length), world.latency)
    world.reopen()
    world.states.clear()
    first_tick = None
    for tick in range(round(20 * rate)):
        latency_ns = latencies_ms[len(world.requests) % len(latencies_ms)] * MS
        directive = world.run_healthy_tick(latency_ns)
        if directive.motion is MotionState.PLAYING and first_tick is None:
            first_tick = tick
        assert first_tick is None or directive.motion is MotionState.PLAYING
    assert first_tick is not None
    assert world.states == {LinkState.STREAMING}
    assert world.engine.counters["starved"] == world.engine.counters["stale"] == 0
    assert world.played == list(range(len(world.played)))
    assert len(world.played) >= round((20 * rate - first_tick) * 30.0 / rate) - 1


@pytest.mark.parametrize("latency_ms", [50, 300, 480])
def test_a_buffer_longer_than_the_latency_never_runs_dry(latency_ms: int) -> None:
    world = World(EdgeConfig(), tick_rate_hz=250.0)
    while world.engine.motion is not MotionState.PLAYING:
        world.run_healthy_tick(latency_ms * MS)
    for _ in range(2500):
        assert world.run_healthy_tick(latency_ms * MS).motion is MotionState.PLAYING
    assert STEP_NS * len(world.played) >= 9 * S
