"""The model that a foreign client names, looked up among those that the operator lets it have (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vagus.errors import ConfigError, SpecError
from vagus.quoting import quoted
from vagus.transport.keys import ServiceKey
from vagus.transport.service_name import ServiceName
from vagus.wire.schema import Capabilities

__all__ = ["ANY_MODEL", "check_model", "listed_model"]

ANY_MODEL: Final = "*"
"""Name in the table of models that stands for every other name."""
MAX_LISTED: Final = 800
"""Most characters of a list of names in an error."""


def listed_model(asked: str, models: Mapping[str, str], *, how: str) -> str:
    """Return the entry of the operator's table for the model that a client names; "": there is no table.

    Args:
        asked: name of the model, or its path on a server of the client's own kind.
        models: name → service.
        how: what a person can do where it is refused.

    Raises:
        SpecError: the table has no such entry; the error lists it.
    """
    if not models:
        return ""
    found = asked if asked in models else ANY_MODEL
    if found not in models:
        raise SpecError(
            "model", wanted=quoted(", ".join(sorted(models)), MAX_LISTED), got=quoted(asked), fix=how
        )
    return found


def check_model(asked: str, served: Capabilities, *, how: str) -> None:
    """Check that a client without an entry in a table names the service that serves it.

    Args:
        asked: name of the model: the service as printed, or the names that its server was started with.
        served: what the server says of itself.
        how: what a person can do where it is refused.

    Raises:
        SpecError: it names another one.
    """
    service = ServiceKey.of(served.model, served.revision, served.service_name)
    try:
        is_meant = bool(ServiceName.of(asked).among([service]))
    except ConfigError:  # such as a path with nothing in it
        is_meant = False
    if not is_meant:
        wanted = f"{quoted(served.model)} (service {service.text})"
        raise SpecError("model", wanted=wanted, got=quoted(asked), fix=how)
