from __future__ import annotations

import contextlib
import os
import pickle  # noqa: TID251 - what a peer does
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lerobot_pickles import golden, pickled, stand_ins
from vagus.errors import ProtocolError
from vagus.integrations.lerobot_grpc.messages import HelpersModule
from vagus.integrations.lerobot_grpc.pickle_reader import read_actions, read_observation, read_policy_config

OBSERVATION = golden("observation.pickle.bin")
READERS = {
    "policy_setup.pickle.bin": read_policy_config,
    "observation.pickle.bin": read_observation,
    "actions.pickle.bin": read_actions,
}
PLAIN = npst.integer_dtypes(endianness="<") | npst.unsigned_integer_dtypes(endianness="<")
DTYPES = PLAIN | npst.floating_dtypes(endianness="<", sizes=(16, 32, 64)) | npst.boolean_dtypes()
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


def observed(values: dict[str, object], *, protocol: int = 4) -> bytes:
    fields = {"timestamp": 1.5, "timestep": 3, "observation": values, "must_go": True}
    return pickled("TimedObservation", fields, protocol=protocol)


def one(value: object, *, protocol: int = 4) -> object:
    return read_observation(observed({"x": value}, protocol=protocol)).observation["x"]


def test_the_setup_of_a_real_client() -> None:
    config = read_policy_config(golden("policy_setup.pickle.bin"))
    assert (config.policy_type, config.pretrained_name_or_path) == ("act", "user/model")
    assert (config.actions_per_chunk, config.device, config.rename_map) == (2, "cpu", {})
    state = config.lerobot_features["observation.state"]
    assert (state.dtype, state.shape, state.info) == ("float32", (6,), None)
    assert state.names[0] == "shoulder_pan.pos"
    front = config.lerobot_features["observation.images.front"]
    assert (front.dtype, front.shape, front.info) == ("image", (4, 6, 3), {"is_depth_map": False})


def test_the_observation_of_a_real_client() -> None:
    read = read_observation(OBSERVATION)
    assert (read.timestamp_s, read.timestep, read.must_go) == (1795191773.3918204, 0, True)
    assert read.observation["elbow_flex.pos"] == 3.0
    assert read.observation["task"] == "pick"
    wrist = read.observation["wrist"]
    assert isinstance(wrist, np.ndarray)
    assert (wrist.dtype, wrist.shape) == (np.dtype(np.uint8), (4, 6, 3))
    assert (wrist == 1).all()
    assert not wrist.flags.writeable


@pytest.mark.parametrize(("name", "count"), [("actions.pickle.bin", 2), ("actions_torchfree.pickle.bin", 50)])
def test_the_actions_of_a_real_server(name: str, count: int) -> None:
    actions = read_actions(golden(name))
    assert [action.timestep for action in actions] == list(range(count))
    if count == 2:
        assert actions[1].action.tolist() == [6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("module", list(HelpersModule))
def test_a_peer_of_each_version_is_known_by_its_module(module: HelpersModule) -> None:
    fields = {"timestamp": 0.5, "timestep": 1, "observation": {}, "must_go": False}
    assert read_observation(pickled("TimedObservation", fields, module=module)).module is module


@given(ARRAYS, st.sampled_from((4, 5)))
def test_any_plain_array_of_numpy_is_read_as_it_was(array: np.ndarray, protocol: int) -> None:
    for sent in (array, np.asfortranarray(array)):
        read = one(sent, protocol=protocol)
        assert isinstance(read, np.ndarray)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


@given(st.dictionaries(st.text(max_size=64), st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats()
                       | st.text(max_size=400), max_size=40), st.sampled_from((4, 5)))  # fmt: skip
def test_any_plain_values_are_read_as_they_were(values: dict[str, object], protocol: int) -> None:
    read = read_observation(observed(values, protocol=protocol)).observation
    assert repr(dict(read)) == repr(values)


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.1), np.int16(-3), np.bool_(True)])
def test_a_number_of_numpy_is_a_number(number: np.generic) -> None:
    assert one(number) == number.item()
    assert type(one(number)) is type(number.item())


def test_a_picture_outside_of_every_frame_is_not_copied() -> None:
    payload = observed({"x": np.arange(480 * 640 * 3, dtype=np.uint8).reshape(480, 640, 3)})
    read = read_observation(payload).observation["x"]
    assert isinstance(read, np.ndarray)
    assert np.shares_memory(read, np.frombuffer(payload, np.uint8))


