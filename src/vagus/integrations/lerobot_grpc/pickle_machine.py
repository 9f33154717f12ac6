"""An interpreter of the few pickle opcodes that LeRobot sends; it calls nothing but functions of ours.

Every length is checked against the bytes that are there, and every count against a limit, before
anything is made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from vagus.errors import ProtocolError
from vagus.integrations.lerobot_grpc.messages import PlainValue
from vagus.integrations.lerobot_grpc.pickle_globals import (
    CALLS,
    AllowedName,
    ArrayInMaking,
    Dtype,
    PickleInstance,
    Role,
    global_of,
)
from vagus.integrations.lerobot_grpc.pickle_opcodes import Opcode
from vagus.wire.schema import MAX_INSTRUCTION, MAX_NAME

__all__ = ["PickleLimits", "run_pickle"]

_INSTANCES = frozenset({Role.POLICY_CONFIG, Role.OBSERVATION, Role.ACTION})
_MAX_TEXT_BYTES = 4 * MAX_INSTRUCTION
_MAX_STACK = 8192
"""A pickler puts up to 1000 pairs on the stack at once."""
_MAX_MARKS = 32
"""Nesting; LeRobot's deepest message has 5."""
_PROTOCOLS = (4, 5)
"""What `pickle.dumps` writes unless told otherwise, from Python 3.8 on."""


@dataclass(frozen=True, slots=True)
class PickleLimits:
    """How much of one kind of pickle is read."""

    max_bytes: int
    max_opcodes: int


def run_pickle(payload: bytes | memoryview, limits: PickleLimits) -> object:
    """Return the one object of a pickle: plain values, arrays and `PickleInstance`s.

    Lists and dicts may hold themselves: a reader of the result bounds its depth.

    Raises:
        ProtocolError: an opcode or a global that is not allowed, a limit, or malformed bytes.
    """
    if len(payload) > limits.max_bytes:
        raise ProtocolError(f"pickle: wanted at most {limits.max_bytes} bytes, got {len(payload)}")
    return _Machine(memoryview(payload).toreadonly().cast("B")).run(limits.max_opcodes)


class _Machine:
    """The pickle's stack, its marks and its memo."""

    def __init__(self, payload: memoryview) -> None:
        self._payload = payload
        self._position = 0
        self._frame_end = 0
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def run(self, max_opcodes: int) -> object:
        if self.take(1)[0] != Opcode.PROTO or self.take(1)[0] not in _PROTOCOLS:
            raise ProtocolError("pickle: wanted PROTO 4 or 5 at the beginning, got something else")
        for _ in range(max_opcodes):
            code = self.take(1)[0]
            if code == Opcode.STOP:
                return self._end()
            handler = _HANDLERS.get(code)
            if handler is None:
                raise ProtocolError(f"pickle: the opcode {_opcode_name(code)} is not allowed here")
            handler(self)
            if len(self._stack) > _MAX_STACK or len(self._marks) > _MAX_MARKS:
                raise ProtocolError(
                    f"pickle: wanted a stack of at most {_MAX_STACK}, {_MAX_MARKS} marks deep"
                )
        raise ProtocolError(f"pickle: wanted at most {max_opcodes} opcodes, got more")

    def _end(self) -> object:
        left = len(self._payload) - self._position
        if left or len(self._stack) != 1 or self._marks:
            raise ProtocolError(
                f"pickle: wanted one object at STOP, got {len(self._stack)}, and {left} bytes left"
            )
        return self._stack.pop()

    def take(self, count: int) -> memoryview:
        begin, end = self._position, self._position + count
        if end > len(self._payload):
            raise ProtocolError(f"pickle: wanted {count} bytes at {begin}, got {len(self._payload) - begin}")
        if begin < self._frame_end < end:
            raise ProtocolError(f"pickle: an opcode at {begin} goes on behind its FRAME")
        self._position = end
        return self._payload[begin:end]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def begin_frame(self) -> None:
        if self._position <= self._frame_end:
            raise ProtocolError("pickle: a FRAME inside a FRAME")
        size = self.number(8)
        left = len(self._payload) - self._position
        if size > left:
            raise ProtocolError(f"pickle: wanted a FRAME of at most {left} bytes, got {size}")
        self._frame_end = self._position + size

    def push(self, value: object) -> None:
        self._stack.append(value)

    def pop(self) -> object:
        self._need(1)
        return self._stack.pop()

    def pop_many(self, count: int) -> tuple[object, ...]:
        self._need(count)
        taken = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        return taken

    def top(self) -> object:
        self._need(1)
        return self._stack[-1]

    def _need(self, count: int) -> None:
        bottom = self._marks[-1] if self._marks else 0
        if len(self._stack) - bottom < count:
            raise ProtocolError("pickle: an opcode wanted a value, and the stack has none")

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def pop_mark(self) -> tuple[object, ...]:
        if not self._marks:
            raise ProtocolError("pickle: an opcode wanted a MARK, and there is none")
        taken = self.pop_many(len(self._stack) - self._marks[-1])
        self._marks.pop()
        return taken

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self.top()

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise ProtocolError(f"pickle: wanted a memo index below {len(self._memo)}, got {index}")
        self.push(self._memo[index])


