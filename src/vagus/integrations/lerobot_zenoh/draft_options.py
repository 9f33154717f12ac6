"""Settings of a server of LeRobot's remote inference draft as the brain; nothing is imported to read them."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.errors import ConfigError, ProtocolError
from vagus.integrations.lerobot_zenoh.draft.keys import DraftService, slug
from vagus.integrations.lerobot_zenoh.zenoh_options import ZenohServerOptions

__all__ = ["LeRobotDraftOptions"]


@dataclass(frozen=True, slots=True)
class LeRobotDraftOptions(ZenohServerOptions):
    """Settings in `options` for `lerobot_draft+zenoh://host:port`."""

    model_repo: str = ""
    """Name of the model that the server was started with, e.g. lerobot/smolvla_base."""
    model_revision: str = "main"
    """Revision of the model."""
    task: str = ""
    """Task that the server was started with, e.g. "pick the cube"; part of its keys, whatever robots do."""

    def __post_init__(self) -> None:
        ZenohServerOptions.__post_init__(self)
        for name in ("model_repo", "model_revision", "task"):
            if not getattr(self, name):
                raise ConfigError(name, wanted=f"it among the options: --options {name} …", got="none")
        self.service()

    def service(self) -> DraftService:
        """Return what the server's keys name.

        Raises:
            ConfigError: a name of which nothing can stand in a key.
        """
        try:
            return DraftService(slug(self.model_repo), slug(self.model_revision), slug(self.task))
        except ProtocolError as error:
            raise ConfigError("model_repo, model_revision, task", wanted="names", got=str(error)) from error
