"""Which tests can run here."""

from __future__ import annotations

import importlib.util

# asked of torch, because this folder's own `lerobot` would answer for the framework
collect_ignore = [] if importlib.util.find_spec("torch") else ["lerobot"]
if importlib.util.find_spec("openpi_client") is None:
    collect_ignore.append("openpi")
