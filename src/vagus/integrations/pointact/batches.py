"""Batches of PointAct's requests: one canonical request per robot, and the replies put together again (pure).

A canonical request has the keys of the batch, each with the value of one robot: a picture is (height, width,
3) uint8, points are (count, 6), a state is (width,), `task` and `repo_id` are texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import AnyArray, Key, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, WirePath
from vagus.integrations.pointact.dialect import ACTION
from vagus.quoting import quoted
from vagus.wire.images import MAX_SIDE

__all__ = ["MAX_POINTS", "join_replies", "joined", "rows_of", "split_reply"]

MAX_POINTS: Final = 1 << 17
"""Most points of one robot's cloud: a workspace of 0.5 m in voxels of 0.01 m has 125,000 at most."""
_MAX_STATE: Final = 256
_IMAGES: Final = "observation.images."
_POINTS: Final = "observation.points"
_STATE: Final = "observation.state"
_TEXTS: Final = ("task", "repo_id")
_COLUMNS: Final = 6
"""Numbers of a point: x, y, z in m, then red, green, blue from 0 to 1."""

_Check: TypeAlias = Callable[[str, Value], None]


def rows_of(request: ForeignRequest, *, most: int) -> tuple[ForeignRequest, ...]:
    """Return the canonical request of each robot in `request`, without its token.

    Raises:
        ProtocolError: no robot or more than `most`, lists of other lengths, or a value that is not what its
            key says, with NaN, or with a colour outside 0 to 1.
    """
    lists = {path[0]: _list_of(path, value) for path, value in request.observation.items()}
    counts = {len(values) for values in lists.values()} or {0}
    if len(counts) > 1:
        told = {quoted(key, 40): len(values) for key, values in lists.items()}
        raise ProtocolError(f"batch: wanted as many values at every key, got {quoted(told, 160)}")
    count = counts.pop()
    if not 1 <= count <= most:
        raise ProtocolError(f"batch: wanted 1 to {most} robots, got {count}")
    for key, values in lists.items():
        for value in values:
            _check(key, value)
    return tuple(
        replace(request, observation={(key,): values[row] for key, values in lists.items()}, token=None)
        for row in range(count)
    )


def joined(rows: Sequence[Mapping[WirePath, Value]]) -> dict[WirePath, Value]:
    """Return the observation whose robots these are: a list at each key.

    Raises:
        ProtocolError: no robot, or robots with other keys.
    """
    if not rows or any(set(row) != set(rows[0]) for row in rows):
        raise ProtocolError("batch: wanted robots with the same keys, got none or others")
    return {path: [row[path] for row in rows] for path in rows[0]}


def join_replies(replies: Sequence[ForeignReply]) -> ForeignReply:
    """Return the answer to a batch: actions (batch, horizon, width) float32.

    Args:
        replies: one per robot, with actions (horizon, width) at `action`.

    Raises:
        PolicyError: no answer, or answers of other names, shapes or numbers.
    """
    found = [reply.actions.get(ACTION) for reply in replies]
    arrays = [array for array in found if array is not None and array.ndim == 2 and array.size]
    shapes = {array.shape for array in arrays}
    if len(arrays) != len(found) or len(shapes) != 1:
        told = quoted([None if array is None else array.shape for array in found], 160)
        raise PolicyError(f"batch: wanted actions (horizon, width) of one shape for each robot, got {told}")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        actions: NDArray[np.float32] = np.stack(arrays).astype(np.float32)
    if not np.isfinite(actions).all():
        raise PolicyError("batch: wanted finite actions, got NaN, infinity or what float32 cannot hold")
    return ForeignReply({ACTION: actions})


def split_reply(reply: ForeignReply, count: int) -> tuple[AnyArray, ...]:
    """Return the actions (horizon, width) of each of `count` robots in the answer to their batch.

    Raises:
        ProtocolError: actions of another number of robots.
    """
    actions = reply.actions.get(ACTION)
    if actions is not None and actions.ndim == 2 and count == 1:
        return (actions,)
    if actions is None or actions.ndim != 3 or len(actions) != count:
        got = "none" if actions is None else f"{actions.shape}"
        raise ProtocolError(f"{ACTION}: wanted ({count}, horizon, width), got {got}")
    return tuple(actions)


def _list_of(path: WirePath, value: Value) -> list[Value]:
    if len(path) != 1 or not isinstance(value, list):
        raise ProtocolError(f"batch: wanted a list at {quoted(path[-1], 60)}, got {type(value).__name__}")
    return value


def _check(key: Key, value: Value) -> None:
    """Check a value that a robot must have understood; keys of a newer program are its own affair."""
    if not isinstance(key, str):
        return
    if key in _TEXTS:
        _check_text(key, value)
    elif key.startswith(_IMAGES):
        _check_picture(key, value)
    elif key == _POINTS or key.startswith(f"{_POINTS}."):
        _check_points(key, value)
    elif key == _STATE:
        _check_state(key, value)


def _check_text(key: str, value: Value) -> None:
    if not isinstance(value, str):
        raise ProtocolError(f"{key}: wanted a text for each robot, got {type(value).__name__}")


def _check_picture(key: str, value: Value) -> None:
    array = value if isinstance(value, np.ndarray) else None
    is_picture = array is not None and array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3
    if not is_picture or array is None or not all(1 <= side <= MAX_SIDE for side in array.shape[:2]):
        raise _refusal(key, f"uint8 (height, width, 3) with sides of 1 to {MAX_SIDE}", value)


def _check_points(key: str, value: Value) -> None:
    array = _floats(value)
    if array is None or array.ndim != 2 or array.shape[1] != _COLUMNS or len(array) > MAX_POINTS:
        raise _refusal(key, f"floats (0 to {MAX_POINTS}, {_COLUMNS})", value)
    if not len(array):  # what a client without a calibrated camera sends
        return
    _check_finite(key, array)
    least, largest = float(np.min(array[:, 3:])), float(np.max(array[:, 3:]))
    if least < 0.0 or largest > 1.0:
        raise ProtocolError(
            f"{quoted(key, 60)}: wanted colours from 0 to 1, got {least:.4g} to {largest:.4g}; "
            "divide bytes by 255"
        )


def _check_state(key: str, value: Value) -> None:
    array = _floats(value)
    if array is None or array.ndim != 1 or not 1 <= len(array) <= _MAX_STATE:
        raise _refusal(key, f"floats (1 to {_MAX_STATE},)", value)
    _check_finite(key, array)


def _floats(value: Value) -> NDArray[np.float64] | None:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.dtype.itemsize < 4:
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is refused afterwards
        return np.asarray(value, np.float64)


def _check_finite(key: str, array: NDArray[np.float64]) -> None:
    if not np.isfinite(array).all():
        raise ProtocolError(f"{quoted(key, 60)}: wanted finite numbers, got NaN or infinity")


def _refusal(key: str, wanted: str, value: Value) -> ProtocolError:
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
    return ProtocolError(f"{quoted(key, 60)}: wanted {wanted}, got {got}")
