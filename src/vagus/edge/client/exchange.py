"""Parts of a client that its worker owns, and the events that reach them from other threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from vagus.edge.client.handshake import Contract
from vagus.edge.client.protocol import ClientProtocol
from vagus.edge.client.replicas import ReplicaEvent, Replicas
from vagus.edge.handoff import EngineSide
from vagus.transport.link import Sample
from vagus.types import Snapshot

__all__ = ["DraftFailed", "Exchange", "WorkerEvent"]


@dataclass(frozen=True, slots=True)
class DraftFailed:
    """Event: no images could be read for the draft with this ticket."""

    ticket: int


WorkerEvent: TypeAlias = Sample | Snapshot | DraftFailed | ReplicaEvent
"""Events that reach the worker from other threads."""


class Exchange:
    """State of a client over all its sessions; `contract` changes with each session."""

    def __init__(
        self, engine: EngineSide, protocol: ClientProtocol, contract: Contract, replicas: Replicas
    ) -> None:
        self.engine = engine
        self.protocol = protocol
        self.contract = contract
        self.replicas = replicas
        self.instruction = ""
