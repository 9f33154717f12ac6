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
    CMD_SET_PROMPT: _ClassVar[CommandType]
OK: StatusCode
ERROR: StatusCode
NOT_READY: StatusCode
EPISODE_END: StatusCode
MODEL_NOT_LOADED: StatusCode
INVALID_INPUT: StatusCode
CMD_RESET: CommandType
CMD_SET_EPISODE: CommandType
CMD_SET_PROMPT: CommandType

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Observation(_message.Message):
    __slots__ = ("state", "images", "prompt", "timestamp", "episode_id", "frame_index", "extra_state")
    STATE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXTRA_STATE_FIELD_NUMBER: _ClassVar[int]
    state: _containers.RepeatedScalarFieldContainer[float]
    images: _containers.RepeatedCompositeFieldContainer[ImageData]
    prompt: str
    timestamp: float
    episode_id: int
    frame_index: int
    extra_state: str
    def __init__(self, state: _Optional[_Iterable[float]] = ..., images: _Optional[_Iterable[_Union[ImageData, _Mapping]]] = ..., prompt: _Optional[str] = ..., timestamp: _Optional[float] = ..., episode_id: _Optional[int] = ..., frame_index: _Optional[int] = ..., extra_state: _Optional[str] = ...) -> None: ...

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

class PolicyConfig(_message.Message):
    __slots__ = ("config_name", "checkpoint_dir", "default_prompt", "device")
    CONFIG_NAME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_DIR_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PROMPT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    config_name: str
    checkpoint_dir: str
    default_prompt: str
    device: str
    def __init__(self, config_name: _Optional[str] = ..., checkpoint_dir: _Optional[str] = ..., default_prompt: _Optional[str] = ..., device: _Optional[str] = ...) -> None: ...

class ServiceStatus(_message.Message):
    __slots__ = ("is_ready", "model_name", "current_episode", "current_frame", "action_horizon", "action_dim", "message", "current_prompt", "metadata_json")
    IS_READY_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENT_EPISODE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FRAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_HORIZON_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIM_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_PROMPT_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    is_ready: bool
    model_name: str
    current_episode: int
    current_frame: int
    action_horizon: int
    action_dim: int
    message: str
    current_prompt: str
    metadata_json: str
    def __init__(self, is_ready: _Optional[bool] = ..., model_name: _Optional[str] = ..., current_episode: _Optional[int] = ..., current_frame: _Optional[int] = ..., action_horizon: _Optional[int] = ..., action_dim: _Optional[int] = ..., message: _Optional[str] = ..., current_prompt: _Optional[str] = ..., metadata_json: _Optional[str] = ...) -> None: ...
