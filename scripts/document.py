"""Writes the generated parts of the documentation: tree of the package, public names, the robot's counters.

    python scripts/document.py

Run it when modules, public names, first lines of either, or counters change.
`python -m vagus.wire.document` does the wire's.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import cast

from vagus.edge.counters import CLIENT, ENGINE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "vagus"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
REFERENCE = ROOT / "docs" / "reference.md"
COUNTERS = ROOT / "docs" / "operations" / "robot.md"
ASKED = re.compile(r"^(?:- .* )?<!-- api: (\S+) -->$", re.MULTILINE)
"""A line of the reference; what it asks for is shown in its place by `site_hooks.py`."""


def between(text: str, begin: str, end: str, content: str) -> str:
    """Return a page with what stands between two marks replaced."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{content}{end}{after}"


def first_line(file: Path) -> str:
    """Return the first line of a module's docstring."""
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


def lines_of(folder: Path, depth: int = 0) -> Iterator[str]:
    """Yield one line per module and folder, folders after files, in the order of their names."""
    indent = "  " * depth
    yield f"{indent}{folder.name + '/':<{30 - len(indent)}} {first_line(folder / '__init__.py')}"
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("__"):
            yield f"{indent}  {file.name:<{28 - len(indent)}} {first_line(file)}"
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file()):
        yield from lines_of(inner, depth + 1)


def with_tree(text: str) -> str:
    """Return a page with its tree replaced by that of today."""
    tree = "".join(f"{line.rstrip()}\n" for line in lines_of(PACKAGE))
    return between(text, "<!-- tree -->\n```\n", "```\n<!-- end of the tree -->", tree)


def with_counters(text: str) -> str:
    """Return a page with its table of counters replaced by that of today."""
    rows = "".join(
        f"| `{name}` | {thread} | {meaning} |\n"
        for thread, side in (("control", ENGINE), ("worker", CLIENT))
        for name, meaning in side.items()
    )
    table = f"| counter | thread | counts |\n|---|---|---|\n{rows}"
    return between(text, "<!-- counters -->\n", "<!-- end of the counters -->", table)


def with_names(text: str) -> str:
    """Return a page with each line that asks for docstrings replaced by that of today."""
    return ASKED.sub(lambda asked: reference_line(asked[1]), text)


def reference_line(name: str) -> str:
    """Return a line on a public name for readers in the repository: its file and first sentence."""
    thing = cast("type", locate(name))  # or a function, or a module
    file = Path(inspect.getfile(thing)).relative_to(PACKAGE)
    meaning = (inspect.getdoc(thing) or "").partition("\n")[0]
    return f"- [`{name}`](../src/vagus/{file}): {meaning} <!-- api: {name} -->"


if __name__ == "__main__":
    for page, filled in ((ARCHITECTURE, with_tree), (REFERENCE, with_names), (COUNTERS, with_counters)):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
