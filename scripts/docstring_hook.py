"""Checks every docstring of the package when the site is built; `mkdocs.yml` names this file.

griffe warns of an argument or attribute that the code does not have, and of a line that it cannot read.
A warning ends `make docs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

SOURCE = Path(__file__).resolve().parents[1] / "src"


def on_post_build(*, config: MkDocsConfig) -> None:  # noqa: ARG001
    """Read the docstrings of all modules, not only of those that the site shows."""
    read_docstrings(griffe.load("vagus", search_paths=[SOURCE], docstring_parser="google"))


def read_docstrings(thing: griffe.Object | griffe.Alias) -> None:
    """Read the docstrings of a module or class and of what it defines; griffe logs what is wrong."""
    if thing.docstring:
        _ = thing.docstring.parsed
    for member in thing.members.values():
        if not member.is_alias:
            read_docstrings(member)