class Calls:
    def __init__(self, call: object, *arguments: object) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Calls(os.system, "true"), f"{os.name}.system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(getattr, 1, "real"), "builtins.getattr"),
        (np.array([Calls(os.system, "true")], object), "objects and records are never read"),
        (np.zeros(2, "f4,i2"), "objects and records are never read"),
        (np.zeros(2, ">f4"), "byte order"),
        ({1, 2}, "EMPTY_SET"),
        (2**100, "LONG1"),
        (bytearray(b"x"), "builtins.bytearray"),
        (b"x", "memoryview"),
        ([1.0], "a list of 1"),
        (None, "NoneType"),
        ("x" * 5000, "4096 characters"),
        ("x" * 20000, "16384 bytes"),
    ],
)
def test_what_is_not_of_the_protocol_is_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        one(value)


def craft(*parts: bytes) -> bytes:
    return b"".join((b"\x80\x04", *parts, b"."))


def text(value: str) -> bytes:
    return b"\x8c" + bytes((len(value),)) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


LEROBOT = "lerobot.async_inference.helpers"
INSTANCE = name(LEROBOT, "TimedObservation") + b")\x81"
EMPTY_ARRAY = (
    name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
)
U1 = name("numpy", "dtype") + text("u1") + b"\x89\x88\x87R"
U1_BUILT = U1 + b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"", "1 bytes at 0"),
        (b"garbage", "PROTO"),
        (b"\x80\x02N.", "PROTO 4 or 5"),
        (craft(b"cos\nsystem\n"), "GLOBAL"),
        (craft(b"(S'x'\nios\nsystem\n"), "STRING"),
        (craft(b"(ios\nsystem\n"), "INST"),
        (craft(b"(o"), "OBJ"),
        (craft(b"P1\n"), "PERSID"),
        (craft(b"NQ"), "BINPERSID"),
        (craft(b"\x82\x01"), "EXT1"),
        (craft(b"N0"), "POP"),
        (craft(b"N2"), "DUP"),
        (craft(b"))}\x92"), "NEWOBJ_EX"),
        (craft(b"\x97"), "NEXT_BUFFER"),
        (craft(b"\xee"), "0xee"),
        (craft(b"Nr\x00\x00\x00\x10"), "LONG_BINPUT"),
        (craft(b"j\xff\xff\xff\x7f"), "memo index"),
        (craft(b"h\x00"), "memo index"),
        (craft(b"\x8e" + struct.pack("<Q", 1 << 40)), "1099511627776 bytes"),
        (craft(b"\x96" + b"\xff" * 8), "bytes at"),
        (craft(b"\x8a\xff" + bytes(255)), "LONG1"),
        (craft(b"X\xff\xff\xff\xff"), "16384 bytes"),
        (craft(b"\x8c\x01\xff"), "UTF-8"),
        (craft(b"]" * 9000), "stack"),
        (craft(b"(" * 200), "marks"),
        (craft(b"N" + b"\x85" * 30000), "opcodes"),
        (craft(b"t"), "MARK"),
        (craft(b"N(\x85"), "stack has none"),
        (craft(b"NN"), "one object"),
        (craft(b"N") + b"N", "left"),
        (craft(b"NNa"), "wanted a list"),
        (craft(b"NNNs"), "wanted a dict"),
        (craft(b"}(Nu"), "pairs"),
        (craft(b"}NNs"), "keys"),
        (craft(b"}" + text("a") + b"N" + b"s" + text("a") + b"Ns"), "different"),
        (craft(b"NN\x93"), "STACK_GLOBAL"),
        (craft(name("os", "system") + text("true") + b"\x85R"), r"os\.system"),
        (craft(name("numpy", "load")), r"numpy\.load"),
        (craft(name("torch", "load")), r"torch\.load"),
        (craft(name(LEROBOT, "os.system")), r"os\.system"),
        (craft(name("builtins", "getattr")), "getattr"),
        (craft(name("os", "x" * 200)), "not allowed"),
        (craft(text("os") + b")R"), "REDUCE"),
        (craft(name("numpy", "ndarray") + b")R"), "REDUCE"),
        (craft(name("numpy", "dtype") + b"]R"), "REDUCE"),
        (craft(name(LEROBOT, "TimedObservation") + b")R"), "REDUCE"),
        (craft(name("collections", "OrderedDict") + b")\x81"), "NEWOBJ"),
        (craft(name(LEROBOT, "TimedObservation") + b"N\x85\x81"), "NEWOBJ"),
        (craft(b"]}b"), "BUILD"),
        (craft(name("numpy", "dtype") + b"}b"), "BUILD"),
        (craft(INSTANCE + b"N}\x86b"), "one dict"),
        (craft(INSTANCE + b"}b}b"), "one dict"),
        (craft(INSTANCE), "without its fields"),
        (craft(INSTANCE + b"}b"), "wanted the fields"),
        (craft(EMPTY_ARRAY + b"}b"), "5 parts"),
        (craft(EMPTY_ARRAY + b"(K\x01K\x04\x85" + U1 + b"\x89C\x04aaaatb"), "plain element type"),
        (craft(EMPTY_ARRAY + b"(K\x01K\x04\x85" + U1_BUILT + b"\x89C\x03aaatb"), "wanted 4 bytes"),
        (craft(EMPTY_ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + U1_BUILT + b"\x89C\x03aaatb"), "from 0"),
        (
            craft(
                EMPTY_ARRAY + b"(K\x01(K\x00" + b"J\xff\xff\xff\x7f" * 3 + b"t" + U1_BUILT + b"\x89C\x00tb"
            ),
            "elem",
        ),
        (craft(EMPTY_ARRAY + b"(K\x01(" + b"K\x01" * 9 + b"t" + U1_BUILT + b"\x89C\x01atb"), "8 sizes"),
        (craft(U1 + b"Nb"), "byte order"),
        (craft(b"\x95\xff\x00\x00\x00\x00\x00\x00\x00N"), "FRAME of at most"),
        (craft(b"\x95\x0b" + bytes(7) + b"\x95\x02" + bytes(7) + b"N"), "FRAME inside a FRAME"),
        (craft(b"\x95\x02" + bytes(7) + b"M\x01\x00"), "behind its FRAME"),
    ],
)
@pytest.mark.parametrize("read", [read_policy_config, read_observation, read_actions])
def test_hostile_bytes_are_refused(read: Callable[[bytes], object], payload: bytes, named: str) -> None:
    if read is not read_observation and named in ("without its fields", "wanted the fields"):
        named = "wanted a"
    if read is read_actions and named == "opcodes":
        payload = craft(b"N" + b"\x85" * 70000)
    with pytest.raises(ProtocolError, match=named):
        read(payload)


