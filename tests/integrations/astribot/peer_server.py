"""An Astribot policy server of Google's protobuf and gRPC, one model for whoever asks, as the original's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import grpc
import numpy as np
from numpy.typing import NDArray

from integrations.astribot.stubs import (
    lerobot_inference_pb2_grpc,
    openpi_inference_pb2,
    openpi_inference_pb2_grpc,
)

HORIZON = 4
LONG_S = 20.0


@dataclass
class PeerServer:
    """Answers with the state as a chunk, or with what the test says."""

    messages: ModuleType = openpi_inference_pb2
    width: int = 25
    said: str = "{}"
    refusal: str = ""
    act: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    spoil: Callable[[openpi_inference_pb2.ActionChunk], openpi_inference_pb2.ActionChunk | None] = (
        lambda chunk: chunk
    )
    """Makes something else of an answer; None: it hangs."""
    calls: list[str] = field(default_factory=list)
    configs: list[openpi_inference_pb2.PolicyConfig] = field(default_factory=list)
    heard: list[openpi_inference_pb2.Observation] = field(default_factory=list)
    is_ready: bool = False
    frame: int = 0
    is_ended: threading.Event = field(default_factory=threading.Event)

    @property
    def is_openpi(self) -> bool:
        return self.messages is openpi_inference_pb2

    def Configure(self, request: openpi_inference_pb2.PolicyConfig, context: object) -> object:  # noqa: N802 - a name of the service
        self.calls.append("Configure")
        self.configs.append(request)
        self.is_ready, self.frame = not self.refusal, 0
        return self._status(self.refusal)

    def PredictChunk(  # noqa: N802 - a name of the service
        self, request: openpi_inference_pb2.Observation, context: object
    ) -> object:
        self.calls.append("PredictChunk")
        self.heard.append(request)
        if not self.is_ready:
            return self.messages.ActionChunk(status=2, error_message="configure first")
        numbers = request.state if self.is_openpi else request.joint_positions
        state = np.array(numbers, np.float32)
        actions = self.act(state) if self.act is not None else np.repeat(state[None], HORIZON, axis=0)
        self.frame += 1
        chunk = self.messages.ActionChunk(
            actions=[self.messages.ActionStep(values=row) for row in actions],
            chunk_size=len(actions),
            action_dim=actions.shape[1],
            server_frame_index=self.frame,
        )
        answer = self.spoil(chunk)
        if answer is None:
            self.is_ended.wait(LONG_S)
        return answer or chunk

    def GetStatus(self, request: object, context: object) -> object:  # noqa: N802 - a name of the service
        self.calls.append("GetStatus")
        return self._status("")

    def Reset(self, request: object, context: object) -> object:  # noqa: N802 - a name of the service
        self.calls.append("Reset")
        self.frame = 0
        return self._status("")

    @property
    def _model(self) -> str:
        if not self.configs:
            return "a model"
        return str(self.configs[-1].config_name if self.is_openpi else self.configs[-1].model_path)

    def _status(self, message: str) -> object:
        more = (
            {"action_dim": self.width, "action_horizon": HORIZON, "metadata_json": self.said}
            if self.is_openpi
            else {"fps": 10.0, "mode": "model"}
        )
        name = self._model if self.is_ready else "none"
        return self.messages.ServiceStatus(
            is_ready=self.is_ready, model_name=name, current_frame=self.frame, message=message, **more
        )


@contextmanager
def serving_peer(server: PeerServer, port: int = 0) -> Iterator[int]:
    """Run a server in this process; yields its port."""
    running = grpc.server(ThreadPoolExecutor(4))
    stubs = openpi_inference_pb2_grpc if server.is_openpi else lerobot_inference_pb2_grpc
    name = "OpenPiInferenceServicer" if server.is_openpi else "LeRobotInferenceServicer"
    add = getattr(stubs, f"add_{name.replace('Servicer', 'ServiceServicer')}_to_server")
    base = getattr(stubs, name.replace("Servicer", "ServiceServicer"))
    whole = type("Whole", (base,), {})()
    for method in ("Configure", "PredictChunk", "GetStatus", "Reset"):
        setattr(whole, method, getattr(server, method))
    add(whole, running)
    bound = running.add_insecure_port(f"127.0.0.1:{port}")
    running.start()
    try:
        yield bound
    finally:
        server.is_ended.set()
        running.stop(None).wait()
