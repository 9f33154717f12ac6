"""Profiles: what the keys and numbers of a foreign wire mean, for one robot or model (pure)."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vagus.errors import SpecError
from vagus.features import ActionKind
from vagus.field_types import settle_fields
from vagus.gateways.profile_keys import PROTOCOLS, check_keys_fit, told_path
from vagus.gateways.profile_semantics import check_semantics
from vagus.spec_checks import check_frame_size
from vagus.specs import check_name, check_positive, check_unique
from vagus.units import is_stated

__all__ = [
    "PROTOCOLS",
    "ActionReference",
    "ColorOrder",
    "FloatType",
    "ImageLayout",
    "Profile",
    "ResizeRule",
    "WireImage",
    "WireSpan",
]


class ImageLayout(enum.Enum):
    """Order of the axes of a picture on the wire."""

    HWC = "HWC"
    """(height, width, 3)."""
    CHW = "CHW"
    """(3, height, width)."""


class ColorOrder(enum.Enum):
    """Order of the colors of a pixel on the wire."""

    RGB = "RGB"
    BGR = "BGR"


class ResizeRule(enum.Enum):
    """What is done with a picture of another size than the profile's."""

    REFUSE = "refuse"
    """It is an error."""
    STRETCH = "stretch"
    """It is scaled to the size; the aspect ratio changes."""
    PAD = "pad"
    """It is scaled until it fits inside, centred, and the rest is black: as openpi's clients do."""


class ActionReference(enum.Enum):
    """What an action on the wire is counted from."""

    ABSOLUTE = "absolute"
    """From the zero of its unit."""
    RELATIVE = "relative"
    """From the state in the observation that the chunk answers. vagus has absolute positions."""