def test_a_value_that_holds_itself_and_one_that_doubles_are_refused_at_once() -> None:
    doubled = b")" + b"".join(b"\x94h" + bytes((at,)) + b"\x86" for at in range(200))
    for value, named in ((b"]\x94h\x00a", "a list of 1"), (doubled, "a tuple of 2")):
        times = text("timestamp") + b"G" + bytes(8) + text("timestep") + b"K\x00" + text("must_go") + b"\x88"
        observation = text("observation") + b"}" + text("x") + value + b"s"
        with pytest.raises(ProtocolError, match=named):
            read_observation(craft(INSTANCE + b"}(" + times + observation + b"ub"))


def test_an_array_in_place_of_a_number_is_refused() -> None:
    array = EMPTY_ARRAY + b"(K\x01K\x04\x85" + U1_BUILT + b"\x89C\x04aaaatb"
    states = (
        EMPTY_ARRAY + b"(" + array + b"K\x04\x85" + U1_BUILT + b"\x89C\x04aaaatb",
        EMPTY_ARRAY + b"(K\x01" + array + b"\x85" + U1_BUILT + b"\x89C\x04aaaatb",
        name("numpy", "dtype") + text("u1") + array + b"\x88\x87R",
        U1 + b"(" + array + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        name("numpy._core.multiarray", "_reconstruct")
        + name("numpy", "ndarray")
        + array
        + b"\x85C\x01b\x87R",
    )
    for state in states:
        with pytest.raises(ProtocolError, match="numpy"):
            read_observation(craft(state))


@pytest.mark.parametrize("sent", READERS)
def test_every_cut_is_refused(sent: str) -> None:
    payload = golden(sent)
    for length in range(len(payload)):
        with pytest.raises(ProtocolError):
            READERS[sent](payload[:length])


