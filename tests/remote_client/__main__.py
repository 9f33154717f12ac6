"""The client as a program: `PYTHONPATH=tests python -m remote_client --connect … --deployment so100`.

Prints what was counted, as JSON; ends with 1 after a fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from dataclasses import asdict

import numpy as np

from remote_client.admission import Wishes
from remote_client.client import RemoteClient
from remote_client.engine_parts import Observed
from vagus.integrations.lerobot_zenoh.v1.contracts import ChunkMerge
from vagus.integrations.lerobot_zenoh.v1.features import FeatureKind, InferenceMode, RemoteCapabilities
from vagus.integrations.lerobot_zenoh.v1.motion import FrameFeatures, RemoteActions
from vagus.integrations.lerobot_zenoh.v1.pictures import PictureEncoding, RemotePicture, picture_of
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig
from vagus.types import FloatArray


class StillArm:
    """Stands at zero in front of noise, whatever it is told."""

    def __init__(self, encoding: PictureEncoding) -> None:
        self._encoding = encoding
        self._random = np.random.default_rng(0)

    def observe(self, capabilities: RemoteCapabilities) -> FrameFeatures:
        features: dict[str, np.ndarray | RemotePicture] = {}
        for one in capabilities.features:
            if one.kind is FeatureKind.RGB:
                pixels = self._random.integers(0, 256, one.shape, np.uint8)
                features[one.name] = picture_of(pixels, self._encoding)
            else:
                features[one.name] = np.zeros(one.shape, one.dtype)
        return features

    def act(self, row: FloatArray | None, commit: int) -> None:
        """Stand."""

    def asked(self, observed: Observed) -> None:
        """Note nothing."""

    def replied(self, actions: RemoteActions) -> None:
        """Note nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="remote_client")
    parser.add_argument("--connect", default="tcp/127.0.0.1:7447")
    parser.add_argument("--deployment", required=True)
    parser.add_argument("--semantics", required=True)
    parser.add_argument("--mode", default="chunk", choices=[mode.value for mode in InferenceMode])
    parser.add_argument("--merge", default="aligned", choices=[merge.value for merge in ChunkMerge])
    parser.add_argument("--link", default="peer", choices=[mode.value for mode in LinkMode])
    parser.add_argument("--generation-b", action="store_true")
    parser.add_argument("--jpeg", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--task", default="fold the cloth")
    told = parser.parse_args()
    encoding = PictureEncoding.JPEG if told.jpeg else PictureEncoding.RAW
    wishes = Wishes(
        deployment=told.deployment,
        semantics=told.semantics,
        mode=InferenceMode(told.mode),
        merge=ChunkMerge(told.merge),
        is_generation_b=told.generation_b,
        encoding=encoding,
    )
    network = ZenohConfig(
        mode=LinkMode(told.link), connect=(told.connect,), reopen_on_loss=False, shared_memory=False
    )
    is_over = threading.Event()
    with ZenohPlainLink(network) as link:
        client = RemoteClient(link, wishes, StillArm(encoding), task=told.task)
        client.connect()
        threading.Timer(told.seconds, is_over.set).start()
        client.run(is_over)
        client.close()
    is_over.set()
    sys.stdout.write(json.dumps(asdict(client.engine.counts)) + "\n")
    return int(bool(client.engine.counts.fault))


if __name__ == "__main__":
    sys.exit(main())
