"""Which tests can run here, and that none depends on the speed of the machine."""

from __future__ import annotations

import importlib
import importlib.util

# asked of torch, because this folder's own `lerobot` would answer for the framework
collect_ignore = [] if importlib.util.find_spec("torch") else ["lerobot"]
if importlib.util.find_spec("openpi_client") is None:
    collect_ignore.append("openpi")
if importlib.util.find_spec("hypothesis") is not None:
    settings = importlib.import_module("hypothesis").settings
    settings.register_profile("any machine", deadline=None)  # an example may take 0.2 s on a busy one
    settings.register_profile(
        "another Python", deadline=None, max_examples=20
    )  # the search is made elsewhere
    settings.load_profile("any machine")
