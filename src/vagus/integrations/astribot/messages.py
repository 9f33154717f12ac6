"""The messages of `openpi.OpenPiInferenceService` and of its LeRobot variant, as frozen values of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AstribotAction",
    "AstribotChunk",
    "AstribotCommand",
    "AstribotImage",
    "AstribotObservation",
    "AstribotPolicyConfig",
    "AstribotStatus",
    "CommandType",
    "Method",
    "StatusCode",
]


class Method(Enum):
    """A method of the service; a question is a message of the first type, its answer one of the second."""

    CONFIGURE = "Configure"
    """AstribotPolicyConfig → AstribotStatus."""
    PREDICT = "Predict"
    """AstribotObservation → AstribotAction."""
    PREDICT_CHUNK = "PredictChunk"
    """AstribotObservation → AstribotChunk."""
    STREAM_PREDICT = "StreamPredict"
    """Any number of AstribotObservation → as many AstribotAction, in order."""
    CONTROL = "Control"
    """AstribotCommand → AstribotStatus."""
    GET_STATUS = "GetStatus"
    """An empty message → AstribotStatus."""
    RESET = "Reset"
    """An empty message → AstribotStatus."""


class StatusCode(IntEnum):
    """How a question for actions went. Every answer of gRPC is OK, so this is where a failure is seen."""

    OK = 0
    ERROR = 1
    NOT_READY = 2
    """No model was configured."""
    EPISODE_END = 3
    MODEL_NOT_LOADED = 4
    INVALID_INPUT = 5


class CommandType(IntEnum):
    """What a Control asks for."""

    RESET = 0
    SET_EPISODE = 1
    """`episode` in the parameters: a whole number as text."""
    SET_PROMPT = 2
    """`prompt` in the parameters."""


@dataclass(frozen=True, slots=True)
class AstribotImage:
    """A picture of one camera: `head`, `wrist_left` or `wrist_right`."""

    camera_name: str
    data: bytes | memoryview
    width: int
    """Pixels; 0: not told."""
    height: int
    """Pixels; 0: not told."""
    encoding: str
    """`jpeg`, `png`, or `raw`: uint8 RGB row by row."""


@dataclass(frozen=True, slots=True, eq=False)
class AstribotObservation:
    """What a robot sees, and which instruction it follows."""

    state: NDArray[np.float32]
    """(16,), (22,) or (25,)."""
    images: tuple[AstribotImage, ...] = ()
    prompt: str = ""
    """Empty: the one that the session has."""
    timestamp_s: float = 0.0
    """Wall clock of the robot, seconds since 1970. Only to be echoed: clocks of two machines differ."""
    episode_id: int = 0
    frame_index: int = 0
    extra_state: str = ""
    """JSON, unread."""


@dataclass(frozen=True, slots=True, eq=False)
class AstribotAction:
    """One action, or why there is none."""

    values: NDArray[np.float32]
    """(action_dim,); empty without an action."""
    is_terminal: bool = False
    confidence: float = 0.0
    status: StatusCode = StatusCode.OK
    error_message: str = ""
    server_frame_index: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class AstribotChunk:
    """Actions of one inference, or why there are none."""

    actions: NDArray[np.float32]
    """(chunk_size, action_dim); (0, 0) without actions."""
    is_terminal: bool = False
    status: StatusCode = StatusCode.OK
    error_message: str = ""
    server_frame_index: int = 0


@dataclass(frozen=True, slots=True)
class AstribotCommand:
    """A command for the session."""

    kind: CommandType
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AstribotPolicyConfig:
    """Which model a robot wants."""

    config_name: str
    """Name of the model; the path of one in the LeRobot variant."""
    checkpoint_dir: str = ""
    default_prompt: str = ""
    device: str = ""
    policy_type: str = ""
    """Only in the LeRobot variant."""
    action_width: int | None = None
    """Numbers of an action with the parts that it wants; None: not said. Only in the LeRobot variant."""


@dataclass(frozen=True, slots=True)
class AstribotStatus:
    """How the session stands."""

    is_ready: bool = False
    model_name: str = ""
    current_episode: int = 0
    current_frame: int = 0
    action_horizon: int = 0
    action_dim: int = 0
    message: str = ""
    current_prompt: str = ""
    metadata_json: str = ""
    fps: float = 0.0
    """Actions per second; only in the LeRobot variant, which has no horizon, width, prompt and metadata."""
    mode: str = ""
    """`model`, or `dataset`; only in the LeRobot variant."""
