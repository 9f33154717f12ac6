from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.transport.integrity import SEAL_SIZE, check_seal, seal


@given(st.binary(max_size=40), st.binary(max_size=100))
def test_what_was_sealed_is_returned(header: bytes, payload: bytes) -> None:
    assert check_seal(seal(header, payload), payload) == header


@given(st.binary(max_size=40), st.binary(max_size=100), st.data())
def test_one_changed_byte_is_never_accepted(header: bytes, payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(header, payload) + payload)
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    end = len(header) + SEAL_SIZE
    assert check_seal(bytes(sealed[:end]), bytes(sealed[end:])) is None


def test_an_attachment_without_a_seal_is_refused() -> None:
    for attachment in (b"", b"abc", bytes(27)):
        assert check_seal(attachment, b"payload") is None


def test_the_seal_is_crc_32_as_everybody_computes_it() -> None:
    assert seal(b"1234", b"56789") == b"1234" + (0xCBF43926).to_bytes(4, "little")
