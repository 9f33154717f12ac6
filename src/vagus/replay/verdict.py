"""Comparison of a captured answer with the answer of today. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from vagus.errors import ProtocolError, SpecError
from vagus.quoting import quoted
from vagus.replay.differences import Differences
from vagus.types import FloatArray
from vagus.wire.codec import decode, decode_tensor
from vagus.wire.schema import Capabilities, ChunkMessage, EventMessage, Kind

__all__ = ["Comparison", "ReplayAnswer", "Sameness", "check_comparable", "compare", "read_answer"]


class Sameness(enum.Enum):
    """How the answer of today compares with the captured one."""

    SAME = "same"
    """Every number is within the tolerance, or the same refusal."""
    DIFFERENT = "different"
    """A number is beyond it, or the chunk has another length or step, or is a refusal of another kind."""
    FAILED = "failed"
    """Actions were captured, and the server refuses or gives what is no chunk."""
    UNANSWERED = "unanswered"
    """No answer came in time."""
    SKIPPED = "skipped"
    """No answer was captured, because nobody waited for one any more; it was not sent."""


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """An answer to a request.

    Attributes:
        actions: (valid_len, action_dim) in the robot's units; None: it was refused.
        step: s0 that it answers.
        code: code of the refusal; "" with actions.
        message: its reason.
    """

    actions: FloatArray | None
    step: int = 0
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Verdict on one request; `why` says what differs, "" if nothing does."""

    sample: str
    verdict: Sameness
    why: str = ""


def read_answer(kind: Kind, payload: bytes) -> ReplayAnswer:
    """Return the answer in the body of a chunk or an event.

    Raises:
        ProtocolError: it is malformed, or no answer.
    """
    if kind is Kind.EVENT:
        event = decode(payload, EventMessage)
        return ReplayAnswer(None, code=event.code, message=event.message)
    message = decode(payload, ChunkMessage)
    array = decode_tensor(message.chunk_robot, shape=(None, None), name="chunk_robot")
    if array.dtype.kind != "f" or len(array) != message.valid_len:
        raise ProtocolError(
            f"chunk: wanted {message.valid_len} rows of floating point numbers, got {len(array)} of "
            f"{array.dtype}"
        )
    return ReplayAnswer(np.asarray(array, np.float32), step=message.step)


def compare(
    sample: str, recorded: ReplayAnswer, live: ReplayAnswer, differences: Differences, tolerance: float
) -> Comparison:
    """Return the verdict on one request, and add its numbers to `differences`.

    Args:
        sample: name of the request.
        recorded: the captured answer.
        live: the answer of today.
        differences: takes the rows that both have.
        tolerance: largest difference that counts as the same, in each action's own unit.
    """
    if recorded.actions is None or live.actions is None:
        return _without_actions(sample, recorded, live)
    if not np.isfinite(live.actions).all():
        return Comparison(sample, Sameness.FAILED, "wanted finite numbers, got NaN or infinity")
    common = min(len(recorded.actions), len(live.actions))
    largest = differences.add(recorded.actions[:common], live.actions[:common])
    found = {
        f"{len(recorded.actions)} actions, now {len(live.actions)}": len(recorded.actions)
        != len(live.actions),
        f"for step {recorded.step}, now {live.step}": recorded.step != live.step,
        f"numbers up to {largest:.6g} apart": largest > tolerance,
    }
    why = "; ".join(text for text, is_so in found.items() if is_so)
    return Comparison(sample, Sameness.DIFFERENT if why else Sameness.SAME, why)


def _without_actions(sample: str, recorded: ReplayAnswer, live: ReplayAnswer) -> Comparison:
    if recorded.actions is not None:
        return Comparison(
            sample, Sameness.FAILED, f"actions, now {quoted(live.code)}: {quoted(live.message, 200)}"
        )
    if live.actions is not None:
        return Comparison(sample, Sameness.DIFFERENT, f"{quoted(recorded.code)}, now actions")
    if recorded.code != live.code:
        return Comparison(sample, Sameness.DIFFERENT, f"{quoted(recorded.code)}, now {quoted(live.code)}")
    return Comparison(sample, Sameness.SAME)


def check_comparable(recorded: Capabilities, live: Capabilities) -> None:
    """Check that the numbers of both mean the same, joint by joint.

    Raises:
        SpecError: the actions have other names, another order, or other kinds or units.
    """
    names, now = [a.name for a in recorded.actions], [a.name for a in live.actions]
    if names != now:
        is_order = sorted(names) == sorted(now)
        raise SpecError(
            "joints of an action",
            wanted=f"{names}, as captured",
            got=f"{now} from the server",
            fix="another order: no number could be compared with its own" if is_order else "they are others",
        )
    for what in ("unit", "kind"):
        wanted, got = ([getattr(a, what) for a in said.actions] for said in (recorded, live))
        if wanted != got:
            raise SpecError(
                f"{what}s of {names}", wanted=f"{wanted}, as captured", got=f"{got} from the server"
            )
