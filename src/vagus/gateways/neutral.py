"""Requests and replies of foreign protocols in one form, which loses nothing that the wire said (pure).

A dialect (`integrations/<system>/dialect.py`) turns bytes into these and back. Nothing is converted here:
arrays keep element type and shape, keys keep their names and order. What a key means, a profile says.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.errors import ProtocolError
from vagus.gateways.arrays import ArrayDialect
from vagus.gateways.msgpack import AnyArray, Key, Value, ValueMap
from vagus.quoting import quoted

__all__ = [
    "Envelope",
    "ForeignReply",
    "ForeignRequest",
    "ForeignRtc",
    "Operation",
    "ReplyTiming",
    "WirePath",
    "actions_of",
    "flatten",
    "map_of",
    "unflatten",
]

WirePath: TypeAlias = tuple[Key, ...]
"""Keys from the outermost map to one value: `("images", "cam_high")`, or `("observation/state",)`."""


class Operation(enum.Enum):
    """What a request asks for."""

    INFER = "infer"
    RESET = "reset"
    PING = "ping"
    DESCRIBE = "describe"
    KILL = "kill"
    UNKNOWN = "unknown"
    """An endpoint that the protocol does not have: answered by an error."""


@dataclass(frozen=True)
class Envelope:
    """How the request was written, so that the answer is written alike.

    Attributes:
        protocol: `openpi`, `gr00t`, …
        version: version of the protocol, as its dialect names it; empty where the request does not show it.
        dialect: dialect of the arrays; None if the request has none.
        form: form of the message where a protocol has several, as its dialect names it; empty if not seen.
        endpoint: name of the operation on the wire; empty where it was left out.
    """

    protocol: str
    version: str = ""
    dialect: ArrayDialect | None = None
    form: str = ""
    endpoint: str = ""


@dataclass(frozen=True, eq=False)
class ForeignRequest:
    """One request of a foreign robot.

    Attributes:
        operation: what it asks for.
        envelope: how it was written.
        observation: every value of the observation by its path, in the order of the wire.
        beside: every value of the message outside the observation that the dialect has no field for.
        token: the secret that came with it; None without one. Never to be logged.
    """

    operation: Operation
    envelope: Envelope
    observation: Mapping[WirePath, Value] = field(default_factory=dict)
    beside: Mapping[WirePath, Value] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)

    @property
    def arrays(self) -> dict[WirePath, AnyArray]:
        """The arrays of the observation: images and state."""
        return {path: value for path, value in self.observation.items() if isinstance(value, np.ndarray)}

    @property
    def texts(self) -> dict[WirePath, Value]:
        """The texts of the observation, and lists that hold nothing but texts: instructions."""
        return {path: value for path, value in self.observation.items() if _is_text(value)}

    @property
    def extra(self) -> dict[WirePath, Value]:
        """Everything else of the observation: numbers, lists of numbers, empty maps."""
        return {
            path: value
            for path, value in self.observation.items()
            if not isinstance(value, np.ndarray) and not _is_text(value)
        }


@dataclass(frozen=True, eq=False)
class ForeignReply:
    """One answer to a foreign robot, or of a foreign server.

    Attributes:
        actions: actions by their name on the wire, (horizon, width), with a batch axis before it where the
            protocol has one, or (horizon,).
        extra: every other value of the answer, in the order of the wire: timing, descriptions, status.
        error: what went wrong, in the words of the server; None if nothing did.
        model: the same actions in the model's own numbers, (horizon, model_dim) float32; None: not told.
    """

    actions: Mapping[str, AnyArray] = field(default_factory=dict)
    extra: Mapping[Key, Value] = field(default_factory=dict)
    error: str | None = None
    model: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class ForeignRtc:
    """What a robot says for real-time chunking (RTC); None where it says nothing.

    Attributes:
        is_enabled: whether it wants RTC for this request.
        prefix: actions that it will still execute, (steps, width) float64, in the units of its wire.
        inference_delay: steps that pass until the answer acts.
        execute_horizon: steps executed before the next answer takes over.
        max_guidance_weight: bound on the guidance.
        elapsed: steps executed between the observation and the request; the prefix begins after them, the
            delay counts them.
        model_prefix: the prefix in the model's own numbers, (steps, model_dim) float32.
    """

    is_enabled: bool | None = None
    prefix: NDArray[np.float64] | None = None
    inference_delay: int | None = None
    execute_horizon: int | None = None
    max_guidance_weight: float | None = None
    elapsed: int = 0
    model_prefix: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ReplyTiming:
    """How long an answer took, in ms; None where it is not said.

    Attributes:
        infer_ms: in the server, waiting included or not, as that server counts.
        policy_ms: in the policy alone.
        previous_total_ms: from the last request to its sent answer.
    """

    infer_ms: float | None = None
    policy_ms: float | None = None
    previous_total_ms: float | None = None


def map_of(value: Value, name: str) -> ValueMap:
    """Return `value` if it is a map; `name` says in an error what it should have been.

    Raises:
        ProtocolError: another type.
    """
    if not isinstance(value, dict):
        raise ProtocolError(f"{name}: wanted a map, got {type(value).__name__}")
    return value


def actions_of(value: Value, name: Key, *, wanted: str, dimensions: Container[int]) -> AnyArray:
    """Return `value` if it is an array of actions: float32 or float64, not empty.

    Args:
        value: what the message has.
        name: its key, for an error.
        wanted: what its axes should be, for an error.
        dimensions: the numbers of axes that are allowed.

    Raises:
        ProtocolError: another type or number of axes.
    """
    if not isinstance(value, np.ndarray):
        raise ProtocolError(f"{quoted(name, 40)}: wanted an array, got {type(value).__name__}")
    is_float = value.dtype.kind == "f" and value.dtype.itemsize >= 4
    if not is_float or value.ndim not in dimensions or not value.size:
        raise ProtocolError(
            f"{quoted(name, 40)}: wanted {wanted} of float32 or float64, each at least 1, "
            f"got {value.shape} of {value.dtype}"
        )
    return value


def flatten(entries: ValueMap) -> dict[WirePath, Value]:
    """Return each value of `entries` by its path; lists and empty maps are values."""
    return dict(_leaves(entries, ()))


def unflatten(values: Mapping[WirePath, Value]) -> ValueMap:
    """Return the maps whose values these are: the inverse of `flatten`.

    Raises:
        ProtocolError: an empty path, or a path that goes through another one's value.
    """
    root: ValueMap = {}
    for path, value in values.items():
        if not path:
            raise ProtocolError("observation: wanted a key for each value, got an empty path")
        inner = root
        for key in path[:-1]:
            below = inner.setdefault(key, {})
            if not isinstance(below, dict):
                raise ProtocolError(f"observation: wanted a map at {quoted(key, 40)}, got a value")
            inner = below
        if path[-1] in inner:
            raise ProtocolError(f"observation: wanted one value at {quoted(path[-1], 40)}, got two")
        inner[path[-1]] = value
    return root


def _leaves(entries: ValueMap, above: WirePath) -> Iterator[tuple[WirePath, Value]]:
    for key, value in entries.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _is_text(value: Value) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_text, value))
    return isinstance(value, str)
