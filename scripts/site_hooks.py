"""Turns pages that are written for GitHub into pages of the site; `mkdocs.yml` names this file.

A warning from here ends `make docs`.
"""

from __future__ import annotations

import logging
import re
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
API = re.compile(r"^(?:- .* )?<!-- api: (\S+) -->$", re.MULTILINE)
"""A line that asks for docstrings; what stands before the comment is for readers of the repository."""
LINK_UP = re.compile(r"(?<=\]\()\.\./[^)#\s]+")
COMPARED = ("h1", "h2", "h3", "ul", "ol", "li", "pre", "table", "tr", "img", "blockquote")
"""Elements by whose order two renderers show that they read a page alike."""

logger = logging.getLogger("mkdocs.hooks.site")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Return the page as the site's renderer wants it."""
    return for_site(markdown, DOCS / page.file.src_uri, config.repo_url or "")


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> None:  # noqa: ARG001
    """Warn of a page that the site does not show as GitHub does."""
    difference = difference_to_github((DOCS / page.file.src_uri).read_text(encoding="utf-8"), html)
    if difference:
        logger.warning("%s: wanted it shown as on GitHub, got\n%s", page.file.src_uri, difference)


def for_site(markdown: str, file: Path, repo_url: str) -> str:
    """Return a page with the docstrings that it asks for, and with addresses of files outside of the site."""

    def address(link: re.Match[str]) -> str:
        target = (file.parent / link[0]).resolve()
        return link[0] if DOCS in target.parents else f"{repo_url}/blob/main/{target.relative_to(ROOT)}"

    return API.sub(r"::: \1", LINK_UP.sub(address, markdown))


def difference_to_github(markdown: str, html: str) -> str:
    """Return where a rendered page differs from what GitHub makes of its text, "" if nowhere.

    A list without an empty line before it, or a block that is indented too little, looks different there.
    """
    if API.search(markdown):
        return ""  # docstrings are shown on the site alone
    there = _outline(MarkdownIt("commonmark").enable("table").render(markdown))
    return "\n".join(unified_diff(there, _outline(html), "GitHub", "site", lineterm=""))


class _Outline(HTMLParser):
    """Notes where elements begin and end."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag in COMPARED:
            self.lines.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in COMPARED:
            self.lines.append(f"</{tag}>")


def _outline(html: str) -> list[str]:
    parser = _Outline()
    parser.feed(html)
    return parser.lines
