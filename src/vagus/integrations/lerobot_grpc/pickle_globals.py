"""The only names that a pickle may call here, each with the function of ours that stands for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from vagus.errors import ProtocolError
from vagus.gateways.msgpack import AnyArray
from vagus.integrations.lerobot_grpc.messages import HelpersModule, PlainValue
from vagus.integrations.lerobot_grpc.torch_storage import TorchStorage, read_storage
from vagus.quoting import quoted
from vagus.wire.schema import MAX_DATA_BYTES, MAX_NDIM

__all__ = [
    "CALLS",
    "AllowedName",
    "ArrayInMaking",
    "Dtype",
    "PickleInstance",
    "Role",
    "array_of",
    "global_of",
    "whole",
]


class Role(Enum):
    """What an allowed name stands for."""

    POLICY_CONFIG = auto()
    OBSERVATION = auto()
    ACTION = auto()
    ORDERED_DICT = auto()
    NDARRAY = auto()
    DTYPE = auto()
    RECONSTRUCT = auto()
    SCALAR = auto()
    FROM_BUFFER = auto()
    REBUILD_TENSOR = auto()
    LOAD_STORAGE = auto()


@dataclass(frozen=True, slots=True)
class AllowedName:
    """An allowed name in a pickle."""

    role: Role
    module: str


_NUMPY = {
    ("numpy", "ndarray"): Role.NDARRAY,
    ("numpy", "dtype"): Role.DTYPE,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Role.RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Role.SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Role.FROM_BUFFER for core in ("core", "_core")},
}
_LEROBOT = {
    "RemotePolicyConfig": Role.POLICY_CONFIG,
    "TimedObservation": Role.OBSERVATION,
    "TimedAction": Role.ACTION,
}
_ALLOWED = {
    **_NUMPY,
    **{(module.value, name): role for module in HelpersModule for name, role in _LEROBOT.items()},
    ("collections", "OrderedDict"): Role.ORDERED_DICT,
    ("torch._utils", "_rebuild_tensor_v2"): Role.REBUILD_TENSOR,
    ("torch.storage", "_load_from_bytes"): Role.LOAD_STORAGE,
}
_DTYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})
_MAX_BOOLEANS = 1 << 16
"""Each is looked at, and a pickle may name the same bytes thousands of times."""


@dataclass(slots=True)
class Dtype:
    """An element type; a pickle tells its byte order after it was made."""

    code: str
    order: str | None = None

    def build(self, state: object) -> None:
        """Take the byte order, as `dtype.__setstate__` gets it."""
        order = "|" if self.code.endswith("1") else "<"
        if self.order is not None or not _is_same(state, (3, order, None, None, None, -1, -1, 0)):
            raise ProtocolError(f"numpy.dtype {self.code}: wanted a plain type in byte order {order!r}")
        self.order = order


@dataclass(slots=True)
class ArrayInMaking:
    """An array that `_reconstruct` made; a pickle tells its numbers afterwards."""

    array: AnyArray | None = None

    def build(self, state: object) -> None:
        """Take shape, type and numbers, as `ndarray.__setstate__` gets them."""
        if self.array is not None or not isinstance(state, tuple) or len(state) != 5:
            raise ProtocolError("numpy.ndarray: wanted one state of 5 parts")
        version, shape, dtype, is_fortran, data = state
        if not _is_same((version,), (1,)) or not isinstance(is_fortran, bool):
            raise ProtocolError("numpy.ndarray: wanted a state of version 1")
        self.array = array_of(data, dtype, shape, is_fortran=is_fortran)


@dataclass(slots=True)
class PickleInstance:
    """An object of one of LeRobot's three classes, as its fields."""

    kind: AllowedName
    fields: dict[str, object] | None = None

    def build(self, state: object) -> None:
        """Take the fields."""
        if self.fields is not None or not isinstance(state, dict):
            raise ProtocolError(f"pickle: BUILD of a {self.kind.role.name} wanted one dict of fields")
        self.fields = state


def global_of(module: object, name: object) -> AllowedName:
    """Return the allowed name.

    Raises:
        ProtocolError: any other name.
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise ProtocolError("pickle: STACK_GLOBAL wanted two texts")
    role = _ALLOWED.get((module, name))
    if role is None:
        raise ProtocolError(f"pickle: the global {quoted(f'{module}.{name}', 128)} is not allowed here")
    return AllowedName(role, module)


def array_of(data: object, dtype: object, shape: object, *, is_fortran: bool = False) -> AnyArray:
    """Return a read-only view of `data`. Every size is checked before numpy sees it.

    Raises:
        ProtocolError: a type, a shape or a number of bytes that do not fit.
    """
    if not isinstance(dtype, Dtype) or dtype.order is None or not isinstance(data, memoryview):
        raise ProtocolError("numpy.ndarray: wanted bytes and a plain element type")
    sizes = _sizes(shape, "numpy.ndarray")
    wanted = math.prod(sizes) * int(dtype.code[1:])
    if len(data) != wanted:
        raise ProtocolError(f"numpy.ndarray: wanted {wanted} bytes for {dtype.code} {sizes}, got {len(data)}")
    flat = _flat(data, dtype.order + dtype.code)
    return flat.reshape(sizes, order="F" if is_fortran else "C")


def whole(value: object, subject: str) -> int:
    """Return `value`, which must be an int from 0 to 2⁶²."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 62:
        got = value if isinstance(value, int) else type(value).__name__
        raise ProtocolError(f"{subject}: wanted a whole number from 0, got {got}")
    return value


