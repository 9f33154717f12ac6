"""Rate at which the processor of a server decodes observations, measured before the first session."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vagus.clock import NS_PER_S, Clock
from vagus.server.config import ServeConfig
from vagus.server.request import decode_request
from vagus.server.validate import Terms
from vagus.server.warmup import flat_depth, payload_of
from vagus.specs import PolicySpec
from vagus.types import Image, Observation

__all__ = ["decode_rate", "usual_observation"]

TURNS = 5
"""Turns in which every thread decodes once; their median counts."""
NOISE = 3.0
"""Standard deviation of the noise in a frame: as JPEG it then has the usual bytes, 1/6 per pixel."""
LEAST_NS = 1_000
"""Shortest turn that a clock tells from none."""


def decode_rate(spec: PolicySpec, config: ServeConfig, clock: Clock) -> float:
    """Return how many observations, with JPEG frames, a server decodes in a second; 0 without a warm-up."""
    if not config.warm_up:
        return 0.0
    workers = config.decode_workers
    payload = payload_of(spec, usual_observation(spec), has_prefix=spec.rtc is not None)
    terms = Terms(
        uses_rtc=spec.rtc is not None,
        image_codec="jpeg",
        max_pixels=config.max_image_pixels,
        instruction="",
        is_pinned=False,
    )
    turns_ns: list[int] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="vagus-decode-rate") as pool:
        for _ in range(TURNS + 1):
            begin_ns = clock.now_ns()
            work = [pool.submit(decode_request, payload, spec, terms, 0) for _ in range(workers)]
            for one in work:
                one.result()
            turns_ns.append(clock.now_ns() - begin_ns)
    turn_ns = max(statistics.median(turns_ns[1:]), LEAST_NS)  # the first turn starts the threads
    return workers * NS_PER_S / turn_ns


def usual_observation(spec: PolicySpec) -> Observation:
    """Return an observation whose frames are as hard to decode as those of a camera."""
    return Observation(
        state=np.zeros(spec.state_dim, np.float32),
        images={camera.name: _frame(camera.height, camera.width) for camera in spec.cameras},
        instruction="",
        captured_ns=0,
        depth={camera.name: flat_depth(camera) for camera in spec.depth_cameras},
    )


def _frame(height: int, width: int) -> Image:
    """Return a frame that is as hard to decode as a usual one: waves and noise; a grey one is much easier."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 128 + 60 * np.sin(columns / 17) * np.cos(rows / 23)
    noise = np.random.default_rng(0).normal(0, NOISE, (height, width))
    frame = np.repeat((waves + noise).clip(0, 255)[..., None], 3, axis=2)
    return frame.astype(np.uint8)
