"""How many robots a device carries, and how many devices a fleet needs. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from vagus.planning.robot_kinds import MAX_ROBOTS, RobotKind
from vagus.server.capacity import best_batch, requests_per_s_at

__all__ = [
    "USABLE",
    "Capacity",
    "Device",
    "Engine",
    "Limit",
    "Trial",
    "capacity_of",
    "dealt",
    "devices_for",
    "hand_of",
    "remembered",
]

USABLE = 0.7
"""Share of the processor's time that is planned with; the rest is for requests that come at once."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device with a policy on it, and what else limits its robots.

    Attributes:
        table: batch size → inference time in ms; never falling; it has size 1.
        max_batch: largest batch.
        max_robots: sessions that the server admits.
        processor_s: time of the server's processor for one request, in seconds; 0: it keeps up.
    """

    table: Mapping[int, float]
    max_batch: int
    max_robots: int = MAX_ROBOTS
    processor_s: float = 0.0

    @property
    def requests_per_s(self) -> float:
        """Requests in a second that are planned for the server's processor."""
        return USABLE / self.processor_s if self.processor_s > 0 else math.inf

    def ms(self, size: int) -> float:
        """Return the inference time of a batch in ms; between two sizes of the table it rises evenly."""
        sizes = sorted(self.table)
        place = bisect_left(sizes, size)
        if place == len(sizes):
            return self.table[sizes[-1]] * size / sizes[-1]
        above = sizes[place]
        if above == size:
            return self.table[size]
        below = sizes[place - 1]
        part = (size - below) / (above - below)
        return self.table[below] * (1 - part) + self.table[above] * part

    def faster(self, times: float) -> Device:
        """Return a device that takes this part of the time."""
        return replace(self, table={size: ms / times for size, ms in self.table.items()})


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of some robots on one device.

    Attributes:
        robots: their number.
        starved_share: share of the control steps without an action, of the kind that starved most; 0–1.
        busy: share of time in which the device ran; 0–1.
        batch: mean number of rows in a batch.
        requests_per_s: requests of all robots.
    """

    robots: int
    starved_share: float
    busy: float
    batch: float
    requests_per_s: float


GUESSED_BUSY = 0.8
"""Busy share at which robots begin to starve, as a first guess."""
FIRST_STEP = 0.1
"""First step away from the guess, as a part of it; the next ones double."""

Engine: TypeAlias = Callable[[Device, Sequence[RobotKind]], Trial]
"""Function that tells what becomes of some robots on one device."""


def remembered(engine: Engine) -> Engine:
    """Return an engine that tries the same robots on the same device once; its places do not count."""
    trials: dict[tuple[object, ...], Trial] = {}

    def tried(device: Device, kinds: Sequence[RobotKind]) -> Trial:
        key = (tuple(sorted(device.table.items())), device.max_batch, device.processor_s, tuple(kinds))
        if key not in trials:
            trials[key] = engine(device, kinds)
        return trials[key]

    return tried


@dataclass(frozen=True, slots=True)
class Limit:
    """What counts as carried.

    Attributes:
        slo_starved_share: largest share of control steps without an action, of each kind of robots; 0–1.
        engine: tells what becomes of some robots.
    """

    slo_starved_share: float
    engine: Engine

    def is_fed(self, trial: Trial) -> bool:
        """Return whether no kind of robots starved more than that."""
        return trial.starved_share <= self.slo_starved_share

    def is_kept(self, device: Device, trial: Trial) -> bool:
        """Return whether the device carries them, and its server decodes for them and has the places."""
        is_decoded = trial.requests_per_s <= device.requests_per_s
        return self.is_fed(trial) and is_decoded and trial.robots <= device.max_robots


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many robots one device carries.

    Attributes:
        robots: largest number within the limit; 0: not even one.
        trial: what becomes of them; None if not even one.
        beyond: what becomes of one more; None if the server admits no more.
        limited_by: "device", "decoding" (the server's processor) or "sessions".
    """

    robots: int
    trial: Trial | None
    beyond: Trial | None
    limited_by: str


