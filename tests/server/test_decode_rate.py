from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from server.raw_client import SPEC
from vagus.clock import NS_PER_MS, MonotonicClock
from vagus.edge.client.codec import BYTES_PER_PIXEL
from vagus.server.config import ServeConfig
from vagus.server.decode_rate import decode_rate, usual_observation
from vagus.specs import CameraSpec, DepthCameraSpec, RtcSpec
from vagus.wire.images import encode_image

WIDE = replace(SPEC, cameras=(CameraSpec("front", 480, 640),))


class TickingClock:
    """Ten milliseconds go by between two looks at it."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        self._now_ns += 10 * NS_PER_MS
        return self._now_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> None:
        raise AssertionError("nobody waits here")


def test_the_rate_is_that_of_all_decoders_together() -> None:
    for workers in (1, 4):
        config = ServeConfig(policy="reach", decode_workers=workers)
        assert decode_rate(SPEC, config, TickingClock()) == pytest.approx(100.0 * workers)


def test_it_is_not_known_without_a_warm_up() -> None:
    assert decode_rate(SPEC, ServeConfig(policy="reach", warm_up=False), MonotonicClock()) == 0.0


def test_a_frame_has_the_usual_bytes() -> None:
    (frame,) = usual_observation(WIDE).images.values()
    size = len(encode_image(frame, "jpeg").data)
    assert size / (480 * 640) == pytest.approx(BYTES_PER_PIXEL["jpeg"], rel=0.3)


def test_depth_and_prefixes_are_decoded_too() -> None:
    spec = replace(SPEC, depth_cameras=(DepthCameraSpec("depth", 48, 64, 1000.0),), rtc=RtcSpec(2))
    assert decode_rate(spec, ServeConfig(policy="reach"), MonotonicClock()) > 0