class FloatType(enum.Enum):
    """Element type of an array of numbers."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSpan:
    """Numbers that follow each other in one array of the wire.

    Spans of one key follow each other in the array, in the order of the profile.

    Attributes:
        key: keys from the outermost map to the array.
        names: name of each number, as robots and policies of vagus call it.
        unit: unit of the numbers in vagus.
        wire_unit: unit on the wire; "": the same.
        range: two values in vagus, and `wire_range` the same two on the wire: a gripper that is 0 to 100
            here and 1 to 0 there has [0, 100] and [1, 0]. None: units alone convert.
        wire_range: see `range`.
        kind: kind of an action; None: position. Not for the state.
        encoding: encoding of a binary action in the policy, as `BinaryEncoding.parse` reads it; "": none.
        reference: what an action on the wire is counted from.
        relative_to: for relative actions, the state features that they are counted from, one per name; empty:
            those of the same names.
        dtype: element type with which the array is written.
        semantics: what the wire's own specification says the array means; "": made from names and units.
    """

    key: tuple[str, ...]
    names: tuple[str, ...]
    unit: str
    wire_unit: str = ""
    range: tuple[float, float] | None = None
    wire_range: tuple[float, float] | None = None
    kind: ActionKind | None = None
    encoding: str = ""
    reference: ActionReference = ActionReference.ABSOLUTE
    relative_to: tuple[str, ...] = ()
    dtype: FloatType = FloatType.FLOAT32
    semantics: str = ""

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        where = told_path(self.key)
        if not self.names:
            raise SpecError(f"names at {where}", wanted="a name for each number", got="none")
        if not is_stated(self.unit):
            raise SpecError(
                f"unit at {where}",
                wanted="the unit of the numbers, or a word for it that the policy states too",
                got=repr(self.unit),
            )
        if (self.range is None) != (self.wire_range is None):
            given, lacking = ("range", "wire_range") if self.wire_range is None else ("wire_range", "range")
            raise SpecError(
                f"{given} at {where}", wanted=f"{lacking} beside it: the same two values", got="it alone"
            )
        for ends in (self.range, self.wire_range):
            _check_ends(where, ends)
        self._check_relative(where)

    def _check_relative(self, where: str) -> None:
        is_relative = self.reference is ActionReference.RELATIVE
        if is_relative and self.kind not in (None, ActionKind.POSITION):
            raise SpecError(
                f"reference at {where}",
                wanted="absolute, or an action of kind position",
                got=f"relative for a {self.kind.value}",
                fix="a change per step is of kind delta, and absolute",
            )
        if self.relative_to and not is_relative:
            raise SpecError(f"relative_to at {where}", wanted="reference: relative beside it", got="absolute")
        if self.relative_to and len(self.relative_to) != len(self.names):
            raise SpecError(
                f"relative_to at {where}",
                wanted=f"{len(self.names)} state features, one per name",
                got=f"{len(self.relative_to)}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WireImage:
    """One picture of the wire, uint8.

    Attributes:
        key: keys from the outermost map to the picture.
        name: name of the camera in vagus.
        height: rows on the wire, pixels.
        width: columns on the wire, pixels.
        layout: order of its axes.
        color: order of its colors.
        resize: what is done with a picture of another size.
        required: False: a request may come without it.
        semantics: what the wire's own specification says the picture means; "": the camera's.
    """

    key: tuple[str, ...]
    name: str
    height: int
    width: int
    layout: ImageLayout = ImageLayout.HWC
    color: ColorOrder = ColorOrder.RGB
    resize: ResizeRule = ResizeRule.REFUSE
    required: bool = True
    semantics: str = ""

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_frame_size(self.name, self.height, self.width)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the picture on the wire."""
        if self.layout is ImageLayout.CHW:
            return 3, self.height, self.width
        return self.height, self.width, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Meaning of a foreign wire for one robot or model.

    Attributes:
        name: name of the profile.
        protocol: one of `PROTOCOLS`.
        robot_type: kind of robot.
        rate_hz: actions per second.
        horizon: longest chunk of actions that is used.
        actions: numbers of an action.
        state: numbers of the state.
        images: pictures.
        instruction: keys to the text of what to do; None: the wire has none.
        identity: stated identity of a foreign server that cannot say who it is; "": not stated.
        semantics: text that both sides of the wire must state alike, where the protocol has one; "": none.

    Raises:
        SpecError: the profile contradicts itself or its protocol.
    """

    name: str
    protocol: str
    robot_type: str
    rate_hz: float
    horizon: int
    actions: tuple[WireSpan, ...]
    state: tuple[WireSpan, ...] = ()
    images: tuple[WireImage, ...] = ()
    instruction: tuple[str, ...] | None = None
    identity: str = ""
    semantics: str = ""

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        check_name("name of a profile", self.name)
        check_name("robot_type", self.robot_type)
        check_positive("rate_hz", self.rate_hz)
        check_positive("horizon", self.horizon)
        if not self.actions:
            raise SpecError("actions", wanted="at least one", got="none")
        check_unique("action", _names(self.actions))
        check_unique("state", _names(self.state))
        check_unique("camera", (image.name for image in self.images))
        for what, spans in (("state", self.state), ("actions", self.actions)):
            _check_together(what, spans)
        for span in self.state:
            _check_state(span)
        check_keys_fit(self.protocol, self.actions, self.state, self.images, self.instruction)
        _check_bases(self.actions, set(_names(self.state)))
        check_semantics(self.protocol, self.semantics, (*self.state, *self.actions), self.images)


def _names(spans: Iterable[WireSpan]) -> Iterator[str]:
    return (name for span in spans for name in span.names)


def _check_ends(where: str, ends: tuple[float, ...] | None) -> None:
    if ends is None:
        return
    if len(ends) != 2 or not all(map(math.isfinite, ends)) or ends[0] == ends[1]:
        raise SpecError(f"range at {where}", wanted="two finite numbers that differ", got=f"{list(ends)}")


def _check_state(span: WireSpan) -> None:
    """Check that a span of the state has no setting that only an action has."""
    given = [
        name
        for name, is_given in (
            ("kind", span.kind is not None),
            ("encoding", span.encoding != ""),
            ("reference", span.reference is not ActionReference.ABSOLUTE),
        )
        if is_given
    ]
    if given:
        raise SpecError(
            f"state at {told_path(span.key)}", wanted="a state, which is only measured", got=", ".join(given)
        )


def _check_together(what: str, spans: tuple[WireSpan, ...]) -> None:
    """Check that the spans of one array stand one after the other, and say one element type."""
    seen: list[tuple[str, ...]] = []
    for before, span in zip((None, *spans), spans, strict=False):
        where = f"{what} at {told_path(span.key)}"
        if before is None or before.key != span.key:
            if span.key in seen:
                raise SpecError(
                    where, wanted="the parts of one array one after the other", got="another between"
                )
            seen.append(span.key)
        elif before.dtype is not span.dtype:
            raise SpecError(
                where,
                wanted="one dtype for the whole array",
                got=f"{before.dtype.value} and {span.dtype.value}",
            )


def _check_bases(actions: tuple[WireSpan, ...], state: set[str]) -> None:
    """Check that relative actions are counted from state features that are there."""
    for span in actions:
        lacking = sorted(set(span.relative_to or span.names) - state)
        if span.reference is ActionReference.RELATIVE and lacking:
            raise SpecError(
                f"relative actions at {told_path(span.key)}",
                wanted=f"state features that they are counted from, among {sorted(state)}",
                got=f"{lacking}",
                fix="name them with relative_to",
            )
