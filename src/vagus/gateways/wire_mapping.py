"""Mapping between a foreign wire and vagus by a profile: names, order, units, pictures, both ways (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.errors import PolicyError, ProtocolError, SpecError
from vagus.gateways.msgpack import AnyArray, Value
from vagus.gateways.neutral import ForeignReply, ForeignRequest, WirePath
from vagus.gateways.pictures import picture_from, picture_to
from vagus.gateways.profile import Profile
from vagus.gateways.profile_keys import told_path
from vagus.gateways.profile_specs import policy_spec_of, relative_bases, robot_spec_of
from vagus.gateways.wire_numbers import WireArray, WireNumbers, finite
from vagus.quoting import quoted
from vagus.specs import PolicySpec
from vagus.types import FloatArray, Image
from vagus.wire.schema import MAX_INSTRUCTION

__all__ = ["WireMapping", "WireObservation"]

MOST_NAMED = 16
"""Keys of a request that an error lists."""


@dataclass(frozen=True, slots=True, eq=False)
class WireObservation:
    """Observation of a foreign robot, in the names and units of vagus.

    Attributes:
        state: (state_dim,) float32, a copy.
        images: camera name → (height, width, 3) uint8 RGB, copies.
        instruction: what to do; None: the request has none.
    """

    state: FloatArray
    images: Mapping[str, Image]
    instruction: str | None


class WireMapping:
    """Mapping of one profile, both ways.

    `…_from` and `…_to` are named from the side of vagus: `observation_from` and `actions_to` serve a foreign
    robot, `observation_to` and `actions_from` use a foreign server.

    Args:
        profile: what keys and numbers mean.

    Raises:
        SpecError: units that do not convert, a unit that contradicts its kind, an unknown encoding.

    Attributes:
        profile: the same.
        robot_spec: what the foreign robot offers, in the order of the profile.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._state = WireNumbers(profile.state)
        self._actions = WireNumbers(profile.actions)
        bases = relative_bases(profile)
        self._relative = np.array([action for action, _ in bases], np.intp)
        self._bases = np.array([base for _, base in bases], np.intp)
        self._actions.offset[self._relative] = 0.0  # a difference has no offset
        self.robot_spec = robot_spec_of(profile)

    def policy_spec(self, *, policy_type: str) -> PolicySpec:
        """Return what a foreign server of this profile wants and gives."""
        return policy_spec_of(self.profile, policy_type)

    def observation_from(self, request: ForeignRequest) -> WireObservation:
        """Return the observation of a foreign robot.

        Raises:
            ProtocolError: a key is missing, a value has another type, shape or size, a number is not finite.
            ConfigError: a picture must be resized, and Pillow is not installed.
        """
        values = request.observation
        state = np.zeros(len(self._state.names))
        for array in self._state.arrays:
            state[array.place] = _state_values(_found(values, array.key), array)
        return WireObservation(
            finite(self._state.here(state), self._state.names, ProtocolError, "state"),
            {
                image.name: picture_from(_found(values, image.key), image, self.profile.protocol)
                for image in self.profile.images
                if image.required or image.key in values
            },
            self._instruction(values),
        )

    def actions_to(self, actions: FloatArray, state: FloatArray) -> dict[str, AnyArray]:
        """Return a chunk as the wire has it, at most the profile's horizon: last key → (horizon, width).

        Args:
            actions: (horizon, action_dim), in the order of `robot_spec`; what is longer is cut.
            state: (state_dim,), as `observation_from` gave it for the same request.

        Raises:
            PolicyError: another shape, or a number that is not finite, here or on the wire.
        """
        width = len(self._actions.names)
        if actions.ndim != 2 or actions.shape[1] != width or not len(actions):
            raise PolicyError(f"actions: wanted (horizon, {width}), got {actions.shape}")
        ours = actions[: self.profile.horizon].astype(np.float64)
        ours[:, self._relative] -= self._based_on(state)
        there = self._actions.there(ours)
        finite(there, self._actions.names, PolicyError, "actions")
        return {array.key[-1]: there[:, array.place].astype(array.dtype) for array in self._actions.arrays}

    def observation_to(
        self, state: FloatArray, images: Mapping[str, Image], instruction: str | None
    ) -> dict[WirePath, Value]:
        """Return an observation of ours as the wire has it: pictures, state, instruction.

        Args:
            state: (state_dim,), in the order of `robot_spec`.
            images: camera name → (height, width, 3) uint8 RGB; others than the profile's are left out.
            instruction: what to do; None or "": the key is left out, so that the server takes its default.

        Raises:
            SpecError: a state of another shape or that is not finite, a required picture that is missing.
            ProtocolError: a picture of another type or size.
            ConfigError: a picture must be resized, and Pillow is not installed.
        """
        values: dict[WirePath, Value] = {}
        for image in self.profile.images:
            if image.name in images:
                values[image.key] = picture_to(images[image.name], image, self.profile.protocol)
            elif image.required:
                raise SpecError("images", wanted=f"{image.name}", got=f"{sorted(images)}")
        width = len(self._state.names)
        if state.shape != (width,):
            raise SpecError("state", wanted=f"({width},)", got=f"{state.shape}")
        there = self._state.there(state.astype(np.float64))
        if not (np.abs(there) <= np.finfo(np.float32).max).all():
            raise SpecError("state", wanted="finite numbers, here and on the wire", got=f"{state.tolist()}")
        for array in self._state.arrays:
            values[array.key] = there[array.place].astype(array.dtype)
        if self.profile.instruction is not None and instruction:
            values[self.profile.instruction] = instruction
        return values

    def actions_from(self, reply: ForeignReply, state: FloatArray) -> FloatArray:
        """Return the chunk of a foreign server, (horizon, action_dim) float32, at most the profile's horizon.

        Args:
            reply: actions by name, each (horizon, width); (horizon,) for a width of 1.
            state: (state_dim,), as it was given to `observation_to` for the same request.

        Raises:
            PolicyError: other names, widths or lengths than the profile's, or a number that is not finite.
        """
        wanted = [array.key[-1] for array in self._actions.arrays]
        if set(reply.actions) != set(wanted):
            raise PolicyError(f"actions: wanted {wanted}, got {quoted(sorted(reply.actions), 200)}")
        parts = [_action_values(reply.actions[array.key[-1]], array) for array in self._actions.arrays]
        if len({len(part) for part in parts}) > 1:
            got = {array.key[-1]: len(part) for array, part in zip(self._actions.arrays, parts, strict=True)}
            raise PolicyError(f"actions: wanted one horizon for all, got {got}")
        there = np.concatenate(parts, axis=1)[: self.profile.horizon]
        return self._actions_here(there, state)

    def prefix_from(self, prefix: NDArray[np.float64]) -> FloatArray:
        """Return the actions that a foreign robot will still execute, (steps, action_dim) float32.

        Args:
            prefix: (steps, width) as on the wire, the arrays side by side in the order of the profile.

        Raises:
            ProtocolError: another width, a number that is not finite, or relative actions, which count from a
                state that the prefix does not hold.
        """
        width = len(self._actions.names)
        if self._relative.size:
            raise ProtocolError("prefix: wanted absolute actions, got actions relative to a state not told")
        if prefix.shape == (0, 0):  # without a step, no width is said
            return np.zeros((0, width), np.float32)
        if prefix.ndim != 2 or prefix.shape[1] != width:
            raise ProtocolError(f"prefix: wanted (steps, {width}), got {prefix.shape}")
        return finite(self._actions.here(prefix), self._actions.names, ProtocolError, "prefix")

    def _actions_here(self, there: NDArray[np.float64], state: FloatArray) -> FloatArray:
        ours = self._actions.here(there)
        ours[:, self._relative] += self._based_on(state)
        return finite(ours, self._actions.names, PolicyError, "actions")

    def _based_on(self, state: FloatArray) -> NDArray[np.float64]:
        """Return the numbers that relative actions count from."""
        if not self._relative.size:
            return np.zeros(0)
        width = len(self._state.names)
        if state.shape != (width,):
            raise PolicyError(f"relative actions: wanted a state ({width},), got {state.shape}")
        return state.astype(np.float64)[self._bases]

    def _instruction(self, values: Mapping[WirePath, Value]) -> str | None:
        key = self.profile.instruction
        if key is None or values.get(key) is None:
            return None
        text = values[key]
        if not isinstance(text, str):
            raise ProtocolError(f"{told_path(key)}: wanted a text, got {type(text).__name__}")
        if len(text) > MAX_INSTRUCTION or any("\ud800" <= sign <= "\udfff" for sign in text):
            wanted = f"at most {MAX_INSTRUCTION} characters that UTF-8 can carry"
            raise ProtocolError(f"{told_path(key)}: wanted {wanted}, got {len(text)}: {quoted(text, 40)}")
        return text


