"""Encodings of a binary action in a policy: probability, −1 and +1, or logit; each may be inverted.

A robot's driver always gets 0 or 1; the encoding tells which numbers of the policy mean 0 and which mean 1.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from vagus.errors import SpecError
from vagus.field_types import settle_fields

__all__ = ["BinaryEncoding", "BinaryForm"]


class BinaryForm(enum.Enum):
    """Form of the numbers that a policy gives for a binary."""

    UNIT = "unit"
    """0 to 1, or a probability; above 0.5 means 1."""
    SIGNED = "signed"
    """−1 to +1; above 0 means 1."""
    LOGIT = "logit"
    """Any number; above 0 means 1."""


THRESHOLDS = {BinaryForm.UNIT: 0.5, BinaryForm.SIGNED: 0.0, BinaryForm.LOGIT: 0.0}
HYSTERESES = {BinaryForm.UNIT: 0.1, BinaryForm.SIGNED: 0.2, BinaryForm.LOGIT: 0.4}
"""Default hysteresis per form: a tenth of the range; for a logit, the logit of the probability 0.6."""
RANGES = {
    BinaryForm.UNIT: (0.0, 1.0),
    BinaryForm.SIGNED: (-1.0, 1.0),
    BinaryForm.LOGIT: (-math.inf, math.inf),
}
OVERSHOOT = 0.1
"""Share of the range by which a number may be outside: a network sometimes gives 1.03 for 1."""
INVERTED = "inverted"


@dataclass(frozen=True, slots=True)
class BinaryEncoding:
    """Encoding of a binary action: which numbers of the policy mean 1; all others mean 0.

    Attributes:
        form: form of the numbers.
        is_inverted: numbers above the threshold mean 0.
        threshold: number between 0 and 1 of the binary; None: the middle of the form.
        hysteresis: distance from the threshold within which a number changes nothing; None: a tenth of the
            range, or half of the distance to the end of the range if the threshold is near it.
    """

    form: BinaryForm = BinaryForm.UNIT
    is_inverted: bool = False
    threshold: float | None = None
    hysteresis: float | None = None

    def __post_init__(self) -> None:
        settle_fields(self, SpecError)
        threshold = THRESHOLDS[self.form] if self.threshold is None else float(self.threshold)
        usual = _usual_hysteresis(self.form, threshold)
        hysteresis = usual if self.hysteresis is None else float(self.hysteresis)
        object.__setattr__(self, "threshold", threshold)
        object.__setattr__(self, "hysteresis", hysteresis)
        low, high = RANGES[self.form]
        if not (math.isfinite(threshold) and low < threshold < high):
            raise SpecError(
                f"threshold of a {self.form.value} encoding",
                wanted=f"between {low} and {high}",
                got=f"{threshold}",
            )
        if not 0.0 <= hysteresis < _room(self.form, threshold):
            raise SpecError(
                f"hysteresis of a {self.form.value} encoding",
                wanted=f"0 or more, and room on both sides of {threshold} up to {low} and {high}",
                got=f"{hysteresis}",
            )

    @property
    def band(self) -> tuple[float, float]:
        """Lower and upper end of the band in which a number changes nothing."""
        threshold, hysteresis = self.threshold or 0.0, self.hysteresis or 0.0
        return threshold - hysteresis, threshold + hysteresis

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest valid number; a number outside shows that the encoding is another."""
        low, high = RANGES[self.form]
        spare = OVERSHOOT * (high - low) if math.isfinite(high - low) else 0.0
        return low - spare, high + spare

    @classmethod
    def parse(cls, text: str) -> BinaryEncoding:
        """Return the encoding in a text as `str()` gives it, e.g. "signed", "unit inverted threshold=0.7".

        Raises:
            SpecError: the text is no encoding.
        """
        words = text.replace(",", " ").split()
        pairs = [word.split("=", 1) for word in words if "=" in word]
        numbers = dict(pairs)
        plain = [word for word in words if "=" not in word]
        form = [word for word in plain if word != INVERTED]
        if len(form) != 1 or form[0] not in {choice.value for choice in BinaryForm}:
            raise _unreadable(text)
        is_repeated = len(pairs) > len(numbers) or plain.count(INVERTED) > 1
        if set(numbers) - {"threshold", "hysteresis"} or is_repeated:
            raise _unreadable(text)
        return cls(
            BinaryForm(form[0]),
            is_inverted=INVERTED in plain,
            threshold=_number(text, numbers, "threshold"),
            hysteresis=_number(text, numbers, "hysteresis"),
        )

    def __str__(self) -> str:
        words = [self.form.value, *([INVERTED] if self.is_inverted else [])]
        if self.threshold != THRESHOLDS[self.form]:
            words.append(f"threshold={self.threshold:g}")
        if self.hysteresis != _usual_hysteresis(self.form, self.threshold or 0.0):
            words.append(f"hysteresis={self.hysteresis:g}")
        return " ".join(words)


def _room(form: BinaryForm, threshold: float) -> float:
    low, high = RANGES[form]
    return min(threshold - low, high - threshold)


def _usual_hysteresis(form: BinaryForm, threshold: float) -> float:
    return min(HYSTERESES[form], 0.5 * max(_room(form, threshold), 0.0))


def _number(text: str, numbers: Mapping[str, str], name: str) -> float | None:
    if name not in numbers:
        return None
    try:
        return float(numbers[name])
    except ValueError:
        raise _unreadable(text) from None


def _unreadable(text: str) -> SpecError:
    forms = ", ".join(form.value for form in BinaryForm)
    return SpecError(
        "encoding of a binary",
        wanted=f"one of {forms}, then if needed: {INVERTED} threshold=<number> hysteresis=<number>",
        got=repr(text),
    )
