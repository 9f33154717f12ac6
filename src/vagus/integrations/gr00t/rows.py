"""Canonical requests stacked into one of GR00T's, and its reply taken apart into one per request (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import Key, Value
from vagus.gateways.neutral import Envelope, ForeignReply, ForeignRequest, Operation, WirePath
from vagus.integrations.gr00t.dialect import FLAT, N1_5, NESTED
from vagus.quoting import quoted

__all__ = ["are_alike", "stacked", "unstacked", "version_of"]

LANGUAGE = "language"
ACTION = "action."


def version_of(said: Mapping[Key, Value], known: Sequence[str]) -> str:
    """Return the version of the wire by a server's answer to `get_modality_config`; "": it does not show.

    Args:
        said: the answer: modality → its configuration.
        known: N1.5, and the version that others are spoken to in.
    """
    keys: list[tuple[Key, Value]] = []
    for modality, config in said.items():
        listed = config.get("modality_keys") if isinstance(config, dict) else None
        keys += [(modality, key) for key in listed] if isinstance(listed, list) else []
    if not keys:
        return ""
    old, new = known
    is_flat = any(
        modality != LANGUAGE and quoted(key).startswith(f"{quoted(modality)}.") for modality, key in keys
    )
    return old if is_flat else new


def are_alike(requests: Sequence[ForeignRequest]) -> bool:
    """Return whether the requests have the same keys and shapes, so that they can be stacked."""
    return len({tuple(map(_form_of, request.observation.items())) for request in requests}) <= 1


def stacked(requests: Sequence[ForeignRequest], version: str) -> ForeignRequest:
    """Return one request for all: with axes for batch and time, or for time alone in N1.5.

    Raises:
        ProtocolError: N1.5, and not exactly one request.
    """
    if version == N1_5:
        return _flat(requests)
    first, *_ = requests
    observation: dict[WirePath, Value] = {}
    for path, value in first.observation.items():
        column = [request.observation[path] for request in requests]
        is_array = isinstance(value, np.ndarray)
        observation[path] = (
            np.stack([*map(np.asarray, column)])[:, None] if is_array else [[c] for c in column]
        )
    envelope = Envelope("gr00t", version, form=NESTED, endpoint="get_action")
    return ForeignRequest(Operation.INFER, envelope, observation, {("data", "options"): None})


def unstacked(reply: ForeignReply, count: int, version: str) -> list[ForeignReply]:
    """Return one reply per request; the names of actions without `action.`.

    Raises:
        PolicyError: actions that are not one chunk per request.
    """
    actions = {name.removeprefix(ACTION): array for name, array in reply.actions.items()}
    if reply.error is not None:
        return [reply] * count
    if version == N1_5:
        return [ForeignReply(actions, reply.extra)]
    wrong = {name: array.shape for name, array in actions.items() if array.ndim != 3 or len(array) != count}
    if wrong:
        raise PolicyError(f"actions: wanted ({count}, horizon, width), got {wrong}")
    return [
        ForeignReply({name: array[at] for name, array in actions.items()}, reply.extra) for at in range(count)
    ]


def _flat(requests: Sequence[ForeignRequest]) -> ForeignRequest:
    if len(requests) != 1:
        raise ProtocolError(f"{N1_5}: wanted one request in a call, got {len(requests)}")
    observation: dict[WirePath, Value] = {}
    for (group, name), value in ((_two(path), value) for path, value in requests[0].observation.items()):
        is_array = isinstance(value, np.ndarray)
        key = name if group == LANGUAGE else f"{group}.{name}"
        observation[(key,)] = np.asarray(value)[None] if is_array else [value]
    envelope = Envelope("gr00t", N1_5, form=FLAT, endpoint="get_action")
    return ForeignRequest(Operation.INFER, envelope, observation)


def _two(path: WirePath) -> tuple[str, str]:
    if len(path) != 2:
        raise ProtocolError("observation: wanted a group and a name for each value, got another path")
    return quoted(path[0]), quoted(path[1])


def _form_of(entry: tuple[WirePath, Value]) -> tuple[object, ...]:
    path, value = entry
    return (path, value.shape, value.dtype.str) if isinstance(value, np.ndarray) else (path,)
