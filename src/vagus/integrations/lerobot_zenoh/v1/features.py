"""What a deployment of LeRobot's remote inference takes and gives: features and capabilities (pure).

Both are read strictly: the original client ends at a field that it does not know.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from vagus.gateways.msgpack import ValueMap
from vagus.integrations.lerobot_zenoh.v1.codes import ErrorCode, RemoteMessageError
from vagus.integrations.lerobot_zenoh.v1.fields import BodyFields
from vagus.integrations.lerobot_zenoh.v1.values import RemoteMap
from vagus.quoting import quoted

__all__ = ["ACTION", "FeatureKind", "InferenceMode", "RemoteCapabilities", "RemoteFeature"]

ACTION: Final = "action"
"""Name of the action's feature."""
_DTYPES: Final = ("bool", "uint8", "int32", "int64", "float32", "float64")
_MAX_AXES: Final = 4
_MAX_SIZE: Final = 16384


class FeatureKind(enum.Enum):
    """Form of a feature."""

    TENSOR = "tensor"
    RGB = "rgb"


class InferenceMode(enum.Enum):
    """How the rows of a reply join those that the robot still has."""

    CHUNK = "chunk"
    """Whole chunks of `execution_steps`, aligned or appended."""
    RTC_GUIDED = "rtc_guided"
    """Real-time chunking by guidance; chunks of `prediction_steps`."""
    RTC_TRAINED = "rtc_trained"
    """Real-time chunking that the model was trained for."""


