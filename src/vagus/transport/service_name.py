"""Service name as a person types it: as printed, or with the names that the server was started with."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.transport.keys import ServiceKey

__all__ = ["DEFAULT_NAME", "DEFAULT_REVISION", "ServiceName", "nearest"]

DEFAULT_REVISION = "main"
DEFAULT_NAME = "default"
MAX_LENGTH = 1000
MAX_PARTS = 24
"""Most parts of a name with slashes; limits the number of ways to read it."""


def nearest(wanted: str, services: Iterable[str]) -> str:
    """Return the hint that names the service which is most like the wanted one, or ""."""
    forms = {
        form: text for text in sorted(services) for form in itertools.accumulate(text.split("/"), _joined)
    }
    near = difflib.get_close_matches(wanted, forms, n=1)
    return f"; did you mean {forms[near[0]]}?" if near else ""


def _joined(first: str, second: str) -> str:
    return f"{first}/{second}"


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A typed name of a service: `model/revision/name`, `model/revision` or `model`; each may hold slashes.

    `org/act/main/cam` can mean the model `org/act`, or the model `org` with the revision `act/main`. Of all
    readings, the one that is found on the network counts.
    """

    text: str

    @classmethod
    def of(cls, text: str, *, setting: str = "service") -> ServiceName:
        """Return the service name in a text that a person typed for `setting`.

        Raises:
            ConfigError: the text is no name of a service.
        """
        is_short = len(text) <= MAX_LENGTH and text.count("/") < MAX_PARTS
        if not is_short or not text.strip("/"):
            raise ConfigError(
                setting, wanted="model/revision/name, model/revision or model", got=repr(text[:MAX_LENGTH])
            )
        return cls(text)

    def among(self, services: Iterable[ServiceKey]) -> tuple[ServiceKey, ...]:
        """Return the services that the name can mean: the one printed like this, otherwise all readings."""
        known = set(services)
        printed = [key for key in known if key.text == self.text]
        if printed:
            return (printed[0],)
        return tuple(sorted(known & set(self._readings()), key=lambda key: key.text))

    def _readings(self) -> Iterator[ServiceKey]:
        parts = self.text.split("/")
        for first, second in itertools.combinations_with_replacement(range(1, len(parts) + 1), 2):
            model, revision, name = (
                "/".join(part) for part in (parts[:first], parts[first:second], parts[second:])
            )
            if model and (revision or not name):
                names = (model, revision or DEFAULT_REVISION, name or DEFAULT_NAME)
                yield ServiceKey.of(*names)
                yield ServiceKey(*names)  # as it is printed, in parts
