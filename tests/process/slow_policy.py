"""A policy that takes its time to load, as a large one does."""

from __future__ import annotations

import os
import time

import numpy as np

from vagus.policies.declare import policy
from vagus.types import FloatArray, Observation

JOINTS = {f"joint_{i}": "rad" for i in range(1, 7)}

time.sleep(float(os.environ.get("SLOW_LOAD_S", "0")))


@policy(actions=JOINTS, state=JOINTS, horizon=30, rate_hz=30, shared=True)
def stay(observation: Observation) -> FloatArray:
    """Return the pose where the robot is, thirty times."""
    return np.repeat(observation.state[None, :6], 30, axis=0)
