"""Decides at session open whether a server can bear one more robot, and how often it may ask (pure)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vagus.edge.asking import processor_time_s
from vagus.errors import SessionRefusedError
from vagus.server.capacity import BatchLatency, FleetForecast, RobotDemand, forecast
from vagus.wire.schema import Capabilities, EventCode, OpenMessage

__all__ = ["Admitted", "demand_of", "predict"]

MOST_TIMES_TRAINED = 4.0
"""Largest rate that counts, as a multiple of the trained one: nobody executes a policy faster than that."""
LEAST_RATE_HZ = 1e-3
"""Smallest rate that counts; with a smaller one a chunk would last for ever."""
MAX_ROUND_TRIP_S = 1.0
TRIED_HORIZONS = 8
"""Number of execute horizons that are tried, evenly spread."""
ROUNDED_DIGITS = 3
ROUND_TRIP_STEP_S = 0.005
"""Round trips are rounded to this: robots of one network are equal then, and computed once."""

PAUSES = (
    "load: this server has many robots; those that request chunks more often than they must will be asked to "
    "pause"
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Answer to a robot that wants a session.

    Attributes:
        execute_horizon: actions of a chunk that it is asked to execute before it requests the next one; 0: as
            it likes.
        forecast: what becomes of all robots then, this one included.
        warning: what its user should know; "": nothing.
    """

    execute_horizon: int
    forecast: FleetForecast
    warning: str = ""


def demand_of(asked: OpenMessage, served: Capabilities, *, weight: float = 1.0) -> RobotDemand:
    """Return what a robot asks of the device, by what it says at session open.

    What it says is bounded, for it may be wrong. Robots that say the same are equal, so that they are
    computed once.

    Args:
        asked: its request for a session.
        served: what the server offers.
        weight: weight of its tenant.
    """
    horizon = max(served.horizon, 1)
    most_hz = MOST_TIMES_TRAINED * served.rate_hz or asked.rate_hz
    return RobotDemand(
        rate_hz=max(min(asked.rate_hz, most_hz), LEAST_RATE_HZ),
        horizon=horizon,
        buffer_s=round(asked.buffer_time_s, ROUNDED_DIGITS),
        execute_horizon=min(max(asked.execute_horizon, 0), horizon),
        observe_steps=min(max(asked.observe_steps, 0), horizon),
        processor_s=processor_time_s(served.decode_per_s),
        round_trip_s=_rounded_s(min(asked.round_trip_ms / 1000, MAX_ROUND_TRIP_S)),
        weight=weight,
        max_action_age_s=asked.max_action_age_s or math.inf,
    )


def _rounded_s(round_trip_s: float) -> float:
    return round(round(round_trip_s / ROUND_TRIP_STEP_S) * ROUND_TRIP_STEP_S, ROUNDED_DIGITS)


def predict(
    latency: BatchLatency,
    robots: Sequence[RobotDemand],
    asking: RobotDemand,
    *,
    max_batch: int,
    max_starved_share: float,
    is_running: bool = False,
) -> Admitted:
    """Return the answer to a robot that wants a session.

    It is admitted as it is if nobody starves by others then for more than the share that is allowed;
    otherwise with the shortest execute horizon at which that holds; otherwise, if that holds once the others
    that use only a part of each chunk pause as the rate control asks them to. A robot that runs already is
    admitted in any case, with the horizon at which the others starve least: it would stand still elsewhere.
    So is a robot that would be alone.

    Args:
        latency: inference time by batch size.
        robots: the robots with a session, without this one.
        asking: the robot that asks.
        max_batch: largest batch.
        max_starved_share: share of the time that a robot may starve by others, 0–1.
        is_running: the robot has a plan of another server.

    Raises:
        SessionRefusedError: the device cannot bear it.
    """
    fleet = Counter(robots)

    def with_horizon(horizon: int) -> FleetForecast:
        return forecast(latency, fleet + Counter([asking.agreed(horizon)]), max_batch=max_batch)

    as_it_is = with_horizon(0)
    if _is_bearable(as_it_is, max_starved_share):
        return Admitted(0, as_it_is)
    tried = {horizon: with_horizon(horizon) for horizon in _horizons(asking, as_it_is)}
    for horizon, then in tried.items():
        if _is_bearable(then, max_starved_share):
            return Admitted(horizon, then, _longer(horizon, asking, then))
    if any(robot.is_eager for robot in robots):
        others = [robot.as_patient if robot.is_eager else robot for robot in robots]
        then = forecast(latency, [*others, asking], max_batch=max_batch)
        if _is_bearable(then, max_starved_share):
            return Admitted(0, as_it_is, PAUSES)
    if not is_running and robots:
        raise SessionRefusedError(EventCode.OVERLOADED.value, _why(as_it_is, max_starved_share))
    best = min(tried, key=lambda horizon: tried[horizon].starved_by_others, default=0)
    chosen = tried.get(best, as_it_is)
    return Admitted(best, chosen, _too_much(chosen, is_running=is_running))


def _is_bearable(then: FleetForecast, max_starved_share: float) -> bool:
    return then.starved_by_others <= max_starved_share and then.least_demand <= 1


def _horizons(asking: RobotDemand, as_it_is: FleetForecast) -> Iterator[int]:
    """Yield execute horizons to try, the shortest first; none for a client that waits for each answer."""
    if asking.is_blocking:
        return
    longest = asking.longest_agreeable(min(as_it_is.delay_s, asking.chunk_s / 4))
    step = max(longest // TRIED_HORIZONS, 1)
    yield from range(step, longest + 1, step)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _longer(horizon: int, asking: RobotDemand, then: FleetForecast) -> str:
    return (
        f"load: this server has many robots (busy {_percent(then.busy)} of the time): it asks to "
        f"execute {horizon} of {asking.horizon} actions of each chunk before the next request"
    )


def _too_much(then: FleetForecast, *, is_running: bool) -> str:
    because = "a running robot is not refused" if is_running else "no other robot is here"
    return (
        f"load: too much for this server ({_percent(then.demand)} of its device are asked for): robots"
        f" will have no action for about {_percent(then.starved_share)} of the time; admitted, because "
        f"{because}"
    )


def _why(then: FleetForecast, max_starved_share: float) -> str:
    return (
        f"load: with this robot {_percent(then.demand)} of the device would be asked for, and robots would "
        f"wait for others, without an action, for {_percent(then.starved_by_others)} of the time; wanted: at "
        f"most {_percent(max_starved_share)}; {_remedy(then)} "
        "(slo_starved_share and admission at the server say what is refused)"
    )


def _remedy(then: FleetForecast) -> str:
    if then.demand > 1:  # a longer buffer would make the robots ask more often
        return "ask another replica, or start one more `vagus serve`"
    return "ask another replica, start one more `vagus serve`, or raise buffer_time_s at the robots"
