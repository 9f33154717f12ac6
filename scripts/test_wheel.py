"""Install the wheel without extras on every supported Python present; watch the demo on the oldest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from email import message_from_bytes
from pathlib import Path

from readme_renderer import markdown

from test_pythons import ROOT, VERSIONS, interpreter

EXTRAS = (
    "torch", "lerobot", "matplotlib", "yaml", "gymnasium", "prometheus_client", "websockets", "zmq", "grpc",
    "PIL",
)  # fmt: skip
"""What the extras bring; nobody may have brought it here, and nothing here may want it."""
ABSENT = f"""
from importlib.util import find_spec
import vagus
present = [name for name in {EXTRAS} if find_spec(name)]
assert not present, present
assert "site-packages" in vagus.__file__, vagus.__file__
"""
COMMANDS = ("demo", "serve", "run", "router", "status", "doctor", "profile", "chaos")
TIMEOUT_S = 240.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class WheelError(Exception):
    """Failure of the wheel."""


def call(folder: Path, *words: str | Path, wanted: tuple[str, ...] = (), code: int = 0) -> None:
    """Run a program in `folder`, with nothing of the checkout on its path.

    Raises:
        WheelError: it does not end with `code`, or does not print everything in `wanted`.
    """
    command = [str(word) for word in words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=ENVIRONMENT
    )
    said = done.stdout + done.stderr
    missing = [text for text in wanted if text not in said]
    if done.returncode != code or missing or "Traceback" in said:
        raise WheelError(
            f"{' '.join(command)}: exit code {done.returncode}, wanted {code}; lacks {missing}\n{said}"
        )


def build(folder: Path) -> Path:
    """Return the wheel of this checkout."""
    call(ROOT, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("vagus-*.whl")
    return wheel


def check_page(wheel: Path) -> None:
    """Show the README as a package index does, where a link into the repository leads nowhere.

    Raises:
        WheelError: it cannot be shown, or a link is relative.
    """
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    text = bytes(metadata.get_payload(decode=True)).decode()
    html = markdown.render(text) or ""
    links = re.findall(r'(?:href|src)="([^"]+)"', html)
    relative = [link for link in links if not link.startswith(("https://", "#"))]
    if metadata["Description-Content-Type"] != "text/markdown" or not links or relative:
        raise WheelError(f"README on a package index: wanted markdown with absolute links, got {relative}")


def install(python: str, wheel: Path, folder: Path) -> Path:
    """Return the programs of a new environment that has the wheel and what it depends on."""
    call(folder, python, "-m", "venv", folder / "venv")
    programs = folder / "venv" / "bin"
    call(folder, programs / "python", "-m", "pip", "install", "--quiet", wheel)
    return programs


def try_commands(programs: Path, folder: Path) -> None:
    """Run the help of every command, and one command that names its missing package."""
    vagus = programs / "vagus"
    call(folder, programs / "python", "-c", ABSENT)
    call(folder, vagus, "--version", wanted=("vagus ",))
    call(folder, vagus, "--help", wanted=COMMANDS)
    for command in COMMANDS:
        call(folder, vagus, command, "--help", wanted=(f"usage: vagus {command}",))
    call(folder, vagus, "run", "--robot", "gym:CartPole-v1", wanted=("vagus[gym]",), code=2)


def main() -> int:
    """Test all installed versions; exit 1 if one fails, or if there is none."""
    tried = []
    with tempfile.TemporaryDirectory(prefix="vagus-wheel-") as place:
        wheel = build(Path(place))
        check_page(wheel)
        for version in VERSIONS:
            python = interpreter(version)
            if python is None:
                print(f"Python {version}: not present, not tested")
                continue
            folder = Path(place) / version
            folder.mkdir()
            programs = install(python, wheel, folder)
            try_commands(programs, folder)
            if not tried:
                call(
                    folder,
                    programs / "vagus",
                    "demo",
                    wanted=("targets reached", "without a plan", "no picture"),
                )
            tried.append(version)
            print(
                f"Python {version}: installed and tried{' with the demo' if len(tried) == 1 else ''}",
                flush=True,
            )
    return 0 if tried else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WheelError as error:
        sys.exit(f"the wheel: {error}")