def _opcode_name(code: int) -> str:
    try:
        return Opcode(code).name
    except ValueError:
        return f"0x{code:02x}"


def _value(value: PlainValue | tuple[object, ...]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(value)


def _unsigned(count: int) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.number(count))


def _signed(machine: _Machine) -> None:
    machine.push(int.from_bytes(machine.take(4), "little", signed=True))


def _long(machine: _Machine) -> None:
    count = machine.number(1)
    if count > 8:
        raise ProtocolError(f"pickle: LONG1 wanted at most 8 bytes, got {count}")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True))


def _float(machine: _Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _text(count: int) -> Callable[[_Machine], None]:
    def read(machine: _Machine) -> None:
        size = machine.number(count)
        if size > _MAX_TEXT_BYTES:
            raise ProtocolError(f"pickle: wanted a text of at most {_MAX_TEXT_BYTES} bytes, got {size}")
        try:
            machine.push(str(machine.take(size), "utf-8"))
        except UnicodeDecodeError as error:
            raise ProtocolError(f"pickle: a text is not UTF-8: {error.reason}") from error

    return read


def _bytes(count: int) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.take(machine.number(count)))


def _tuple(count: int) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.pop_many(count))


def _append(machine: _Machine, values: tuple[object, ...]) -> None:
    target = machine.top()
    if not isinstance(target, list):
        raise ProtocolError("pickle: APPEND and APPENDS wanted a list")
    target.extend(values)


def _set(machine: _Machine, values: tuple[object, ...]) -> None:
    target = machine.top()
    if not isinstance(target, dict) or len(values) % 2:
        raise ProtocolError("pickle: SETITEM and SETITEMS wanted a dict and pairs")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str) or len(key) > MAX_NAME or key in target:
            raise ProtocolError(
                f"pickle: wanted keys of a dict as different texts of at most {MAX_NAME} characters"
            )
        target[key] = value


def _global(machine: _Machine) -> None:
    module, name = machine.pop_many(2)
    machine.push(global_of(module, name))


def _reduce(machine: _Machine) -> None:
    called, arguments = machine.pop_many(2)
    call = CALLS.get(called.role) if isinstance(called, AllowedName) else None
    if call is None or not isinstance(arguments, tuple):
        raise ProtocolError("pickle: REDUCE wanted an allowed function and its arguments")
    machine.push(call(arguments))


def _new(machine: _Machine) -> None:
    kind, arguments = machine.pop_many(2)
    if (
        not isinstance(kind, AllowedName)
        or kind.role not in _INSTANCES
        or not isinstance(arguments, tuple)
        or arguments
    ):
        raise ProtocolError("pickle: NEWOBJ wanted one of LeRobot's classes and no arguments")
    machine.push(PickleInstance(kind))


def _build(machine: _Machine) -> None:
    state = machine.pop()
    target = machine.top()
    if not isinstance(target, (PickleInstance, ArrayInMaking, Dtype)):
        raise ProtocolError("pickle: BUILD wanted one of LeRobot's classes, an array or an element type")
    target.build(state)


_HANDLERS: dict[int, Callable[[_Machine], None]] = {
    Opcode.FRAME: _Machine.begin_frame,
    Opcode.MARK: _Machine.mark,
    Opcode.MEMOIZE: _Machine.memoize,
    Opcode.BINGET: lambda machine: machine.recall(machine.number(1)),
    Opcode.LONG_BINGET: lambda machine: machine.recall(machine.number(4)),
    Opcode.NONE: _value(None),
    Opcode.NEWTRUE: _value(True),  # noqa: FBT003 - it is the value
    Opcode.NEWFALSE: _value(False),  # noqa: FBT003 - likewise
    Opcode.BININT: _signed,
    Opcode.BININT1: _unsigned(1),
    Opcode.BININT2: _unsigned(2),
    Opcode.LONG1: _long,
    Opcode.BINFLOAT: _float,
    Opcode.SHORT_BINUNICODE: _text(1),
    Opcode.BINUNICODE: _text(4),
    Opcode.SHORT_BINBYTES: _bytes(1),
    Opcode.BINBYTES: _bytes(4),
    Opcode.BINBYTES8: _bytes(8),
    Opcode.BYTEARRAY8: _bytes(8),
    Opcode.EMPTY_TUPLE: _value(()),
    Opcode.TUPLE1: _tuple(1),
    Opcode.TUPLE2: _tuple(2),
    Opcode.TUPLE3: _tuple(3),
    Opcode.TUPLE: lambda machine: machine.push(machine.pop_mark()),
    Opcode.EMPTY_LIST: lambda machine: machine.push([]),
    Opcode.APPEND: lambda machine: _append(machine, machine.pop_many(1)),
    Opcode.APPENDS: lambda machine: _append(machine, machine.pop_mark()),
    Opcode.EMPTY_DICT: lambda machine: machine.push({}),
    Opcode.SETITEM: lambda machine: _set(machine, machine.pop_many(2)),
    Opcode.SETITEMS: lambda machine: _set(machine, machine.pop_mark()),
    Opcode.STACK_GLOBAL: _global,
    Opcode.REDUCE: _reduce,
    Opcode.NEWOBJ: _new,
    Opcode.BUILD: _build,
}
