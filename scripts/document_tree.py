"""Writes the tree of the package into docs/architecture.md. Run it when modules come or go."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "vagus"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree -->\n```\n", "```\n<!-- end of the tree -->"


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
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tree = "".join(f"{line.rstrip()}\n" for line in lines_of(PACKAGE))
    return f"{before}{BEGIN}{tree}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is up to date\n")
