from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from vagus.pipes import read_exactly, read_framed, write_framed, write_whole


def test_messages_larger_than_a_pipe_arrive_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as source, os.fdopen(writing, "wb", buffering=0) as sink:
        messages = [b"", b"one", bytes(1 << 20)]

        def send() -> None:
            for message in messages:
                write_framed(sink, message)
            write_whole(sink, memoryview(b"raw"))
            sink.close()

        sender = threading.Thread(target=send)
        sender.start()
        assert [bytes(read_framed(source) or b"") for _ in messages] == messages
        assert bytes(read_exactly(source, 3) or b"") == b"raw"
        assert read_framed(source) is None
        sender.join()


@pytest.mark.parametrize("cut", [1, 5])
def test_a_message_that_breaks_off_is_the_end(tmp_path: Path, cut: int) -> None:
    whole = tmp_path / "whole"
    with whole.open("wb", buffering=0) as sink:
        write_framed(sink, b"message")
    whole.write_bytes(whole.read_bytes()[:cut])
    with whole.open("rb", buffering=0) as source:
        assert read_framed(source) is None
