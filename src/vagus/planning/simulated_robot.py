"""One robot in the simulation of a fleet: what it plays, when it asks, and what it makes of an answer.

Its ticks are counted when something happens, not one by one: a thousand robots cost little more than their
requests.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from vagus.clock import NS_PER_S, seconds_to_ns
from vagus.edge.client.inflight import MAX_TIMEOUT_NS, MIN_TIMEOUT_NS, TIMEOUT_FACTOR, LatencyWindow
from vagus.edge.config import EdgeConfig, ExecuteHorizon
from vagus.edge.engine.refill import RequestRule
from vagus.edge.handoff import LinkView
from vagus.planning.network_law import CONSTANT, NetworkLaw
from vagus.types import LinkState

__all__ = ["FleetRequest", "RobotCounts", "RobotRun", "SimulatedRobot"]

LEAST_BUFFER_S = 1e-6
"""Buffer of a robot that asks only when it has nothing left to play."""


@dataclass(frozen=True, slots=True)
class SimulatedRobot:
    """One robot of a fleet.

    Attributes:
        name: its name.
        rate_hz: actions that it commands per second.
        horizon: actions in a chunk.
        buffer_s: it asks when it can play no longer than this, in seconds.
        execute_horizon: it asks after this number of actions of a chunk; None: only by buffer; auto: as a
            robot whose chunks continue its plan.
        network: law of its network.
        weight: weight of its actions.
        tenant: party that it belongs to; "": it is a party of its own.
        batch_key: key of its requests.
        start_s: time of its first tick, in seconds.
        max_action_age_s: largest age of an action that it commands, in seconds.
        settle_s: time that it moves on after its plan ran dry, in seconds; answers to what it saw before it
            stood are void, and it asks again when it stands. 0: it stands at once, and late answers count.
        asks_after_action: it looks whether to ask after the action of a tick was commanded, and not before:
            as in the published simulations. It has one action less then, and one step more time.
        said_slack_s: slack that it claims in every request, in seconds; None: the truth.
        said_rate_hz: rate that it claims; None: the truth.
    """

    name: str
    rate_hz: float
    horizon: int
    buffer_s: float
    execute_horizon: ExecuteHorizon = None
    network: NetworkLaw = CONSTANT
    weight: float = 1.0
    tenant: str = ""
    batch_key: Hashable = None
    start_s: float = 0.0
    max_action_age_s: float = 3.0
    settle_s: float = 0.0
    asks_after_action: bool = False
    said_slack_s: float | None = None
    said_rate_hz: float | None = None

    @property
    def party(self) -> str:
        """Party whose share its requests count against."""
        return self.tenant or self.name


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """One request.

    Attributes:
        robot: index of the robot in the fleet.
        seq: number of the request of this robot.
        step: first step of the chunk that answers it.
        captured_ns: time of its observation.
        slack_ns: how long the robot could play then.
        left: actions that it had left then.
    """

    robot: int
    seq: int
    step: int
    captured_ns: int
    slack_ns: int
    left: int


@dataclass(slots=True)
class RobotCounts:
    """What a robot did.

    Attributes:
        useful: actions of a plan that it commanded.
        starved: ticks without one.
        requests: requests that it sent.
        merged: answers that entered its plan.
        void: answers that did not: it had moved on, or they were too late.
        timeouts: requests that it gave up.
        runs: stretches of actions of one chunk: age of the first, in ns, and number of actions.
    """

    useful: int = 0
    starved: int = 0
    requests: int = 0
    merged: int = 0
    void: int = 0
    timeouts: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)


class RobotRun:
    """State of one robot. All times are ns of the simulation."""

    def __init__(self, spec: SimulatedRobot, index: int) -> None:
        """Start with an empty plan, as robot number `index` of the fleet."""
        self.spec = spec
        self.index = index
        self.step_ns = round(NS_PER_S / spec.rate_hz)
        self.played = RobotCounts()
        self.outstanding: FleetRequest | None = None
        self._rule = RequestRule.of(
            EdgeConfig(
                buffer_time_s=max(spec.buffer_s, LEAST_BUFFER_S),
                max_action_age_s=max(spec.max_action_age_s, 2 * spec.buffer_s),
                execute_horizon=spec.execute_horizon,
            ),
            step_rate_hz=spec.rate_hz,
            continues_plan=True,
        )
        self._link = LinkView(LinkState.STREAMING, epoch=index, ticket=0, latency_ns=0)
        self._min_interval_ns = 0
        self._latency = LatencyWindow()
        self._max_age_ns = seconds_to_ns(spec.max_action_age_s)
        self._next_tick_ns = seconds_to_ns(spec.start_s)
        self._step = 0
        self._left = 0
        self._executed = 0
        self._captured_ns = 0
        self._asked_ns = 0
        self._not_before_ns = -1
        self._is_dry = True
        self._seq = 0
        self._merged_seq = 0

    def join(self, least_executed: int) -> None:
        """Begin a session in which so many actions of a chunk are executed before it asks again."""
        self.outstanding = None
        self._link = replace(self._link, least_executed=least_executed)
        self._min_interval_ns = 0

    def advance(self, until_ns: int) -> None:
        """Play all ticks before `until_ns`."""
        ticks = -((self._next_tick_ns - until_ns) // self.step_ns)
        if ticks <= 0:
            return
        played = min(ticks, self._playable)
        if played:
            self.played.runs.append((self._next_tick_ns - self._captured_ns, played))
            self.played.useful += played
            self._left -= played
            self._step += played
            self._executed += played
        if played < ticks:
            self._run_dry(self._next_tick_ns + played * self.step_ns)
            self.played.starved += ticks - played
        self._next_tick_ns += ticks * self.step_ns

    @property
    def _playable(self) -> int:
        """Actions that can be played from the next tick on before the plan runs out or grows stale."""
        fresh = (self._captured_ns + self._max_age_ns - self._next_tick_ns) // self.step_ns + 1
        return max(0, min(self._left, fresh))

    def _run_dry(self, dry_ns: int) -> None:
        self._left = 0
        if not self._is_dry:
            self._is_dry = True
            if self.spec.settle_s:
                self._not_before_ns = dry_ns + seconds_to_ns(self.spec.settle_s)

    # -- asking -----------------------------------------------------------------------------------------

    def asks_at_ns(self, from_ns: int) -> int | None:
        """Return the first tick from `from_ns` on at which it asks; None: a request is under way."""
        if self.outstanding is not None:
            return None
        obeyed_ns = min(self._min_interval_ns, self._rule.max_interval_ns)
        from_ns = max(from_ns, self._asked_ns + obeyed_ns if self._asked_ns else 0)
        left = self._playable
        due = self._first_due(left) if left else None
        if due is None:
            stands_ns = max(self._next_tick_ns + left * self.step_ns, self._not_before_ns + 1)
            if left:
                stands_ns += max(self.step_ns, seconds_to_ns(self.spec.settle_s) + 1)
            return self._tick_from(max(from_ns, stands_ns))
        due_ns = self._next_tick_ns + (due - self.spec.asks_after_action) * self.step_ns
        return self._tick_from(max(from_ns, due_ns))

    def _first_due(self, left: int) -> int | None:
        """Return after how many actions the rule says to ask; None: not before the plan runs dry."""
        low, last = int(self.spec.asks_after_action), left - 1 + self.spec.asks_after_action
        high = last
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_due(middle, left) else (middle + 1, high)
        if not self._is_due(low, left):
            return None
        is_void_when_late = self.spec.settle_s > 0
        is_too_late = self._latency.fastest_ns > (left - low) * self.step_ns
        return None if is_void_when_late and is_too_late else low

    def _is_due(self, played: int, left: int) -> bool:
        return self._rule.is_due(
            self._link,
            horizon=self.spec.horizon,
            executed=self._executed + played,
            playback_left_ns=(left - played) * self.step_ns,
            since_request_ns=self._next_tick_ns + played * self.step_ns - self._asked_ns,
        )

    def _tick_from(self, time_ns: int) -> int:
        """Return the first tick from `time_ns` on that was not played yet."""
        late = max(0, -((self._next_tick_ns - time_ns) // self.step_ns))
        return self._next_tick_ns + late * self.step_ns

    def ask(self, now_ns: int) -> FleetRequest:
        """Ask at this tick."""
        self.advance(now_ns + self.spec.asks_after_action)
        left = self._playable
        slack_ns = (left + self.spec.asks_after_action) * self.step_ns if left else 0
        self._seq += 1
        self.played.requests += 1
        self._asked_ns = now_ns
        self.outstanding = FleetRequest(self.index, self._seq, self._step, now_ns, slack_ns, left)
        return self.outstanding

    @property
    def timeout_ns(self) -> int:
        """Time after which it gives up a request."""
        expected_ns = TIMEOUT_FACTOR * self._latency.windowed_ns or MAX_TIMEOUT_NS
        return min(max(expected_ns, MIN_TIMEOUT_NS), MAX_TIMEOUT_NS)

    def give_up(self) -> bool:
        """Give up the request that is under way; return False if none is."""
        if self.outstanding is None:
            return False
        self.outstanding = None
        self.played.timeouts += 1
        return True

    # -- answers ----------------------------------------------------------------------------------------

    def merge(
        self, request: FleetRequest, now_ns: int, *, min_interval_ns: int = 0, share_ns: int = 0
    ) -> None:
        """Take an answer: commanded steps are dropped; what came too late or describes a past is void.

        Args:
            request: what it answers.
            now_ns: time.
            min_interval_ns: shortest time between two requests that it asks for.
            share_ns: the same at which the robot uses no more than its part of the server.
        """
        self.advance(now_ns)
        self._latency.add(now_ns - request.captured_ns)
        self._link = LinkView(
            LinkState.STREAMING,
            epoch=self.index,
            ticket=0,
            latency_ns=self._latency.windowed_ns,
            least_executed=self._link.least_executed,
            share_ns=share_ns,
        )
        self._min_interval_ns = min_interval_ns
        if self.outstanding is not None and request.seq >= self.outstanding.seq:
            self.outstanding = None
        left = request.step + self.spec.horizon - self._step
        has_moved = request.captured_ns <= self._not_before_ns
        is_stale = now_ns - request.captured_ns > self._max_age_ns
        if left <= 0 or has_moved or is_stale or request.seq <= self._merged_seq:
            self.played.void += 1
            return
        self.played.merged += 1
        self._merged_seq = request.seq
        self._left, self._executed, self._captured_ns, self._is_dry = left, 0, request.captured_ns, False