@pytest.mark.parametrize("sent", READERS)
def test_a_message_of_another_kind_is_refused(sent: str) -> None:
    for other, read in READERS.items():
        if other != sent:
            with pytest.raises(ProtocolError, match="wanted a"):
                read(golden(sent))


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_garbage_is_refused(sent: str, garbage: bytes) -> None:
    for payload in (garbage, b"\x80\x04" + garbage):
        with pytest.raises(ProtocolError):
            READERS[sent](payload)


@given(st.sampled_from(sorted(READERS)), st.data())
def test_changed_bytes_are_read_or_refused(sent: str, data: st.DataObject) -> None:
    payload = bytearray(golden(sent))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        READERS[sent](bytes(payload))


def frombuffer(data: bytes, dtype: bytes, size: int, order: str = "C") -> bytes:
    called = name("numpy._core.numeric", "_frombuffer") + b"(" + data + dtype
    return called + b"J" + struct.pack("<i", size) + b"\x85" + text(order) + b"tR"


def whole_observation(values: bytes, must_go: bytes = b"\x88", time: bytes = b"G" + bytes(8)) -> bytes:
    times = text("timestamp") + time + text("timestep") + b"K\x00" + text("must_go") + must_go
    return craft(INSTANCE + b"}(" + times + text("observation") + b"}(" + values + b"uub")


BOOLS = U1_BUILT.replace(text("u1"), text("b1"))
STORAGE = name("torch.storage", "_load_from_bytes")
REBUILD = name("torch._utils", "_rebuild_tensor_v2")
HOOKS = name("collections", "OrderedDict") + b")R"


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (craft(frombuffer(b"C\x02\x00\x02", BOOLS, 2)), "booleans"),
        (craft(frombuffer(b"B\x01\x00\x01\x00" + bytes(65537), BOOLS, 65537)), "at most 65536 booleans"),
        (craft(frombuffer(b"C\x02ab", U1_BUILT, 2, "K")), "order C or F"),
        (craft(name("numpy", "dtype") + b")R"), "3 arguments, got 0"),
        (craft(STORAGE + b"N\x85R"), "wanted bytes"),
        (craft(REBUILD + b"(NK\x00))\x89" + HOOKS + b"tR"), "wanted a storage"),
        (whole_observation(b"", must_go=b"N"), "must_go"),
        (whole_observation(b"", time=b"K\x00"), "timestamp"),
        (whole_observation(b"", time=b"G\x7f\xf0" + bytes(6)), "timestamp"),
        (whole_observation(text("x") + EMPTY_ARRAY), "without its numbers"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(payload: bytes, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        read_observation(payload)


def test_bytes_that_are_named_often_count_as_often() -> None:
    size = 4 << 20
    array = frombuffer(b"B" + struct.pack("<I", size) + bytes(size), U1_BUILT, size) + b"\x94"
    again = b"".join(text(str(at)) + b"h\x00" for at in range(7))
    with pytest.raises(ProtocolError, match="arrays of at most"):
        read_observation(whole_observation(text("x") + array + again))
    assert len(read_observation(whole_observation(text("x") + array + again[:-5])).observation) == 7


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lerobot_features": []}, "lerobot_features: wanted a dict"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": 3, "names": []}}}, "shape"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": (1,) * 9, "names": []}}}, "at most 8 sizes"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": (-1,), "names": []}}}, "from 0, got -1"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": (), "names": None}}}, "names"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": (), "names": ["a"] * 1025}}}, "at most 1024"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": (), "names": [], "info": {"a": []}}}}, "info"),
        ({"lerobot_features": {"x": {"dtype": "a", "shape": ()}}}, "wanted the fields"),
        ({"actions_per_chunk": True}, "actions_per_chunk"),
        ({"policy_type": None}, "policy_type"),
        ({"rename_map": {"a": 1}}, "rename_map"),
        ({"more": 1}, "wanted the fields"),
    ],
)
def test_a_setup_with_other_fields_is_refused(change: dict[str, object], named: str) -> None:
    fields: dict[str, object] = {"policy_type": "act", "pretrained_name_or_path": "m", "lerobot_features": {},
                                 "actions_per_chunk": 1, "device": "cpu"}  # fmt: skip
    assert read_policy_config(pickled("RemotePolicyConfig", fields)).rename_map is None
    with pytest.raises(ProtocolError, match=named):
        read_policy_config(pickled("RemotePolicyConfig", fields | change))


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([np.zeros(2, np.float32), np.zeros(3, np.float32)], "all of one length"),
        ([np.zeros(1025, np.float32)], "at most 1024"),
        ([np.zeros(2)], "float32"),
        ([np.zeros((2, 2), np.float32)], "float32"),
        ([0.5], "float32"),
    ],
)
def test_actions_of_other_shapes_are_refused(rows: list[object], named: str) -> None:
    with stand_ins(HelpersModule.SINCE_0_4) as classes:
        chunk = [classes["TimedAction"](timestamp=0.5, timestep=0, action=row) for row in rows]
        payload = pickle.dumps(chunk, 4)
    with pytest.raises(ProtocolError, match=named):
        read_actions(payload)


