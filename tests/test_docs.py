"""The documents point at things that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES, *sorted((ROOT / "examples").rglob("*.md"))]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NAMED_PAGE = re.compile(r"\bdocs/[\w/-]+\.md\b")
NAMED_TEST = re.compile(r"`((?:[a-z]+/)+[a-z_0-9]+\.py)`")


def text_of(document: Path) -> str:
    """Return a document without its blocks of code."""
    return BLOCK.sub("", document.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(document)))
    return {word.replace(" ", "-") for word in words}


def links(document: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield each link inside the repository: as it is written, its file, its anchor."""
    for link in LINK.findall(text_of(document)):
        if "://" not in link:
            place, _, anchor = link.partition("#")
            yield link, (document.parent / place).resolve() if place else document, anchor


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    assert not [link for link, file, _ in links(document) if not file.exists()]
    assert not [link for link, file, anchor in links(document) if anchor and anchor not in anchors(file)]


def test_there_are_links_and_anchors_to_look_at() -> None:
    found = list(chain.from_iterable(map(links, DOCUMENTS)))
    assert len(found) > 60
    assert sum(bool(anchor) for _, _, anchor in found) > 25


def test_every_page_that_the_code_names_is_there() -> None:
    named = {name for source in SOURCES for name in NAMED_PAGE.findall(source.read_text(encoding="utf-8"))}
    assert len(named) >= 5
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_test_that_the_fault_matrix_names_is_there() -> None:
    named = NAMED_TEST.findall((ROOT / "docs" / "fault-matrix.md").read_text())
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / "tests" / name).is_file()]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, next_ones = set(), {ROOT / "README.md"}
    while next_ones:
        reached |= next_ones
        next_ones = {
            file for page in next_ones for _, file, _ in links(page) if file.suffix == ".md"
        } - reached
    assert not [name_of(page) for page in PAGES if page not in reached]