def hand_of(mix: Sequence[RobotKind], robots: int) -> tuple[RobotKind, ...]:
    """Return `robots` robots in the proportions of a fleet, as near as whole robots come to them."""
    total = sum(kind.count for kind in mix)
    shares = [kind.count * robots / total for kind in mix]
    counts = [math.floor(share) for share in shares]
    lacking = sorted(range(len(mix)), key=lambda k: (counts[k] - shares[k], k))
    for k in lacking[: robots - sum(counts)]:
        counts[k] += 1
    return tuple(replace(kind, count=n) for kind, n in zip(mix, counts, strict=True) if n)


def dealt(fleet: Sequence[RobotKind], devices: int) -> Iterator[tuple[RobotKind, ...]]:
    """Yield the different hands when a fleet is dealt to devices like cards, kind after kind."""
    counts = [[0] * len(fleet) for _ in range(devices)]
    turn = 0
    for k, kind in enumerate(fleet):
        whole, rest = divmod(kind.count, devices)
        for device in counts:
            device[k] = whole
        for place in range(turn, turn + rest):
            counts[place % devices][k] += 1
        turn = (turn + rest) % devices
    for hand in dict.fromkeys(map(tuple, counts)):
        yield tuple(replace(kind, count=n) for kind, n in zip(fleet, hand, strict=True) if n)


class _Search:
    """Trials of one mix on one device; each number of robots is tried once."""

    def __init__(self, device: Device, mix: Sequence[RobotKind], limit: Limit) -> None:
        self._device = device
        self._mix = mix
        self._limit = limit
        self._trials: dict[int, Trial] = {}

    def trial(self, robots: int) -> Trial:
        if robots not in self._trials:
            self._trials[robots] = self._limit.engine(self._device, hand_of(self._mix, robots))
        return self._trials[robots]

    def largest(self) -> int:
        """Return the largest number that is carried: up or down from a guess, then halved between."""
        low, high = 0, self._device.max_robots + 1
        at = self._guess()
        step = max(round(at * FIRST_STEP), 1)
        while high - low > 1:
            at = min(max(at, low + 1), high - 1)
            if self._limit.is_kept(self._device, self.trial(at)):
                low = at
                at = low + step if high > self._device.max_robots else (low + high) // 2
            else:
                high = at
                at = high - step if low == 0 else (low + high) // 2
            step *= 2
        return low

    def _guess(self) -> int:
        """Return about how many robots keep the device, alone and with full batches, or the decoders busy.

        Robots that ask sooner while there is room do not where there is none.
        """
        device, total = self._device, sum(kind.count for kind in self._mix)
        batch = best_batch(device, max_batch=device.max_batch)
        batch_s = device.ms(batch) / 1000
        needed = ((kind.count, replace(kind.demand, observe_steps=0)) for kind in self._mix)
        asked_per_s = sum(count / demand.interval_s(batch_s) for count, demand in needed) / total
        answered_per_s = min(GUESSED_BUSY * requests_per_s_at(device, batch), device.requests_per_s)
        return round(answered_per_s / asked_per_s)


def capacity_of(device: Device, mix: Sequence[RobotKind], limit: Limit) -> Capacity:
    """Return how many robots, in the proportions of `mix`, one device carries."""
    search = _Search(device, mix, limit)
    robots = search.largest()
    trial = search.trial(robots) if robots else None
    if robots == device.max_robots:
        return Capacity(robots, trial, None, "sessions")
    beyond = search.trial(robots + 1)
    return Capacity(robots, trial, beyond, "decoding" if limit.is_fed(beyond) else "device")


def devices_for(device: Device, fleet: Sequence[RobotKind], limit: Limit) -> tuple[int, list[Trial]] | None:
    """Return the smallest number of devices that carry a fleet, and what becomes of each different hand.

    None: no number does; a robot starves that has a device of its own.
    """
    alone = [limit.engine(device, (replace(kind, count=1),)) for kind in fleet]
    if not all(limit.is_kept(device, trial) for trial in alone):
        return None
    total = sum(kind.count for kind in fleet)
    at_once = capacity_of(device, fleet, limit).robots
    devices = math.ceil(total / max(at_once, 1))
    while True:  # ends: each robot is carried alone
        trials = [limit.engine(device, hand) for hand in dealt(fleet, devices)]
        if all(limit.is_kept(device, trial) for trial in trials):
            return devices, trials
        devices += 1