PIECES = (
    b"(", b")", b"]", b"}", b"N", b"\x88", b"a", b"e", b"s", b"u", b"t", b"\x85", b"\x86", b"\x87",
    b"b", b"R", b"\x81", b"\x94", b"\x93", b"h\x00", b"h\x01", b"K\x01", b"G" + bytes(8), b"C\x01b",
    text("x"), text("names"), U1, U1_BUILT,
    EMPTY_ARRAY, INSTANCE, name(LEROBOT, "TimedAction"), name("collections", "OrderedDict"),
    name("torch._utils", "_rebuild_tensor_v2"), name("torch.storage", "_load_from_bytes"),
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_allowed_opcodes_in_any_order_are_read_or_refused(pieces: list[bytes]) -> None:
    for read in READERS.values():
        with contextlib.suppress(ProtocolError):
            read(craft(*pieces))


def chunk_with(change: Callable[[bytes], bytes]) -> bytes:
    changed = change(golden("actions.pickle.bin"))
    body = changed[11:]
    return changed[:3] + struct.pack("<Q", len(body)) + body


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b"FloatStorage", b"EvilsStorage", "EvilsStorage"),
        (b"cpuq", b"gpuq", "CPU"),
        (b"\x8a\nl\xfc", b"\x8a\nm\xfc", "layout"),
        (b"K\x0cNt", b"K\x0dNt", "52 bytes"),
        (b".\x0c\x00", b".\x0d\x00", "48 bytes"),
        (b"K\x00K\x06\x85", b"K\x07K\x06\x85", "inside its 12 numbers"),
        (b"K\x06\x85\x94K\x01\x85", b"K\x06\x85\x94K\x09\x85", "inside its 12 numbers"),
        (b"K\x06\x85\x94K\x01\x85", b"K\xff\x85\x94K\x00\x85", "inside its 12 numbers"),
        (b"FloatStorage", b"DoubleStorage"[:12], "layout|wanted one of"),
        (b"K\x06\x85\x94K\x01\x85\x94", b"K\x06\x85\x94N\x94", "strides"),
        (b"\x94\x89\x8c\x0bcoll", b"\x94N\x8c\x0bcoll", "requires_grad"),
        (b"timestep", b"timestop", "wanted the fields"),
        (b"OrderedDict", b"OrderedDicu", "not allowed"),
        (b"_rebuild_tensor_v2", b"_rebuild_tensor_v3", "not allowed"),
    ],
)
def test_a_tensor_that_lies_is_refused(old: bytes, new: bytes, named: str) -> None:
    payload = chunk_with(lambda sent: sent.replace(old, new))
    assert payload != golden("actions.pickle.bin")
    with pytest.raises(ProtocolError, match=named):
        read_actions(payload)


def test_a_tensor_of_nothing_is_read() -> None:
    payload = chunk_with(lambda sent: sent.replace(b"K\x06\x85\x94K\x01\x85", b"K\x00\x85\x94K\x01\x85"))
    assert [action.action.shape for action in read_actions(payload)] == [(0,), (0,)]


def test_nothing_is_read_beyond_its_limit() -> None:
    for read, limit in ((read_policy_config, 1 << 20), (read_observation, 32 << 20), (read_actions, 8 << 20)):
        with pytest.raises(ProtocolError, match="pickle: wanted at most"):
            read(bytes(limit + 1))
