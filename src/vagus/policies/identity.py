"""Identity of a policy of your own: its code, its options, and the files that it reads while it is loaded.

Two processes with equal digests give equal actions, so a moving robot may change from one to the other.
The digest depends on the names and contents of the files, not on their place.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vagus.errors import ConfigError, PolicyError
from vagus.policies.file_reads import FileReads, Fingerprint, fingerprint
from vagus.policies.options import OptionValue
from vagus.policies.own_files import Home, files_below

__all__ = ["PolicyIdentity"]

BLOCK_BYTES = 1 << 20
LARGE_BYTES = 1 << 30
"""Size from which reading is logged, because it takes seconds."""
NATIVE = ("safetensors", "onnxruntime", "tensorrt", "llama_cpp", "h5py")
"""Libraries that open files in machine code, which Python does not report."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the policy, labelled by its role and independent of its place."""

    label: str
    path: Path
    seen: Fingerprint | None = None
    """Fingerprint of the file before it was used; None: not taken."""


class PolicyIdentity:
    """Identity of one policy. Call `begin` before it is imported, and `digest` after it has run.

    Args:
        subject: the policy, for messages.
        options: options of its constructor; for a file or folder in them, its contents count.
    """

    def __init__(self, subject: str, options: Mapping[str, OptionValue]) -> None:
        self._subject = subject
        self._options = options
        self._reads = FileReads()
        self._home: Home | None = None
        self._version = ""
        self._given: dict[str, list[_Part]] = {}
        self._declared: list[_Part] | None = None
        self._digest = ""
        self._is_handed_over = self._is_made = False

    def begin(self) -> None:
        """Start to record the files that are read.

        Raises:
            ConfigError: an option names a folder with too many files.
        """
        for name, value in self._options.items():
            path = os.path.expanduser(value) if isinstance(value, str) else ""
            if os.path.isfile(path) or os.path.isdir(path):
                self._given[name] = self._parts(f"option {name}", Path(path))
        self._reads.begin()

    def made_of(self, module: ModuleType, version: str, declared: object) -> None:
        """Note that the policy was loaded.

        Args:
            module: the module that defines it.
            version: its declared version.
            declared: names of the files and folders that it reads, relative to the folder of its module; no
                other file counts then. None: the recorded files count.

        Raises:
            ConfigError: a declared file is not there.
        """
        self._home, self._version = Home.of(module), version
        if declared is not None:
            self._declared = [part for name in _names(self._subject, declared) for part in self._listed(name)]

    def handed_over(self, *, is_made: bool) -> None:
        """The policy was not imported by us: its code may stand in no file.

        Args:
            is_made: it is an object or a function, and may have read anything before we watched.
        """
        self._is_handed_over, self._is_made = True, is_made

    def abandon(self) -> None:
        """Stop recording, without a digest."""
        self._reads.end()

    def digest(self) -> str:
        """Return the digest over all files that were read so far; the first call stops the recording.

        Raises:
            PolicyError: a file was replaced while the policy was loaded, so its contents are not known.
        """
        self._digest = self._digest or self._compute(self._reads.end())
        return self._digest

    def _compute(self, read: Mapping[Path, Fingerprint]) -> str:
        weights = self._found(read) if self._declared is None else self._declared
        given = self._given if self._declared is None else {}
        self._tell(weights, is_found=self._declared is None)
        code = [] if self._home is None else self._home.sources()
        parts = [
            *(_Part(f"code {label}", path) for label, path in code),
            *(part for parts in given.values() for part in parts if part.path not in self._reads.written),
            *weights,
        ]
        unseen = self._unseen(has_code=bool(code))
        plain = sorted((name, value) for name, value in self._options.items() if name not in given)
        lines = sorted(f"{part.label} {content}" for part in parts if (content := self._content(part)))
        return hashlib.sha256(
            repr((self._version, plain, lines, *unseen)).encode(errors="surrogateescape")
        ).hexdigest()

    def _unseen(self, *, has_code: bool) -> tuple[str, ...]:
        """Return a random word in the place of what nobody can see of the policy, if there is such."""
        is_seen = has_code and (self._declared is not None or not self._is_made)
        if not self._is_handed_over or is_seen or self._version:
            return ()
        why = "what it read before it was handed over" if has_code else "its code, which stands in no file,"
        fix = "weights_files=[…] ([] if it reads none) or a version" if has_code else "a version"
        logger.warning(
            "%s: %s is not known, so no robot in motion will go on with another process of it; say %s",
            self._subject,
            why,
            fix,
        )
        return (secrets.token_hex(16),)

    def _found(self, read: Mapping[Path, Fingerprint]) -> list[_Part]:
        given = {part.path.resolve() for parts in self._given.values() for part in parts}
        home = self._home or Home(None)
        return [
            _Part(f"weights {path.name}", path, seen)
            for path, seen in read.items()
            if home.counts(path) and path.resolve() not in given
        ]

    def _listed(self, name: str) -> list[_Part]:
        own = Path(name).expanduser()
        path = own if self._home is None or self._home.folder is None else self._home.folder / own
        path = path if path.exists() else own
        if not path.exists():
            subject = f"weights_files of {self._subject}"
            raise ConfigError(subject, wanted="files and folders that exist", got=name)
        return self._parts("weights", path)

    def _parts(self, label: str, path: Path) -> list[_Part]:
        return [
            _Part(f"{label} {below}", file, fingerprint(file))
            for below, file in files_below(self._subject, path)
        ]

    def _tell(self, weights: Sequence[_Part], *, is_found: bool) -> None:
        size = sum(part.path.stat().st_size for part in weights if part.path.exists())
        if size > LARGE_BYTES:
            logger.info("%s: reading %.1f GB of weights for its identity", self._subject, size / 1e9)
        native = [name for name in NATIVE if name in sys.modules]
        if is_found and native and not weights and not self._given:
            logger.warning(
                "%s uses %s, which open files unseen: say weights_files=[…], or other weights under the same "
                "name are not noticed",
                self._subject,
                ", ".join(native),
            )

    def _content(self, part: _Part) -> str:
        """Return the digest of a file, or "" if it is gone: it was made only for loading."""
        now = fingerprint(part.path)
        if now is None:
            logger.warning("%s: %s is gone and not part of its identity", self._subject, part.path)
            return ""
        digest = hashlib.sha256()
        with part.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        if part.seen not in (None, now) or fingerprint(part.path) != now:
            raise PolicyError(
                f"{self._subject}: {part.path} was changed while the policy was loaded; start again, or say "
                "which files are its weights (weights_files)"
            )
        return digest.hexdigest()


def _names(subject: str, declared: object) -> list[str]:
    """Return the declared names as a list; a single name may be given without a list."""
    if isinstance(declared, (str, os.PathLike)):
        return [os.fspath(declared)]
    if isinstance(declared, (list, tuple)) and all(isinstance(name, (str, os.PathLike)) for name in declared):
        return [os.fspath(name) for name in declared]
    raise ConfigError(f"weights_files of {subject}", wanted="a list of file names", got=repr(declared)[:200])
