"""Batches of GR00T's requests: one canonical request per row, and the replies put together again (pure).

A canonical request has no axes for batch and time: a picture is (height, width, 3), a state (width,), an
instruction one text. Their paths are `("video", "front")`, `("state", "single_arm")`, `("language", "task")`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from vagus.errors import PolicyError, ProtocolError
from vagus.gateways.msgpack import AnyArray, Key, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, WirePath
from vagus.integrations.gr00t.dialect import FLAT, N1_5
from vagus.quoting import quoted

__all__ = ["ForeignBatch", "batch_of"]

_AXES: Final[dict[Key, int]] = {"video": 5, "state": 3}
"""Axes of an array with batch and time before its own."""
_LANGUAGE: Final = "language"
_ACTION: Final = "action."

_Pick: TypeAlias = Callable[[int], Value]
"""Value of a row, by its number."""


@dataclass(frozen=True, eq=False)
class ForeignBatch:
    """The rows of one request.

    Attributes:
        request: the whole request.
        rows: canonical request of each robot in it.
        has_axis: whether its arrays, and so those of its answer, have an axis for the batch.
    """

    request: ForeignRequest
    rows: tuple[ForeignRequest, ...]
    has_axis: bool

    @property
    def models(self) -> tuple[str, ...]:
        """No name of a model for each row: the protocol has no word for it."""
        return ("",) * len(self.rows)

    def join(self, replies: Sequence[ForeignReply]) -> ForeignReply:
        """Return the answer to the whole request, its arrays named and shaped as the request is written.

        Args:
            replies: one per row, each with actions (horizon, width) by their name below `action`.

        Raises:
            PolicyError: the answers to the rows differ in names or shapes.
        """
        shapes = [{name: array.shape for name, array in reply.actions.items()} for reply in replies]
        if any(other != shapes[0] for other in shapes):
            raise PolicyError(f"batch: wanted answers of equal shapes, got {quoted(shapes, 160)}")
        prefix = _ACTION if self.request.envelope.form == FLAT else ""
        actions: dict[str, AnyArray] = {}
        for name in replies[0].actions:
            rows = np.stack([reply.actions[name] for reply in replies])
            actions[prefix + name.removeprefix(_ACTION)] = rows if self.has_axis else rows[0]
        return ForeignReply(actions)


def batch_of(request: ForeignRequest, *, most: int) -> ForeignBatch:
    """Return the rows of `request`.

    Args:
        request: a request for actions, of any version and form.
        most: most rows.

    Raises:
        ProtocolError: more rows, no row, arrays that disagree on their number, other axes, or several time
            steps: a description asks for one.
    """
    has_axis = request.envelope.version != N1_5 or _is_batched(request)
    texts = request.texts
    named = {
        _canonical(path, is_text=path in texts): (path, value) for path, value in request.observation.items()
    }
    if len(named) != len(request.observation):
        raise ProtocolError("observation: wanted each key once, got one flat and nested")
    picks: dict[WirePath, _Pick] = {}
    counts: dict[str, int] = {}
    for canonical, (path, value) in named.items():
        pick, count = _picked(canonical, _Field(value, _shown(path), has_axis=has_axis))
        picks[canonical] = pick
        if count is not None:
            counts[_shown(path)] = count
    return ForeignBatch(request, _rows(request, picks, _agreed(counts, most)), has_axis)


@dataclass(frozen=True, eq=False)
class _Field:
    """One value of an observation."""

    value: Value
    name: str
    has_axis: bool


def _rows(request: ForeignRequest, picks: dict[WirePath, _Pick], count: int) -> tuple[ForeignRequest, ...]:
    return tuple(
        replace(request, observation={path: pick(row) for path, pick in picks.items()}, token=None)
        for row in range(count)
    )


def _is_batched(request: ForeignRequest) -> bool:
    """Return whether a flat request of N1.5 has an axis for the batch, which is optional there."""
    return any(
        array.ndim == _AXES.get(_canonical(path, is_text=False)[0], -1)
        for path, array in request.arrays.items()
    )


def _canonical(path: WirePath, *, is_text: bool) -> WirePath:
    """Return the path of a value in the nested form; a flat text is an instruction."""
    key = path[0]
    if len(path) != 1 or not isinstance(key, str):
        return path
    group, dot, name = key.partition(".")
    if dot and group in _AXES:
        return group, name
    return (_LANGUAGE, key) if is_text else path


def _picked(path: WirePath, field: _Field) -> tuple[_Pick, int | None]:
    """Return the choice of a row's value, and the number of rows; None if the value is the same for all."""
    if path[0] == _LANGUAGE and len(path) > 1:
        return _picked_text(field)
    value, axes = field.value, _AXES.get(path[0])
    if axes is None or not isinstance(value, np.ndarray):
        return (lambda _: value), None
    array = value if field.has_axis else value[np.newaxis]
    if array.ndim != axes:
        wanted = f"{axes if field.has_axis else axes - 1} axes, {'batch, ' * field.has_axis}time and its own"
        raise ProtocolError(f"{field.name}: wanted {wanted}, got shape {value.shape}")
    if array.shape[1] != 1:
        raise ProtocolError(f"{field.name}: wanted one time step, got {array.shape[1]}")
    return (lambda row: array[row, 0]), len(array)


def _picked_text(field: _Field) -> tuple[_Pick, int | None]:
    value = field.value
    if isinstance(value, str):
        return (lambda _: value), None
    if not isinstance(value, list):
        raise ProtocolError(f"{field.name}: wanted a text for each row, got {type(value).__name__}")
    texts = [_only_text(one, field.name) for one in value]
    return texts.__getitem__, len(texts)


def _only_text(value: Value, name: str) -> str:
    """Return the text that `value` is, or that is the only one in it: a list of one time step."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise ProtocolError(f"{name}: wanted a text for each row, got {quoted(value, 40)}")
    return value


def _agreed(counts: dict[str, int], most: int) -> int:
    found = set(counts.values()) or {1}
    if len(found) > 1:
        raise ProtocolError(f"batch: wanted as many rows in every value, got {quoted(counts, 160)}")
    count = found.pop()
    if not 1 <= count <= most:
        raise ProtocolError(f"batch: wanted 1 to {most} rows, each a robot of its own, got {count}")
    return count


def _shown(path: WirePath) -> str:
    return quoted("/".join(str(key) for key in path), 60)
