"""The pages of the documentation, as `make docs` turns them into a site."""

from __future__ import annotations

import vagus
from scripts.document import REFERENCE, with_names
from scripts.site_hooks import API, DOCS, difference_to_github, for_site

REPOSITORY = "https://example.org/vagus"


def test_a_link_out_of_the_documentation_becomes_the_address_of_the_file() -> None:
    page = DOCS / "lerobot" / "serve.md"
    text = (
        "[how](../../CONTRIBUTING.md) [safety](../safety.md#limits) [units](units.md) [x](https://a.b/../c)"
    )
    assert for_site(text, page, REPOSITORY) == (
        f"[how]({REPOSITORY}/blob/main/CONTRIBUTING.md) [safety](../safety.md#limits) [units](units.md) "
        "[x](https://a.b/../c)"
    )


def test_a_page_asks_for_docstrings_by_a_comment() -> None:
    text = "a\n\n- [`vagus.errors`](../src/vagus/errors.py): Every error. <!-- api: vagus.errors -->\n"
    assert for_site(text, DOCS / "x.md", REPOSITORY) == "a\n\n::: vagus.errors\n"


def test_a_list_that_only_github_shows_as_one_is_noticed() -> None:
    markdown = "Three of them:\n- one\n- two\n"
    alike = "<p>Three of them:</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>"
    assert difference_to_github(markdown, alike) == ""
    assert "-<ul>" in difference_to_github(markdown, "<p>Three of them:\n- one\n- two</p>")


def test_the_committed_lines_on_public_names_are_those_of_today() -> None:
    """If not: `python scripts/document.py`."""
    text = REFERENCE.read_text(encoding="utf-8")
    assert with_names(text) == text


def test_the_reference_shows_every_public_name() -> None:
    """If not: a line `<!-- api: vagus.NAME -->` in docs/reference.md, in the section where it belongs."""
    shown = API.findall(REFERENCE.read_text(encoding="utf-8"))
    names = {f"vagus.{name}" for name in vagus.__all__ if not name.startswith("__")}
    assert names - {*shown, "vagus.VagusError"} == set()
    assert "vagus.errors" in shown
