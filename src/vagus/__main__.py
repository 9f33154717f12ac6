"""`python -m vagus` is the `vagus` command."""

from __future__ import annotations

from vagus.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
