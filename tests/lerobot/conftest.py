"""No test reaches a hub, and none takes more of the machine than two cores."""

from __future__ import annotations

import os
import sys
import tempfile

from vagus.cli.serve import WAIT_POLICY

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported
os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="vagus-hf-"))
os.environ.setdefault(*WAIT_POLICY)

import torch

torch.set_num_threads(2)
# It wants the libraries of FFmpeg; without those, LeRobot 0.6.0 reads videos only where it is not installed.
sys.modules["torchcodec"] = None  # type: ignore[assignment] # not installed