def _flat(data: memoryview, dtype: str) -> AnyArray:
    if dtype == "|b1" and (len(data) > _MAX_BOOLEANS or np.any(np.frombuffer(data, np.uint8) > 1)):
        raise ProtocolError(f"array: wanted at most {_MAX_BOOLEANS} booleans, as bytes 0 and 1")
    flat: AnyArray = np.frombuffer(data, dtype)
    flat.flags.writeable = False
    return flat


def _sizes(shape: object, subject: str) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > MAX_NDIM:
        raise ProtocolError(f"{subject}: wanted a shape of at most {MAX_NDIM} sizes")
    sizes = tuple(whole(size, f"{subject}: a size") for size in shape)
    if math.prod(max(size, 1) for size in sizes) > MAX_DATA_BYTES:
        raise ProtocolError(f"{subject}: wanted at most {MAX_DATA_BYTES} elements")
    return sizes


def _strides(stride: object) -> tuple[int, ...]:
    if not isinstance(stride, tuple) or len(stride) > MAX_NDIM:
        raise ProtocolError(f"torch tensor: wanted at most {MAX_NDIM} strides")
    return tuple(whole(step, "torch tensor: a stride") for step in stride)


def _parts(arguments: tuple[object, ...], count: int, subject: str) -> tuple[object, ...]:
    if len(arguments) != count:
        raise ProtocolError(f"{subject}: wanted {count} arguments, got {len(arguments)}")
    return arguments


def _dtype(arguments: tuple[object, ...]) -> Dtype:
    code, is_aligned, is_copied = _parts(arguments, 3, "numpy.dtype")
    is_plain = _is_same((is_aligned, is_copied), (False, True))
    if not isinstance(code, str) or code not in _DTYPES or not is_plain:
        raise ProtocolError(
            f"numpy.dtype: wanted one of {', '.join(sorted(_DTYPES))}, got {_text(code)}; "
            "objects and records are never read"
        )
    return Dtype(code)


def _is_same(given: object, wanted: tuple[PlainValue, ...]) -> bool:
    """Compare types before values: an array has an equality of its own."""
    return (
        isinstance(given, tuple)
        and len(given) == len(wanted)
        and all(type(one) is type(two) and one == two for one, two in zip(given, wanted, strict=True))
    )


def _text(value: object) -> str:
    return quoted(value, 32) if isinstance(value, str) else type(value).__name__


def _reconstruct(arguments: tuple[object, ...]) -> ArrayInMaking:
    kind, shape, letter = _parts(arguments, 3, "numpy _reconstruct")
    is_array = isinstance(kind, AllowedName) and kind.role is Role.NDARRAY
    if (
        not is_array
        or not _is_same(shape, (0,))
        or not isinstance(letter, memoryview)
        or letter[:2].tobytes() != b"b"
    ):
        raise ProtocolError("numpy _reconstruct: wanted (numpy.ndarray, (0,), b'b')")
    return ArrayInMaking()


def _scalar(arguments: tuple[object, ...]) -> object:
    dtype, data = _parts(arguments, 2, "numpy scalar")
    return array_of(data, dtype, ()).item()


def _from_buffer(arguments: tuple[object, ...]) -> AnyArray:
    data, dtype, shape, order = _parts(arguments, 4, "numpy _frombuffer")
    if not isinstance(order, str) or order not in {"C", "F"}:
        raise ProtocolError("numpy _frombuffer: wanted order C or F")
    return array_of(data, dtype, shape, is_fortran=order == "F")


def _ordered_dict(arguments: tuple[object, ...]) -> Role:
    _parts(arguments, 0, "collections.OrderedDict")
    return Role.ORDERED_DICT  # it only ever says that a tensor has no hooks


def _load_storage(arguments: tuple[object, ...]) -> TorchStorage:
    (blob,) = _parts(arguments, 1, "torch.storage._load_from_bytes")
    if not isinstance(blob, memoryview):
        raise ProtocolError("torch.storage._load_from_bytes: wanted bytes")
    return read_storage(blob)


def _rebuild_tensor(arguments: tuple[object, ...]) -> AnyArray:
    subject = "torch tensor"
    storage, offset, size, stride, has_gradient, hooks = _parts(arguments, 6, subject)
    if not isinstance(storage, TorchStorage) or hooks is not Role.ORDERED_DICT:
        raise ProtocolError(f"{subject}: wanted a storage, and no hooks")
    if not isinstance(has_gradient, bool):
        raise ProtocolError(f"{subject}: wanted requires_grad as true or false")
    sizes, strides = _sizes(size, subject), _strides(stride)
    begin, numel = whole(offset, f"{subject} offset"), math.prod(sizes)
    reach = begin + sum((n - 1) * step for n, step in zip(sizes, strides, strict=False)) + 1
    if len(sizes) != len(strides) or numel > storage.numel or (numel and reach > storage.numel):
        raise ProtocolError(f"{subject}: wanted a view inside its {storage.numel} numbers, got size {sizes}")
    flat = _flat(storage.data, storage.dtype)
    if not numel:
        return flat[:0].reshape(sizes)
    steps = tuple(step * flat.itemsize for step in strides)
    tensor: AnyArray = np.ndarray(sizes, flat.dtype, storage.data, begin * flat.itemsize, steps)
    tensor.flags.writeable = False
    return tensor


CALLS: dict[Role, Callable[[tuple[object, ...]], object]] = {
    Role.DTYPE: _dtype,
    Role.RECONSTRUCT: _reconstruct,
    Role.SCALAR: _scalar,
    Role.FROM_BUFFER: _from_buffer,
    Role.ORDERED_DICT: _ordered_dict,
    Role.LOAD_STORAGE: _load_storage,
    Role.REBUILD_TENSOR: _rebuild_tensor,
}
"""What a pickle may call with REDUCE."""
