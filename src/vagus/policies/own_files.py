"""Distinction between the files of a policy and the files of Python and the system."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vagus.errors import ConfigError

__all__ = ["Home", "files_below"]

MAX_FILES = 10_000
WEIGHTS = frozenset(
    (
        *(".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz", ".onnx", ".h5", ".hdf5", ".keras"),
        *(".pkl", ".pickle", ".msgpack", ".gguf", ".tflite", ".engine", ".plan", ".pb", ".joblib"),
    )
)
"""File suffixes of weights. In hidden, temporary and system folders (caches), only such files count."""
CODE = frozenset((".py", ".pyc", ".pyi", ".so", ".pyd", ".dll", ".dylib"))
DEVICES = tuple(Path(name) for name in ("/proc", "/sys", "/dev", "/run"))
SYSTEM = tuple(Path(name) for name in ("/etc", "/usr", "/lib", "/lib64", "/bin", "/var", "/opt"))
PACKAGES = frozenset(("site-packages", "dist-packages", "__pycache__"))
VAGUS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Home:
    """Folder of a policy of your own: of its file or of its package; None: it has no folder."""

    folder: Path | None

    @classmethod
    def of(cls, module: ModuleType) -> Home:
        """Return the home of a module."""
        top = sys.modules.get(module.__name__.partition(".")[0], module)
        file = getattr(top, "__file__", None) or getattr(module, "__file__", None)
        return cls(None if file is None else Path(file).resolve().parent)

    def counts(self, path: Path) -> bool:
        """Return whether a file that was read is part of the policy; `path` is absolute."""
        suffix, is_own = path.suffix.lower(), self.folder is not None and path.is_relative_to(self.folder)
        below = path.relative_to(self.folder) if self.folder is not None and is_own else path
        if suffix in CODE or _is_below(path, (VAGUS, *DEVICES)) or not PACKAGES.isdisjoint(below.parts):
            return False
        if not is_own and _is_below(path, _installed()):
            return False
        is_elsewhere = not is_own and _is_below(path, _kept_by_others())
        return suffix in WEIGHTS if is_elsewhere or _is_hidden(below) else True

    def sources(self) -> list[tuple[str, Path]]:
        """Return the source files of the modules imported from this folder, with their relative paths."""
        if self.folder is None:
            return []
        below = os.path.join(self.folder, "")
        files = {file for file in _imported() if file.startswith(below) and file.endswith(".py")}
        paths = (path for path in map(Path, files) if self._is_source(path))
        return sorted((str(path.relative_to(self.folder)), path) for path in paths)

    def _is_source(self, path: Path) -> bool:
        below = path.relative_to(self.folder or path)
        return not path.is_relative_to(VAGUS) and PACKAGES.isdisjoint(below.parts) and not _is_hidden(below)


def files_below(subject: str, path: Path) -> list[tuple[str, Path]]:
    """Return a file, or all files in a folder except hidden ones, with their relative paths.

    Raises:
        ConfigError: the folder holds too many files.
    """
    if not path.is_dir():
        return [(path.name, path.absolute())]
    files: list[tuple[str, Path]] = []
    for folder, folders, names in os.walk(path.absolute()):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.is_file():
                files.append((str(file.relative_to(path.absolute())), file))
        if len(files) > MAX_FILES:
            raise ConfigError(
                f"options of {subject}",
                wanted=f"a folder of at most {MAX_FILES} files",
                got=str(path),
                fix="say which of them it reads: weights_files",
            )
    return files


def _imported() -> Iterator[str]:
    """Yield the files of all modules, without symbolic links; each folder is resolved once."""
    folders: dict[str, str] = {}
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            folder, name = os.path.split(file)
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            path = os.path.join(folders[folder], name)
            yield os.path.realpath(path) if os.path.islink(path) else path


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _installed() -> list[Path]:
    """Return the folders of the standard library and of installed packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [*(Path(sysconfig.get_path(name)) for name in names), Path(site.getusersitepackages())]


def _kept_by_others() -> list[Path]:
    """Return the folders of the system, the interpreter and temporary files."""
    return [*SYSTEM, Path(sys.prefix), Path(sys.base_prefix), Path(tempfile.gettempdir())]
