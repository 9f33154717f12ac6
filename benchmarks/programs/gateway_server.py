"""A vagus server whose policy takes a device's time: `PROTOCOL PROFILE DEVICE [ROUTER]`.

Without a router it listens itself and has the gateway inside, as `vagus serve` with `gateways:` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import vagus
from benchmarks.programs.closed_loop import actions_for
from benchmarks.programs.device import Accelerator, accelerator_called
from benchmarks.programs.driver import announce
from vagus.gateway_config import GatewayConfig
from vagus.gateways.profile_file import load_profile
from vagus.gateways.wire_mapping import WireMapping
from vagus.policies.policy import Row, ServingMode
from vagus.types import ActionChunk

Session = dict[str, object]


class DevicePolicy:
    """Answers with the state that it was sent, after the time that a device takes for the batch."""

    serving_mode = ServingMode.SHARED
    model_hash = "device"

    def __init__(self, protocol: str, profile: str, device: Accelerator) -> None:
        self._device = device
        self.spec = WireMapping(load_profile(profile, protocol)).policy_spec(policy_type="device")

    def open_session(self) -> Session:
        """Return nothing to remember."""
        return {}

    def begin_episode(self, session: Session) -> None:
        """Forget nothing."""

    def infer(self, batch: Sequence[Row[Session]]) -> list[ActionChunk]:
        """Return the state of each row, once for each step."""
        self._device.infer(len(batch))
        return [self._answer(row) for row in batch]

    def close(self) -> None:
        """Free nothing."""

    def _answer(self, row: Row[Session]) -> ActionChunk:
        actions = actions_for(row.observation.state, self.spec.horizon)
        return ActionChunk(row.step, model=actions, robot=actions)


def main(protocol: str, profile: str, device: Accelerator, router: str = "") -> None:
    inside = GatewayConfig(protocol=protocol, profile=profile, listen="127.0.0.1:0")
    server = vagus.serve(
        DevicePolicy(protocol, profile, device),
        connect=router,
        listen="" if router else "tcp/127.0.0.1:0",
        model="device",
        warm_up_runs=1,
        gateways=() if router else (inside,),
        wait=False,
    )
    with server:
        ports = [
            int(found[1]) for line in server.gateways() if (found := re.search(r":(\d+), profile", line))
        ]
        announce(port=ports[0] if ports else 0)
        sys.stdin.read()


if __name__ == "__main__":
    protocol, profile, device, *router = sys.argv[1:]
    main(protocol, profile, accelerator_called(device), *router)
