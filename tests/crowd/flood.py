"""A client of LeRobot's remote inference that sends nothing but messages of 32 MiB, as fast as it can."""

from __future__ import annotations

import threading
import uuid

import numpy as np

from remote_client.admission import Wishes, admitted
from vagus.integrations.lerobot_zenoh.v1.envelope import MessageHead, MessageType, encode_message
from vagus.integrations.lerobot_zenoh.v1.keys import RemoteKey, RemotePlace
from vagus.integrations.lerobot_zenoh.v1.motion import FrameIdentity, RemoteObservation
from vagus.transport.link import Delivery
from vagus.transport.zenoh import ZenohPlainLink
from vagus.transport.zenoh_config import LinkMode, ZenohConfig

__all__ = ["Flood"]

SHAPE = (2047, 16384)
"""Of the one tensor: with it, a message has nearly the 32 MiB that a message may have."""
QUERY_S = 10.0


class Flood:
    """Sends observations of a session of its own from `with` to the end of it; `sent` counts them."""

    def __init__(self, endpoint: str, wishes: Wishes) -> None:
        self.sent = 0
        self._wishes = wishes
        self._link = ZenohPlainLink(
            ZenohConfig(mode=LinkMode.PEER, connect=(endpoint,), reopen_on_loss=False, shared_memory=False)
        )
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Flood:
        self._link.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._link.close()

    def _send(self) -> None:
        terms, session_id = admitted(
            lambda key, payload: self._link.query(key, payload, timeout_s=QUERY_S), self._wishes
        )
        deployment = terms.deployment
        observation = RemoteObservation(
            sequence=1,
            identity=FrameIdentity(deployment.artifact_identity, "flood", 0.0, "", 0),
            features={"observation.state": np.zeros(SHAPE, np.uint8)},
        )
        head = MessageHead(
            MessageType.OBSERVATION, deployment.instance_id, session_id, request_id=uuid.uuid4().hex
        )
        payload = encode_message(head, observation.to_wire())
        key = str(RemoteKey(RemotePlace.OBSERVATION, deployment.name, deployment.instance_id, session_id))
        while not self._is_over.is_set():
            for message in (payload, bytes(len(payload))):
                self._link.publish(key, header=b"", payload=message, delivery=Delivery.OBSERVATION)
                self.sent += 1
