from __future__ import annotations

import io

import numpy as np
import pytest

from vagus.errors import ProtocolError
from vagus.gateways.npy import read_npy, write_npy


def saved(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def with_header(header: str, body: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin-1")
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + len(text).to_bytes(2 if version == 1 else 4, "little")
        + text
        + body
    )


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 2, 3, 4)])
def test_a_file_of_numpy_is_read(version: tuple[int, int], shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    file = saved(array, version)
    found = read_npy(memoryview(file))
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.shape, found.flags.writeable) == (array.dtype, shape, False)


def test_the_order_of_fortran_is_honoured() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read_npy(memoryview(saved(array))), array)


def test_what_is_written_is_what_numpy_writes() -> None:
    array = np.arange(6, dtype="<f8").reshape(2, 3)
    assert write_npy(array) == saved(array)
    np.testing.assert_array_equal(np.load(io.BytesIO(write_npy(array.T))), array.T)


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"


def test_the_header_of_these_tests_is_good() -> None:
    assert read_npy(memoryview(with_header(GOOD, bytes(8)))).shape == (2,)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "other bytes"),
        (b"\x93NUMPY\x01", "other bytes"),
        (b"\x93NUMPY\x01\x00\x00", "other bytes"),
        (with_header(GOOD, bytes(8), version=4), "other bytes"),
        (b"PK\x03\x04" + bytes(200), "other bytes"),
        (with_header(GOOD, bytes(7)), "wanted 8 bytes"),
        (with_header(GOOD, bytes(9)), "wanted 8 bytes"),
        (with_header(GOOD.replace("(2,)", "(999999999999,)")), "fit a message"),
        (with_header(GOOD.replace("(2,)", "(100000, 100000)")), "fit a message"),
        (with_header(GOOD.replace("(2,)", f"({'1, ' * 9})"), bytes(4)), "8 dimensions"),
        (with_header(GOOD.replace("(2,)", "(-2,)")), "a header of"),
        (with_header(GOOD.replace("(2,)", "(2**9,)")), "a header of"),
        (with_header(GOOD.replace("<f4", "|O"), bytes(8)), "element type"),
        (with_header(GOOD.replace("<f4", "<c16"), bytes(32)), "element type"),
        (with_header(GOOD.replace("'<f4'", "[('a', '<f4')]"), bytes(8)), "a header of"),
        (with_header(GOOD.replace("False", "exit()"), bytes(8)), "a header of"),
        (with_header(" " * 5000 + GOOD, bytes(8)), "at most 4096"),
        (with_header(GOOD + "\x00", bytes(8)), "a header of"),
        (saved(np.array([{"a": 1}], dtype=object)), "element type"),
    ],
)
def test_another_file_is_refused(file: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        read_npy(memoryview(file))


def test_a_file_cut_anywhere_is_refused() -> None:
    file = write_npy(np.arange(3.0))
    for end in range(len(file)):
        with pytest.raises(ProtocolError):
            read_npy(memoryview(file)[:end])
