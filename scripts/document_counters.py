"""Writes the counters of the robot's side into docs/operations.md. Run it when counters come or go."""

from __future__ import annotations

import sys
from pathlib import Path

from vagus.edge.counters import CLIENT, ENGINE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- counters -->\n", "<!-- end of the counters -->"


def with_counters(text: str) -> str:
    """Return a page with its table of counters replaced by that of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    sides = [("control", ENGINE), ("worker", CLIENT)]
    rows = [
        f"| `{name}` | {thread} | {meaning} |\n" for thread, side in sides for name, meaning in side.items()
    ]
    return f"{before}{BEGIN}| counter | thread | counts |\n|---|---|---|\n{''.join(rows)}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_counters(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is up to date\n")
