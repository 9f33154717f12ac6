"""A PointAct gateway in this process, in front of a policy that tells who asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.gr00t.rig import (
    FAILS,
    HORIZON,
    PATIENCE_S,
    WAITS,
    Stand,
    arm,
    expected,
    served,
    wait_for_peers,
)
from vagus.gateway_config import GatewayConfig
from vagus.gateways.gateway import Gateway
from vagus.gateways.profile import Profile, WireImage, WireSpan
from vagus.integrations.pointact.gateway import PointActListener
from vagus.transport.link import Link

__all__ = [
    "FAILS",
    "HORIZON",
    "PATIENCE_S",
    "PROFILE",
    "WAITS",
    "Stand",
    "arm",
    "config",
    "expected",
    "listening",
    "served",
    "wait_for_peers",
]

JOINTS = ("shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos")
PROFILE = Profile(
    name="so100",
    protocol="pointact",
    robot_type="so100_follower",
    rate_hz=30,
    horizon=HORIZON,
    state=(
        WireSpan(key=("observation.state",), names=JOINTS, unit="deg"),
        WireSpan(key=("observation.state",), names=("gripper.pos",), unit="lerobot_norm"),
    ),
    actions=(
        WireSpan(key=("action",), names=JOINTS, unit="deg"),
        WireSpan(key=("action",), names=("gripper.pos",), unit="lerobot_norm"),
    ),
    images=(WireImage(key=("observation.images.front_image",), name="front", height=2, width=2),),
    instruction=("task",),
)
"""As the shipped profile, with the pictures of the captured requests."""
NUMBERS = itertools.count()


def config(**settings: object) -> GatewayConfig:
    """Return the settings of a gateway on a free port."""
    given: dict[str, object] = {
        "listen": "127.0.0.1:0",
        "name": f"pointact{next(NUMBERS)}",
        "answer_timeout_s": PATIENCE_S,
        "models": {"*": ""},
        **settings,
    }
    return GatewayConfig(protocol="pointact", profile="so100", **given)  # type: ignore[arg-type] # by name


@contextmanager
def listening(link: Link, *, token: Path | None = None, **settings: object) -> Iterator[PointActListener]:
    """Let a gateway listen on a free port."""
    listener = PointActListener(Gateway(config(token_path=token, **settings), PROFILE, link))
    try:
        listener.start()
        yield listener
    finally:
        listener.close()
