"""No test reaches a hub, and none takes more of the machine than two cores."""

from __future__ import annotations

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported
os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="vagus-hf-"))

import torch

torch.set_num_threads(2)
