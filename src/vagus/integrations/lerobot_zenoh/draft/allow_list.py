"""Allow-list of a gateway of the draft: which model, revision and task a robot's keys may name (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.lerobot_zenoh.draft.keys import DraftPlace, DraftService, key_expression

__all__ = ["ANY_TASK", "DraftAllowList", "DraftRoute"]

ANY_TASK: Final = "*"
"""Task that stands for every other one: a robot's task is a slug of its instruction."""
_FIX: Final = "e.g. lerobot-smolvla_base/main/*: the slugs that stand in the robots' keys"


@dataclass(frozen=True)
class DraftRoute:
    """One entry.

    Attributes:
        entry: as the operator has written it.
        model: slug.
        revision: slug.
        task: slug, or `*`.
    """

    entry: str
    model: str
    revision: str
    task: str

    @classmethod
    def parse(cls, entry: str) -> DraftRoute:
        """Return the route that an operator wrote as model/revision/task.

        Raises:
            ConfigError: not three slugs.
        """
        parts = entry.split("/")
        wanted = "model/revision/task, each as the slug that a robot's keys have; * for any task"
        if len(parts) != 3:
            raise ConfigError("models", wanted=wanted, got=repr(entry[:120]), fix=_FIX)
        try:
            DraftService(parts[0], parts[1], "any" if parts[2] == ANY_TASK else parts[2])
        except ProtocolError as error:
            raise ConfigError("models", wanted=wanted, got=repr(entry[:120]), fix=_FIX) from error
        return cls(entry, *parts)

    def pattern(self, place: DraftPlace) -> str:
        """Return the key expression of a place: of the service, or of all its clients."""
        return key_expression(place, self.model, self.revision, self.task)

    def is_for(self, service: DraftService) -> bool:
        """Return whether keys of `service` are of this route."""
        is_model = (self.model, self.revision) == (service.model, service.revision)
        return is_model and self.task in (service.task, ANY_TASK)


class DraftAllowList:
    """Entries of an operator; one with the task itself comes before one with `*`.

    Args:
        entries: model/revision/task, as keys have them.

    Raises:
        ConfigError: none, or one that is no such entry.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self.routes = tuple(sorted(map(DraftRoute.parse, entries), key=lambda route: route.task == ANY_TASK))
        if not self.routes:
            raise ConfigError(
                "models", wanted="what robots may name, and the service of each", got="nothing", fix=_FIX
            )

    @property
    def widest(self) -> tuple[DraftRoute, ...]:
        """Routes whose keys are those of all routes, none of them twice: what is declared on the network."""
        any_task = {(route.model, route.revision) for route in self.routes if route.task == ANY_TASK}
        return tuple(
            route
            for route in self.routes
            if route.task == ANY_TASK or (route.model, route.revision) not in any_task
        )

    def route_of(self, service: DraftService) -> DraftRoute | None:
        """Return the route of the keys of `service`; None: it is not served here."""
        return next((route for route in self.routes if route.is_for(service)), None)
