"""The environment of its own that the real openpi-client needs, because it wants numpy < 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.process import ROOT

__all__ = ["MissingPeerError", "openpi_python"]

FOLDER = ROOT / ".venv-openpi"
WANTED = ("openpi-client==0.1.2", "typing_extensions")
"""The second is imported by the first, which does not require it."""
INSTALL_TIMEOUT_S = 300.0


class MissingPeerError(Exception):
    """A peer cannot be had on this machine; the message says why."""


def openpi_python() -> str:
    """Return the interpreter that can import openpi_client; its environment is made when it is not there.

    Raises:
        MissingPeerError: it cannot be installed here.
    """
    python = FOLDER / "bin" / "python"
    if _can_import(python):
        return str(python)
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
        _run([str(python), "-m", "pip", "install", "--quiet", *WANTED])
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise MissingPeerError(f"openpi-client is not measured: {said.strip().splitlines()[-1]}") from error
    if not _can_import(python):
        raise MissingPeerError("openpi-client is not measured: it was installed and cannot be imported")
    return str(python)


def _can_import(python: Path) -> bool:
    if not python.exists():
        return False
    probe = subprocess.run(
        [str(python), "-c", "import openpi_client.websocket_client_policy"], check=False, capture_output=True
    )
    return probe.returncode == 0


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
