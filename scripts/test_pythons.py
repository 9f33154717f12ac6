"""Run the tests of the robot's side on every supported Python present, each in a fresh environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
    "tests/integrations/lerobot_zenoh/test_gateway.py",
    "tests/integrations/openpi",
    "tests/test_face.py",
)
"""Run on the oldest Python alone, as the slow tests are: what is too new in the code shows there."""
BETWEEN = (
    "tests/edge/engine",
    "tests/control",
    "tests/test_specs.py",
    "tests/test_errors.py",
    "tests/test_readme.py",
)
"""Run on a Python between the oldest and the newest: what is too new, or taken out, shows on those two."""
OLDEST_EXTRAS = ("openpi", "gr00t", "lerobot-grpc", "lerobot-zenoh")
"""What they need."""
TEST_TOOLS = ("pytest", "pytest-timeout", "hypothesis", "cryptography")
FEW_EXAMPLES = "--hypothesis-profile=another Python"
"""Properties are searched by `make test`; here each is tried, since its code may run differently."""
WHAT_FAILED = ("--last-failed", "--last-failed-no-failures", "none")
AT_ONCE = 3
"""Versions that are tested beside each other: half of the time their tests wait."""
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


def environment(version: str) -> Path:
    """Return the folder of the environment for this version."""
    return ROOT / f".venv-{version}"


def install(version: str, python: str) -> None:
    """Make an environment with the base dependencies, some extras and what runs tests."""
    extras = ",".join(("yaml", *OLDEST_EXTRAS) if version == VERSIONS[0] else ("yaml",))
    folder = environment(version)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "--editable", f"{ROOT}[{extras}]", *TEST_TOOLS], check=True)


def run_tests(version: str, *options: str) -> bool:
    """Run the tests of the edge in the environment for this version and print what they say."""
    folder = environment(version)
    newer = EDGE_TESTS if version == VERSIONS[-1] else BETWEEN
    tests = (*EDGE_TESTS, *OLDEST_TOO) if version == VERSIONS[0] else ("-m", "not slow", *newer)
    cache = f"cache_dir={folder / 'pytest-cache'}"
    pytest = [folder / "bin" / "python", "-m", "pytest", "-q", FEW_EXAMPLES, "-o", cache, *options, *tests]
    done = subprocess.run(
        pytest, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    print(f"Python {version}:\n{done.stdout}", end="", flush=True)
    return done.returncode == 0


def test_version(version: str, python: str) -> bool:
    """Return whether the tests of the edge pass in a new environment of this version."""
    install(version, python)
    return run_tests(version)


def main() -> int:
    """Test all installed versions except that of `make test`; exit 1 if a test fails, and again alone."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    pythons: dict[str, str] = {}
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not present, not tested")
        elif version != ours:
            pythons[version] = python
    with ThreadPoolExecutor(AT_ONCE) as pool:
        passed = dict(zip(pythons, pool.map(test_version, pythons, pythons.values()), strict=True))
    failed = [version for version in pythons if not passed[version] and not run_tests(version, *WHAT_FAILED)]
    if failed:
        print(f"failed on Python {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