def _found(values: Mapping[WirePath, Value], key: tuple[str, ...]) -> Value:
    if key not in values:
        got = ", ".join(told_path([str(part) for part in path]) for path in list(values)[:MOST_NAMED])
        raise ProtocolError(
            f"observation: wanted {quoted(told_path(key), 80)}, as its profile says, "
            f"got {quoted(got) or 'nothing'}"
        )
    return values[key]


def _state_values(value: Value, array: WireArray) -> NDArray[np.float64]:
    is_numbers = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
    if not isinstance(value, np.ndarray) or not is_numbers or value.shape != (array.width,):
        raise ProtocolError(
            f"{quoted(told_path(array.key), 80)}: wanted numbers ({array.width},), got {_shape(value)}"
        )
    return value.astype(np.float64)


def _action_values(value: AnyArray, array: WireArray) -> NDArray[np.float64]:
    chunk = value[:, None] if value.ndim == 1 and array.width == 1 else value
    is_chunk = chunk.ndim == 2 and chunk.shape[1] == array.width and len(chunk) > 0
    if value.dtype.kind != "f" or not is_chunk:
        raise PolicyError(
            f"actions {quoted(array.key[-1], 80)}: wanted floats (horizon, {array.width}), "
            f"got {_shape(value)}"
        )
    return chunk.astype(np.float64)


def _shape(value: Value) -> str:
    return f"{value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
