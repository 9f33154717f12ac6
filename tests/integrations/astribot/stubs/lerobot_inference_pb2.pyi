from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OK: _ClassVar[StatusCode]
    ERROR: _ClassVar[StatusCode]
    NOT_READY: _ClassVar[StatusCode]
    EPISODE_END: _ClassVar[StatusCode]
    MODEL_NOT_LOADED: _ClassVar[StatusCode]
    INVALID_INPUT: _ClassVar[StatusCode]

class CommandType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CMD_RESET: _ClassVar[CommandType]
    CMD_SET_EPISODE: _ClassVar[CommandType]
OK: StatusCode
ERROR: StatusCode
NOT_READY: StatusCode
EPISODE_END: StatusCode
MODEL_NOT_LOADED: StatusCode
INVALID_INPUT: StatusCode
CMD_RESET: CommandType
CMD_SET_EPISODE: CommandType

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Observation(_message.Message):
    __slots__ = ("joint_positions", "images", "timestamp", "episode_id", "frame_index", "extra_state")
    JOINT_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTRA_STATE_FIELD_NUMBER: _ClassVar[int]
    joint_positions: _containers.RepeatedScalarFieldContainer[float]
    images: _containers.RepeatedCompositeFieldContainer[ImageData]
    timestamp: float
    episode_id: int
    frame_index: int
    extra_state: str
    def __init__(self, joint_positions: _Optional[_Iterable[float]] = ..., images: _Optional[_Iterable[_Union[ImageData, _Mapping]]] = ..., timestamp: _Optional[float] = ..., episode_id: _Optional[int] = ..., frame_index: _Optional[int] = ..., extra_state: _Optional[str] = ...) -> None: ...

class ImageData(_message.Message):
    __slots__ = ("camera_name", "data", "width", "height", "encoding")
    CAMERA_NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    camera_name: str
    data: bytes
    width: int
    height: int
    encoding: str
    def __init__(self, camera_name: _Optional[str] = ..., data: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., encoding: _Optional[str] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("values", "is_terminal", "confidence", "status", "error_message", "server_frame_index")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    IS_TERMINAL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    is_terminal: bool
    confidence: float
    status: StatusCode
    error_message: str
    server_frame_index: int
    def __init__(self, values: _Optional[_Iterable[float]] = ..., is_terminal: _Optional[bool] = ..., confidence: _Optional[float] = ..., status: _Optional[_Union[StatusCode, str]] = ..., error_message: _Optional[str] = ..., server_frame_index: _Optional[int] = ...) -> None: ...

class ActionStep(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class ActionChunk(_message.Message):
    __slots__ = ("actions", "chunk_size", "action_dim", "is_terminal", "status", "error_message", "server_frame_index")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIM_FIELD_NUMBER: _ClassVar[int]
    IS_TERMINAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedCompositeFieldContainer[ActionStep]
    chunk_size: int
    action_dim: int
    is_terminal: bool
    status: StatusCode
    error_message: str
    server_frame_index: int
    def __init__(self, actions: _Optional[_Iterable[_Union[ActionStep, _Mapping]]] = ..., chunk_size: _Optional[int] = ..., action_dim: _Optional[int] = ..., is_terminal: _Optional[bool] = ..., status: _Optional[_Union[StatusCode, str]] = ..., error_message: _Optional[str] = ..., server_frame_index: _Optional[int] = ...) -> None: ...

class ControlCommand(_message.Message):
    __slots__ = ("type", "params")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    type: CommandType
    params: _containers.ScalarMap[str, str]
    def __init__(self, type: _Optional[_Union[CommandType, str]] = ..., params: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ActionOutputConfig(_message.Message):
    __slots__ = ("enable_chassis", "enable_head", "enable_torso")
    ENABLE_CHASSIS_FIELD_NUMBER: _ClassVar[int]
    ENABLE_HEAD_FIELD_NUMBER: _ClassVar[int]
    ENABLE_TORSO_FIELD_NUMBER: _ClassVar[int]
    enable_chassis: bool
    enable_head: bool
    enable_torso: bool
    def __init__(self, enable_chassis: _Optional[bool] = ..., enable_head: _Optional[bool] = ..., enable_torso: _Optional[bool] = ...) -> None: ...

class PolicyConfig(_message.Message):
    __slots__ = ("mode", "model_path", "dataset_path", "device", "policy_type", "action_config")
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    DATASET_PATH_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    POLICY_TYPE_FIELD_NUMBER: _ClassVar[int]
    ACTION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    mode: str
    model_path: str
    dataset_path: str
    device: str
    policy_type: str
    action_config: ActionOutputConfig
    def __init__(self, mode: _Optional[str] = ..., model_path: _Optional[str] = ..., dataset_path: _Optional[str] = ..., device: _Optional[str] = ..., policy_type: _Optional[str] = ..., action_config: _Optional[_Union[ActionOutputConfig, _Mapping]] = ...) -> None: ...

class ServiceStatus(_message.Message):
    __slots__ = ("is_ready", "model_name", "current_episode", "current_frame", "total_frames", "fps", "message", "mode")
    IS_READY_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENT_EPISODE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FRAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FRAMES_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    is_ready: bool
    model_name: str
    current_episode: int
    current_frame: int
    total_frames: int
    fps: float
    message: str
    mode: str
    def __init__(self, is_ready: _Optional[bool] = ..., model_name: _Optional[str] = ..., current_episode: _Optional[int] = ..., current_frame: _Optional[int] = ..., total_frames: _Optional[int] = ..., fps: _Optional[float] = ..., message: _Optional[str] = ..., mode: _Optional[str] = ...) -> None: ...
