"""Run the tests of the robot's side on every supported Python present, each in a fresh environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
EDGE_TESTS = (
    "tests/wire",
    "tests/edge",
    "tests/control",
    "tests/recording",
    "tests/cli",
    "tests/transport/test_link_conformance.py",
    "tests/demo/test_robot.py",
    "tests/test_specs.py",
    "tests/test_errors.py",
    "tests/test_readme.py",
)
OLDEST_TOO = (
    "tests/api",
    "tests/gateways",
    "tests/integrations/gr00t",
    "tests/integrations/lerobot_grpc",
    "tests/integrations/openpi",
    "tests/test_face.py",
)
"""Run on the oldest Python alone, as the slow tests are: what is too new in the code shows there."""
OLDEST_EXTRAS = ("openpi", "gr00t", "lerobot-grpc")
"""What they need."""
TEST_TOOLS = ("pytest", "pytest-timeout", "hypothesis")
ROOT = Path(__file__).resolve().parent.parent


def interpreter(version: str) -> str | None:
    """Return a working python of this version: one of pyenv, or one on the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python3"))]
    on_path = shutil.which(f"python{version}")
    for candidate in [*candidates, *([on_path] if on_path else [])]:
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and f"Python {version}." in answer.stdout:
            return candidate
    return None


def run_tests(version: str, python: str) -> int:
    """Make an environment with the base dependencies and YAML, and run the tests of the edge in it."""
    is_oldest = version == VERSIONS[0]
    extras = ",".join(("yaml", *OLDEST_EXTRAS) if is_oldest else ("yaml",))
    folder = ROOT / f".venv-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "--editable", f"{ROOT}[{extras}]", *TEST_TOOLS], check=True)
    tests = (*EDGE_TESTS, *OLDEST_TOO) if is_oldest else ("-m", "not slow", *EDGE_TESTS)
    pytest = [folder / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(pytest, cwd=ROOT, check=False).returncode


def main() -> int:
    """Test all installed versions except that of `make test`; exit 1 if one fails."""
    failed = []
    for version in VERSIONS:
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            continue
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not present, not tested")
            continue
        print(f"Python {version}:", flush=True)
        if run_tests(version, python) != 0:
            failed.append(version)
    if failed:
        print(f"failed on Python {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