@dataclass(frozen=True)
class RemoteFeature:
    """One feature of an observation, or the action.

    Attributes:
        name: e.g. `observation.state`, `observation.images.front`, `action`.
        shape: 1 to 4 axes; of a picture (height, width, 3).
        dtype: element type.
        kind: tensor or picture.
        names: one for each component of a vector, or none.
        semantics: unit and meaning, a free text that both sides must have alike.

    Raises:
        RemoteMessageError: MALFORMED.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: FeatureKind
    names: tuple[str, ...]
    semantics: str

    def __post_init__(self) -> None:
        is_shape = len(self.shape) <= _MAX_AXES and all(1 <= size <= _MAX_SIZE for size in self.shape)
        if not is_shape or self.dtype not in _DTYPES:
            raise self._refusal(f"at most {_MAX_AXES} axes from 1 to {_MAX_SIZE}, of {', '.join(_DTYPES)}")
        is_picture = len(self.shape) == 3 and self.shape[2] == 3 and self.dtype == "uint8" and not self.names
        if self.kind is FeatureKind.RGB and not is_picture:
            raise self._refusal("a picture as uint8 (height, width, 3) without names")
        is_named = len(self.shape) == 1 and len(self.names) == self.shape[0] == len(set(self.names))
        if self.names and not is_named:
            raise self._refusal("one name for each component of a vector, each once")

    def _refusal(self, wanted: str) -> RemoteMessageError:
        got = f"{quoted(self.dtype, 20)} {self.shape} with {len(self.names)} names"
        return RemoteMessageError(
            ErrorCode.MALFORMED, f"feature {quoted(self.name, 40)}: wanted {wanted}, got {got}"
        )

    @classmethod
    def from_wire(cls, entries: ValueMap) -> RemoteFeature:
        """Return the feature that a map describes; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(entries, "feature")
        fields.check_known(("name", "shape", "dtype", "kind", "names", "semantics"))
        shape = [size for size in fields.items("shape") if type(size) is int]
        if len(shape) != len(fields.items("shape")):
            raise fields.refusal("shape", "whole numbers", "others")
        return cls(
            fields.text("name"),
            tuple(shape),
            fields.text("dtype"),
            fields.choice("kind", FeatureKind),
            fields.texts("names"),
            fields.text("semantics"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the map that describes the feature."""
        return {
            "name": self.name, "shape": list(self.shape), "dtype": self.dtype, "kind": self.kind.value,
            "names": list(self.names), "semantics": self.semantics,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RemoteCapabilities:
    """What a deployment can do.

    Attributes:
        modes: the modes it takes.
        prediction_steps: rows of a chunk in RTC.
        execution_steps: rows of a chunk in the mode chunk, 1 to `prediction_steps`.
        action_interval_s: seconds from row to row.
        features: of an observation, in the order that both sides state.
        action_feature: the action, a float32 vector with names.
        has_language: whether it answers questions about a picture.
        training_max_delay: rows of delay that the model was trained for; 0 without.
        rtc_horizon: rows of the prefix that guide; 0 without.
        is_current_observation_only: whether one observation is enough.
        has_session_state: whether something is kept from request to request.
        action_representation: always `canonical`.
        model_action_dim: width of the model's own rows, if it is another than the action's.

    Raises:
        RemoteMessageError: MALFORMED.
    """

    modes: tuple[InferenceMode, ...]
    prediction_steps: int
    execution_steps: int
    action_interval_s: float
    features: tuple[RemoteFeature, ...]
    action_feature: RemoteFeature
    has_language: bool = False
    training_max_delay: int = 0
    rtc_horizon: int = 0
    is_current_observation_only: bool = True
    has_session_state: bool = True
    action_representation: str = "canonical"
    model_action_dim: int | None = None

    def __post_init__(self) -> None:
        action = self.action_feature
        is_action = action.name == ACTION and len(action.names) > 0 and action.dtype == "float32"
        if not is_action:
            raise _refusal("the feature 'action' as a float32 vector with names", quoted(action.name, 40))
        if not 1 <= self.execution_steps <= self.prediction_steps:
            raise _refusal(f"1 to {self.prediction_steps} execution_steps", str(self.execution_steps))
        if not self.action_interval_s > 0 or not self.modes:
            raise _refusal("a mode and an action_interval above 0", str(self.action_interval_s))
        if len({feature.name for feature in self.features}) != len(self.features):
            raise _refusal("each feature once", "one twice")

    @property
    def action_dim(self) -> int:
        """Width of a row in the robot's units."""
        return self.action_feature.shape[0]

    @property
    def model_dim(self) -> int:
        """Width of a row in the model's units."""
        return self.model_action_dim or self.action_dim

    def steps(self, mode: InferenceMode) -> int:
        """Return how many rows a reply has: exactly so many, in this mode."""
        return self.execution_steps if mode is InferenceMode.CHUNK else self.prediction_steps

    @classmethod
    def from_wire(cls, entries: ValueMap) -> RemoteCapabilities:
        """Return the capabilities that a map describes; RemoteMessageError (MALFORMED) otherwise."""
        fields = BodyFields(entries, "capabilities")
        fields.check_known(_KNOWN)
        modes = {mode.value: mode for mode in InferenceMode}
        named = fields.texts("modes")
        if unknown := [name for name in named if name not in modes]:
            raise fields.refusal("modes", f"some of {', '.join(modes)}", quoted(unknown[0], 40))
        return cls(
            modes=tuple(modes[name] for name in named),
            prediction_steps=fields.whole("prediction_steps", least=1, most=_MAX_SIZE),
            execution_steps=fields.whole("execution_steps", least=1, most=_MAX_SIZE),
            action_interval_s=fields.number("action_interval", least=0.0),
            features=tuple(map(RemoteFeature.from_wire, fields.maps("features"))),
            action_feature=RemoteFeature.from_wire(fields.map("action_feature")),
            has_language=fields.flag("language", default=False),
            training_max_delay=fields.whole("training_max_delay", 0, most=_MAX_SIZE),
            rtc_horizon=fields.whole("rtc_horizon", 0, most=_MAX_SIZE),
            is_current_observation_only=fields.flag("current_observation_only", default=True),
            has_session_state=fields.flag("retains_session_state", default=True),
            action_representation=fields.text("action_representation", "canonical"),
            model_action_dim=fields.optional_whole("model_action_dim"),
        )

    def to_wire(self) -> RemoteMap:
        """Return the map that describes the capabilities."""
        entries: RemoteMap = {
            "modes": [mode.value for mode in self.modes],
            "prediction_steps": self.prediction_steps,
            "execution_steps": self.execution_steps,
            "action_interval": self.action_interval_s,
            "features": [feature.to_wire() for feature in self.features],
            "action_feature": self.action_feature.to_wire(),
            "language": self.has_language,
            "training_max_delay": self.training_max_delay,
            "rtc_horizon": self.rtc_horizon,
            "current_observation_only": self.is_current_observation_only,
            "retains_session_state": self.has_session_state,
            "action_representation": self.action_representation,
        }
        if self.model_action_dim is not None:
            entries["model_action_dim"] = self.model_action_dim
        return entries


_KNOWN: Final = (
    "modes", "prediction_steps", "execution_steps", "action_interval", "features", "action_feature",
    "language", "training_max_delay", "rtc_horizon", "current_observation_only", "retains_session_state",
    "action_representation", "model_action_dim",
)  # fmt: skip


def _refusal(wanted: str, got: str) -> RemoteMessageError:
    return RemoteMessageError(ErrorCode.MALFORMED, f"capabilities: wanted {wanted}, got {got}")
