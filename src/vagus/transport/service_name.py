"""A service as a person names it: as it is printed, or with the names that the server was started with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vagus.errors import ConfigError
from vagus.transport.keys import ServiceKey

__all__ = ["ServiceName"]

DEFAULT_REVISION = "main"
DEFAULT_NAME = "default"
MAX_LENGTH = 1000
MAX_PARTS = 24
"""Of a name with slashes; bounds the ways to read it."""


@dataclass(frozen=True, slots=True)
class ServiceName:
    """`model/revision/name`, `model/revision` or `model`, where each may hold slashes itself.

    `org/act/main/cam` is the model `org/act`, but `org` with revision `act/main`, too: of all readings the
    one counts that is on the network.
    """

    text: str

    @classmethod
    def of(cls, text: str, *, setting: str = "service") -> ServiceName:
        """Return the name that was typed for `setting`.

        Raises:
            ConfigError: it is no name of a service.
        """
        is_short = len(text) <= MAX_LENGTH and text.count("/") < MAX_PARTS
        if not is_short or not text.strip("/"):
            raise ConfigError(
                setting, wanted="model/revision/name, model/revision or model", got=repr(text[:MAX_LENGTH])
            )
        return cls(text)

    def among(self, services: Iterable[ServiceKey]) -> tuple[ServiceKey, ...]:
        """Return those of `services` that are meant: that which is printed like this, else all readings."""
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
