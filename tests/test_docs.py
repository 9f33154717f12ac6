"""The documents point at things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")
NAMED_TEST = re.compile(r"`((?:[a-z]+/)+[a-z_0-9]+\.py)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in targets if not (document.parent / link).exists()]
    assert not missing


def test_every_test_that_the_fault_matrix_names_is_there() -> None:
    named = NAMED_TEST.findall((ROOT / "docs" / "fault-matrix.md").read_text())
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / "tests" / name).is_file()]


def test_every_document_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [
        path.name for path in DOCUMENTS[1:] if f"docs/{path.name}" not in readme and path.parent != ROOT
    ]
