"""The documents point at things that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from vagus.gateways.registry import PROTOCOLS
from vagus.policies.registry import SERVERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES, *sorted((ROOT / "examples").rglob("*.md"))]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
REPOSITORY = "https://github.com/vagus-robotics/vagus"
"""As `project.urls` names it; a test compares."""
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
IN_REPOSITORY = re.compile(rf"^{REPOSITORY}/(?:blob|raw|tree)/main/")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
WRITTEN = re.compile(r"^<!-- (?:table \w+|counters) -->.*?^<!-- end.*?-->$", re.DOTALL | re.MULTILINE)
"""Tables that programs write."""
LONGEST_PAGE_WORDS = 3000
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


def addresses(document: Path) -> list[str]:
    """Return where each link of a document leads, as it is written."""
    return [inline or below for inline, below in LINK.findall(text_of(document))]


def links(document: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield each link into the repository: as it is written, its file, its anchor."""
    for link in addresses(document):
        beside = IN_REPOSITORY.sub("", link)
        if "://" not in beside:
            folder = document.parent if beside == link else ROOT
            place, _, anchor = beside.partition("#")
            yield link, (folder / place).resolve() if place else document, anchor


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    assert not [link for link, file, _ in links(document) if not file.exists()]
    assert not [link for link, file, anchor in links(document) if anchor and anchor not in anchors(file)]


def test_there_are_links_and_anchors_to_look_at() -> None:
    found = list(chain.from_iterable(map(links, DOCUMENTS)))
    assert len(found) > 60
    assert sum(bool(anchor) for _, _, anchor in found) > 25


def test_the_readme_can_be_read_on_a_package_index() -> None:
    """The index shows no file beside it."""
    found = addresses(ROOT / "README.md")
    assert len(found) >= 15
    assert not [link for link in found if not IN_REPOSITORY.match(link)]
    labels = re.findall(r"^\[([^\]]+)\]: ", text_of(ROOT / "README.md"), re.MULTILINE)
    used = re.findall(r"\[([^\]]+)\](?!:)", text_of(ROOT / "README.md").lower())
    assert set(labels) <= set(used)


def test_the_readme_has_a_line_for_robot_and_server_of_each_protocol() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for protocol in PROTOCOLS:
        assert f"`vagus gateway {protocol} --profile" in text
    for kind in SERVERS.keys() - {"openpi+wss"}:
        assert re.search(rf"`vagus run --robot \S+ --policy {re.escape(kind)}://", text), kind


def test_the_repository_has_one_address() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    urls = re.findall(
        r'^\w+ = "(https://\S+)"$', settings.partition("[project.urls]")[2].partition("\n\n")[0], re.MULTILINE
    )
    assert len(urls) >= 4
    assert urls[0] == REPOSITORY
    assert all(url.startswith(REPOSITORY) for url in urls)
    assert f"\nrepo_url: {REPOSITORY}\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_says_what_it_is_for_and_is_no_longer_than_one_task(page: Path) -> None:
    first = text_of(page).split("\n\n")[1]
    assert re.search(r"\bThis (page|chapter) \w+s\b", first), first
    assert len(WRITTEN.sub("", text_of(page)).split()) < LONGEST_PAGE_WORDS


def test_every_page_that_the_code_names_is_there() -> None:
    named = {name for source in SOURCES for name in NAMED_PAGE.findall(source.read_text(encoding="utf-8"))}
    assert len(named) >= 5
    assert not [name for name in named if not (ROOT / name).is_file()]


@pytest.mark.parametrize(("page", "least"), [("fault-matrix.md", 20), ("gateway-faults.md", 10)])
def test_every_test_that_the_fault_matrix_names_is_there(page: str, least: int) -> None:
    named = NAMED_TEST.findall((ROOT / "docs" / page).read_text())
    assert len(named) > least
    assert not [name for name in named if not (ROOT / "tests" / name).is_file()]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, next_ones = set(), {ROOT / "README.md"}
    while next_ones:
        reached |= next_ones
        next_ones = {
            file for page in next_ones for _, file, _ in links(page) if file.suffix == ".md"
        } - reached
    assert not [name_of(page) for page in PAGES if page not in reached]
