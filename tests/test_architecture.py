"""The page on the architecture names what is there."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.document_tree import PACKAGE, PAGE, with_tree

ROOT = Path(__file__).resolve().parents[1]
TEXT = PAGE.read_text(encoding="utf-8")
BEFORE_THE_TREE = TEXT.partition("## The tree")[0]
FILE = re.compile(r"`((?:[a-z_]+/)*[a-z_]+(?:/|\.py))`")
BESIDE = ("edge/client", "server", "edge/engine", "control")
"""Where a file that is named alone stands: beside the one before it."""


def test_the_committed_tree_is_that_of_today() -> None:
    """If not: `python scripts/document_tree.py`."""
    assert with_tree(TEXT) == TEXT


def test_every_file_that_the_page_names_is_there() -> None:
    named = FILE.findall(BEFORE_THE_TREE)
    assert len(named) > 50
    places = [ROOT, PACKAGE, *(PACKAGE / folder for folder in BESIDE)]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
