"""The page on the architecture names what is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from scripts.document import ARCHITECTURE, PACKAGE, with_tree
from scripts.trace_request import trace

ROOT = Path(__file__).resolve().parents[1]
TEXT = ARCHITECTURE.read_text(encoding="utf-8")
BEFORE_THE_TREE = TEXT.partition("## The tree")[0]
FILE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+(?:/|\.py))`")
MOST_MODULES = 61
"""A newcomer who follows one request reads so many at most."""
BESIDE = ("edge/client", "server", "edge/engine", "control")
"""Where a file that is named alone stands: beside the one before it."""


def test_the_committed_tree_is_that_of_today() -> None:
    """If not: `python scripts/document.py`."""
    assert with_tree(TEXT) == TEXT


def test_every_file_that_the_page_names_is_there() -> None:
    named = FILE.findall(BEFORE_THE_TREE)
    assert len(named) > 50
    places = [ROOT, PACKAGE, *(PACKAGE / folder for folder in BESIDE)]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="other threads cannot be traced")
def test_a_request_passes_through_what_the_page_says_and_through_no_more_modules_than_one_reads() -> None:
    passed = trace()
    steps = (
        "edge/engine/refill",
        "edge/client/worker",
        "server/pipeline",
        "server/deadline",
        "server/executor",
    )
    after = ("server/replies", "edge/client/codec", "edge/engine/acceptance", "edge/engine/plan")
    assert {f"{module}.py" for module in (*steps, *after)} <= set(passed)
    foreign = ("cli/", "control/", "demo/", "integrations/", "recording/")
    assert [module for module in passed if module.startswith(foreign)] == []
    assert len(passed) <= MOST_MODULES, passed
