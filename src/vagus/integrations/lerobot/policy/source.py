"""Source of a LeRobot policy: a directory, or one revision on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from vagus.errors import ConfigError, PolicyError
from vagus.integrations.lerobot.policy.checkpoint import check_source

__all__ = ["local_directory"]

WANTED = ("*.json", "*.safetensors", "*.model", "*.txt")
UNWANTED = ("checkpoints/*", "training_state/*", "logs/*")
"""Repositories may carry a whole training run."""


def local_directory(model: str, revision: str, allowed: Sequence[str]) -> Path:
    """Return the directory with the files of `model`, fetched from the hub if it is not one itself.

    Args:
        model: a directory or a hub id.
        revision: branch, tag or commit on the hub.
        allowed: what the manifest lists.

    Raises:
        ConfigError: no such directory, repository or revision, or it is not on the list.
        PolicyError: the hub does not answer, or does not let us.
    """
    if not model:
        raise ConfigError("model", wanted="a directory or a hub id", got="nothing", fix="add --model")
    path = Path(model).expanduser()
    if path.is_dir():
        check_source(str(path), allowed, is_local=True)
        return path
    if path.is_absolute() or model.startswith((".", "~")) or path.exists():
        raise ConfigError("model", wanted="a directory or a hub id", got=f"{model}, which is neither")
    check_source(model, allowed, is_local=False)
    return _fetch(model, revision)


def _fetch(model: str, revision: str) -> Path:
    where = f"{model!r} at revision {revision!r}"
    try:
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED)
            )
        )
    except HFValidationError as error:
        raise ConfigError("model", wanted="a directory or a hub id", got=repr(model)) from error
    except GatedRepoError as error:
        raise PolicyError(
            f"model {where} is gated: accept its terms on its page, then log in here (HF_TOKEN)"
        ) from error
    except RevisionNotFoundError as error:
        raise ConfigError("revision", wanted=f"one that {model!r} has", got=repr(revision)) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(
            "model",
            wanted="a directory or a hub id",
            got=f"{model!r}: there is no such directory here, nor does the hub have it or show it without a "
            "login (HF_TOKEN)",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise PolicyError(
            f"model {where}: there is no such directory here, the hub cannot be reached, and the files are "
            f"not in its cache ({type(error).__name__}); download them elsewhere and give the directory"
        ) from error
