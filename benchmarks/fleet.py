"""Real robots on several servers: whether anybody starves and the load spreads, whatever happens."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.fleet_rig import FleetRig, Span
from benchmarks.fleet_simulated import play_thousand
from benchmarks.report import Aim, Report, Table, number

__all__ = ["run"]

ROBOTS, QUICK_ROBOTS = 24, 6
PROCESSES = 4
POLICY: Mapping[str, object] = {"alone_ms": 40, "eight_ms": 60, "horizon": 60, "rate_hz": 30}
"""Two seconds of actions in a chunk."""
EDGE: Mapping[str, object] = {"buffer_time_s": 1.2, "execute_horizon": None}
"""Robots ask by their buffer alone: what counts is how long it carries them while servers come and go."""
SHORT_POLICY: Mapping[str, object] = {**POLICY, "horizon": 10, "rate_hz": 20}
"""Half a second of actions in a chunk."""
SHORT_EDGE: Mapping[str, object] = {"buffer_time_s": 0.35, "execute_horizon": None}
STARVED_AIM = 0.005
SPREAD_AIM = 2
BALANCE_S = 60.0
"""A new server has its share within this time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each part is watched, in seconds, and by how many robots it is played."""

    robots: int
    settle_s: float
    steady_s: float
    after_s: float
    balance_s: float
    paused_s: float


FULL = Pace(ROBOTS, settle_s=10.0, steady_s=30.0, after_s=20.0, balance_s=BALANCE_S, paused_s=8.0)
QUICK = Pace(QUICK_ROBOTS, settle_s=1.0, steady_s=2.0, after_s=1.0, balance_s=3.0, paused_s=2.0)


@dataclass(slots=True)
class Story:
    """What was done to the fleet, and what became of it, a row for each event."""

    rig: FleetRig
    pace: Pace
    rows: list[tuple[str, ...]] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    settled_s: dict[str, float | None] = field(default_factory=dict)

    def tell(
        self,
        what: str,
        act: Callable[[], object] = lambda: None,
        *,
        patience_s: float | None = None,
        after_s: float | None = None,
    ) -> None:
        """Do something, look until the robots are spread, and then for so long again."""
        span, pace = self.rig.begin_span(), self.pace
        act()
        patience_s = pace.balance_s if patience_s is None else patience_s
        settled_s = self.rig.wait(span, self.rig.is_balanced, patience_s)
        self.rig.watch(span, pace.after_s if after_s is None else after_s)
        self.spans[what], self.settled_s[what] = span, settled_s
        balance = self.rig.balance(span.last.values())
        self.rows.append(
            (
                what,
                " ".join(f"{name}:{count}" for name, count in balance.items()),
                "never" if settled_s is None else number(settled_s),
                str(span.starved_robots),
                number(100 * span.worst_starved),
                number(span.longest_gap_ms),
                number(span.oldest_ms),
                str(span.moves),
                str(span.returns),
                str(len(span.ended)),
            )
        )


COLUMNS = (
    "event",
    "robots at each server afterwards",
    "s until spread",
    "robots starved",
    "worst starved %",
    "longest gap ms",
    "oldest action ms",
    "went elsewhere",
    "came back",
    "runs ended",
)


def run(*, quick: bool) -> Report:
    """Serve robots by two servers; kill one, add one, add a third, pause, drain, and restart the router."""
    pace = QUICK if quick else FULL
    report = Report(f"Fleet: {pace.robots} real robots; one row takes 40 ms, and eight take 60 ms")
    with ExitStack() as stack:
        short = Story(FleetRig(stack, policy=SHORT_POLICY), pace)
        _settle(short, SHORT_EDGE)
    with ExitStack() as stack:
        story = Story(FleetRig(stack, policy=POLICY), pace)
        _play(story)
    report.tables.append(Table("20 Hz, chunks of 0.5 s, asked for at 0.35 s", COLUMNS, short.rows))
    report.tables.append(Table("30 Hz, chunks of 2 s, asked for at 1.2 s", COLUMNS, story.rows))
    report.aims.append(
        Aim("worst starved share, two servers, short chunks", short.spans[STEADY].worst_starved, STARVED_AIM)
    )
    report.aims += _aims(story)
    thousand = play_thousand(quick=quick)
    report.tables.append(thousand.to_table())
    report.aims += thousand.to_aims()
    return report


STEADY = "two servers, after ten seconds"
KILLED = "kill -9 of one"
ADDED = "one more is started"
LATER = "and nothing happens"
THIRD = "a third is started"
PAUSED = "one is stopped (SIGSTOP)"
WOKEN = "and goes on (SIGCONT)"
DRAINED = "one drains (SIGTERM)"
ROUTER = "kill -9 of the router, and it is back"


def _settle(story: Story, edge: Mapping[str, object]) -> None:
    rig, pace = story.rig, story.pace
    rig.serve("a", "b")
    rig.start_robots(pace.robots, PROCESSES, edge)
    settling = rig.begin_span()
    rig.watch(settling, pace.settle_s)
    story.tell(STEADY, patience_s=0.0, after_s=pace.steady_s)


def _play(story: Story) -> None:
    rig, pace = story.rig, story.pace
    _settle(story, EDGE)
    fullest = max(("a", "b"), key=rig.balance(story.spans[STEADY].last.values()).__getitem__)
    story.tell(KILLED, lambda: rig.kill(fullest))
    story.tell(ADDED, lambda: rig.serve("c"))
    story.tell(LATER, patience_s=0.0, after_s=pace.balance_s)
    story.tell(THIRD, lambda: rig.serve("d"))
    stopped = rig.servers.pop("c")
    story.tell(PAUSED, lambda: stopped.signal(signal.SIGSTOP), patience_s=pace.paused_s)
    rig.servers["c"] = stopped
    story.tell(WOKEN, lambda: stopped.signal(signal.SIGCONT))
    story.tell(DRAINED, lambda: rig.drain("d"))
    story.tell(ROUTER, rig.restart_router)


def _aims(story: Story) -> list[Aim]:
    def missed(what: str) -> float:
        return 0.0 if story.settled_s[what] is not None else 1.0

    spans = story.spans
    return [
        Aim("worst starved share, two servers", spans[STEADY].worst_starved, STARVED_AIM),
        Aim("not spread over two servers", missed(STEADY), 0.0),
        Aim("robots starved by the kill", spans[KILLED].starved_robots, 0.0),
        Aim("a new server without its share after a minute", missed(ADDED), 0.0),
        Aim(
            "robots that went elsewhere for a new server, share", spans[ADDED].moves / story.pace.robots, 0.6
        ),
        Aim("robots that went elsewhere afterwards, when nothing happens", spans[LATER].moves, 0.0),
        Aim("robots starved by a stopped server", spans[PAUSED].starved_robots, 0.0),
        Aim("robots starved by a drain", spans[DRAINED].starved_robots, 0.0),
    ]
